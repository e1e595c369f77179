"""What of a mail is taken apart, and what is not."""

from __future__ import annotations

import email
import time

import pytest

from events_service.errors import InputError
from events_service.mail.bounds import MAX_BOUNDARIES, MAX_MARKS, MAX_REPORT_BYTES, bounded

REPORT = b"Content-Type: message/delivery-status\n\n"


def test_a_mail_of_a_usual_kind_is_left_as_it_is() -> None:
    message = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nhi\n\n\n\n" * 100 + b"--b--\n"
    assert bounded(message) == message
    assert bounded(b"") == b""


@pytest.mark.parametrize(
    "message",
    [
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * (MAX_MARKS + 1),
        b"Content-Type: multipart/mixed; boundary=b\n" * (MAX_BOUNDARIES + 1),
        b"Content-Type: multipart/mixed;\n BOUNDARY*0=b\n" * (MAX_BOUNDARIES + 1),
    ],
)
def test_a_mail_of_thousands_of_parts_is_refused(message: bytes) -> None:
    with pytest.raises(InputError, match=r"^the message has more than 100 kinds of parts, or 10,000 parts$"):
        bounded(message)


@pytest.mark.parametrize("filling", [b"\n", b"\r\n", b"a: b\n\n", b"\n \n"])
def test_a_report_is_cut_so_that_it_can_be_parsed(filling: bytes) -> None:
    began = time.process_time()
    message = bounded(REPORT + b"Action: failed\n\n" + filling * 2_000_000)
    assert len(message) <= MAX_REPORT_BYTES
    assert message.startswith(REPORT + b"Action: failed\n")
    parsed = email.message_from_bytes(message)
    assert len(parsed.get_payload()) < MAX_REPORT_BYTES / 2
    # Uncut it takes minutes, and gigabytes.
    assert time.process_time() - began < 30
