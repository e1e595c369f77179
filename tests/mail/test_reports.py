"""Delivery reports and complaints as mail servers write them."""

from __future__ import annotations

import pytest

from events_service.mail.reports import Report, read_report


def report(status_blocks: str, returned: str = "", headers: str = "") -> bytes:
    return (
        f"From: <>\n{headers}MIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n{status_blocks}\n{returned}--b--\n"
    ).encode()


RETURNED = "--b\nContent-Type: message/rfc822\n\nMessage-ID: <m1@example.org>\nSubject: Hi\n\nMessage-ID: <body@x>\n"


def test_the_returned_messages_id_comes_before_what_the_report_answers() -> None:
    block = "Final-Recipient: rfc822; a@example.org\nAction: Failed\nStatus: 5.1.1 (bad mailbox)\n"
    found = read_report(report(block, RETURNED, "In-Reply-To: <m2@example.org>\n"))
    assert found == Report("bounce", ("<m1@example.org>", "<m2@example.org>"), "failed", "5.1.1", "")
    assert found.final
    assert found.dead_address


def test_the_gravest_of_several_recipients_speaks() -> None:
    blocks = (
        "Action: relayed\nStatus: 2.0.0\n\n"
        "Action: delayed\nStatus: 4.2.2\n\n"
        "Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552\n over quota\n"
    )
    assert read_report(report(blocks)) == Report("bounce", (), "failed", "5.2.2", "smtp; 552 over quota")


@pytest.mark.parametrize(
    ("status", "dead"),
    [("5.1.1", True), ("5.1.10", True), ("5.0.0", True), ("5.2.1", True), ("5.2.2", False), ("5.7.1", False)],
)
def test_only_the_address_itself_can_be_dead(status: str, dead: bool) -> None:
    found = read_report(report(f"Action: failed\nStatus: {status}\n"))
    assert found is not None
    assert (found.final, found.dead_address) == (True, dead)


def test_what_is_no_report_is_none() -> None:
    assert read_report(b"Subject: hi\n\nhello") is None
    assert read_report(b"") is None
    assert read_report(report("").replace(b"message/delivery-status", b"text/plain")) is None


def test_a_report_without_a_recipient_is_not_final() -> None:
    found = read_report(report("X-Nothing: here\n"))
    assert found == Report("bounce", ())
    assert not found.final


def test_a_report_with_thousands_of_parts_is_read_no_further_than_two_hundred() -> None:
    parts = "--b\nContent-Type: text/plain\n\nx\n" * 1000
    block = "--b\nContent-Type: message/delivery-status\n\nA: b\n\nAction: failed\nStatus: 5.1.1\n\n"
    head = 'Content-Type: multipart/report; boundary="b"\n\n'
    assert read_report((head + parts + block + "--b--\n").encode()) is None
