"""Delivery reports, complaints and receipts as the standards have them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events_service.mail.reports import MAX_RECIPIENTS, Recipient, Report, read_report


def report(status_blocks: str, returned: str = "", headers: str = "") -> bytes:
    return (
        f"From: <>\n{headers}MIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n{status_blocks}\n{returned}--b--\n"
    ).encode()


def one(block: str) -> Recipient:
    """What a report says of its one recipient."""
    found = read_report(report(block))
    assert found is not None
    (recipient,) = found.recipients
    return recipient


RETURNED = (
    "--b\nContent-Type: message/rfc822\n\nReturn-Path: <bounce+7.x@example.org>\nMessage-ID: <m1@example.org>\n"
    "Subject: Hi\n\nMessage-ID: <body@x>\n"
)


def test_the_returned_messages_id_is_told_from_those_that_the_report_answers() -> None:
    block = "Final-Recipient: rfc822; A@Example.org\nAction: Failed\nStatus: 5.1.1 (bad mailbox)\n"
    answers = "In-Reply-To: <m2@example.org>\nReferences: <m3@example.org> <m2@example.org>\n"
    found = read_report(report(block, RETURNED, answers))
    assert found == Report(
        "bounce",
        ("<m1@example.org>",),
        ("bounce+7.x@example.org",),
        (Recipient(("a@example.org",), "failed", "5.1.1"),),
        answers_to=("<m2@example.org>", "<m3@example.org>"),
    )
    assert found.recipients[0].dead_address


FAILED = "Final-Recipient: rfc822; {}\nAction: failed\nStatus: 5.1.1\n\n"
ARRIVED = "Final-Recipient: rfc822; {}\nAction: {}\nStatus: 2.0.0\n\n"


@pytest.mark.parametrize(
    ("blocks", "action"),
    [
        (FAILED.format("ada@example.org") + ARRIVED.format("bob@example.org", "relayed"), "failed"),
        (ARRIVED.format("ada@example.org", "expanded") + FAILED.format("bob@example.org"), "expanded"),
        (FAILED.format("bob@example.org") + ARRIVED.format("cem@example.org", "delivered"), "delivered"),
        (FAILED.format("bob@example.org") + FAILED.format("cem@example.org"), "failed"),
        (FAILED.format("ada@example.org") + ARRIVED.format("ada@example.org", "delayed"), "failed"),
        ("Original-Recipient: rfc822;ada@example.org\n" + FAILED.format("x@elsewhere.example"), "failed"),
        ("Original-Recipient: rfc822;ada+40example.org\n" + FAILED.format("x@elsewhere.example"), "failed"),
    ],
)
def test_of_several_recipients_the_one_it_was_for_speaks(blocks: str, action: str) -> None:
    found = read_report(report(blocks))
    assert found is not None
    about = found.about("ada@example.org")
    assert about is not None
    assert about.action == action


@pytest.mark.parametrize(
    ("block", "action", "status"),
    [
        ("Status: 5.1.1", "failed", "5.1.1"),
        ("Status: 4.4.7", "delayed", "4.4.7"),
        ("Action: failed (permanently)\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.2.2 full", "failed", "5.2.2"),
        ("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 450 4.2.2 full", "failed", "5.0.0"),
        ("Action: failed\nDiagnostic-Code: smtp; 550 5.1.1 none", "failed", "5.1.1"),
        ("Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 550 5.1.1 none", "failed", "5.2.2"),
        ("Action: failed", "failed", ""),
        ("Final-Recipient: rfc822; ada@example.org", "", ""),
    ],
)
def test_what_is_left_out_is_read_from_the_rest(block: str, action: str, status: str) -> None:
    found = one(block + "\n")
    assert (found.action, found.status) == (action, status)


@pytest.mark.parametrize(
    ("status", "dead"),
    [("5.1.1", True), ("5.1.10", True), ("5.2.1", True)]
    + [(status, False) for status in ("5.0.0", "5.1.0", "5.1.7", "5.1.8", "5.2.2", "5.7.1", "4.4.7", "")],
)
def test_only_the_address_itself_can_be_dead(status: str, dead: bool) -> None:
    found = one(f"Action: failed\nStatus: {status}\n")
    assert (found.failed, found.dead_address) == (True, dead)
    assert not one(f"Action: delayed\nStatus: {status}\n").dead_address


def test_an_address_in_the_servers_words_is_taken_out() -> None:
    found = one(
        f"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 {'x' * 280} <ada@example.org>: no such\n user\n"
    )
    assert found.diagnostic == f"smtp; 550 {'x' * 280} <address>"[:300]


def test_what_is_no_report_is_none() -> None:
    assert read_report(b"Subject: hi\n\nhello") is None
    assert read_report(b"") is None
    assert read_report(report("").replace(b"message/delivery-status", b"text/plain")) is None


def test_a_report_without_a_recipient_says_nothing_of_anybody() -> None:
    found = read_report(report("X-Nothing: here\n"))
    assert found == Report("bounce")
    assert found.about("ada@example.org") is None


def test_a_report_that_was_encoded_is_read() -> None:
    block = b"Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; ada@example.org\nAction: failed\nStatus: 5.1.1\n"
    returned = b"Message-ID: <m1@example.org>\n\nhi\n"
    message = (
        b'Content-Type: multipart/report; boundary="b"\n\n'
        b"--b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(block)
        + b"--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(returned)
        + b"--b--\n"
    )
    assert read_report(message) == Report(
        "bounce", ("<m1@example.org>",), (), (Recipient(("ada@example.org",), "failed", "5.1.1"),)
    )


def test_a_report_with_thousands_of_parts_is_read_no_further_than_two_hundred() -> None:
    parts = "--b\nContent-Type: text/plain\n\nx\n" * 1000
    block = "--b\nContent-Type: message/delivery-status\n\nA: b\n\nAction: failed\nStatus: 5.1.1\n\n"
    head = 'Content-Type: multipart/report; boundary="b"\n\n'
    assert read_report((head + parts + block + "--b--\n").encode()) is None


def test_a_report_on_thousands_of_recipients_is_read_as_far_as_a_thousand() -> None:
    for kind in ("delivery-status", "global-delivery-status"):
        found = read_report(report(FAILED.format("ada@example.org") * 3000).replace(b"delivery-status", kind.encode()))
        assert found is not None
        assert 0 < len(found.recipients) <= MAX_RECIPIENTS


@pytest.mark.parametrize(
    ("feedback", "complains"),
    [("abuse", True), ("Fraud", True), ("", True), ("other", True), ("not-spam", False), ("auth-failure", False)],
)
def test_a_complaint_names_its_message_and_its_return_address(feedback: str, complains: bool) -> None:
    message = (
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
        f"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: {feedback}\nVersion: 1\n"
        "Original-Mail-From: <bounce+7.x@example.org>\n\n"
        "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <m1@example.org>\n\n--b--\n"
    )
    found = read_report(message.encode())
    assert found == Report("complaint", ("<m1@example.org>",), ("bounce+7.x@example.org",), feedback=feedback.lower())
    assert found.complains == complains


def test_a_receipt_names_what_was_received() -> None:
    message = (
        b'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\n\n'
        b"--b\nContent-Type: message/disposition-notification\n\nOriginal-Message-ID: <m1@example.org>\n"
        b"Disposition: manual-action/MDN-sent-manually; displayed\n\n--b--\n"
    )
    assert read_report(message) == Report("receipt", ("<m1@example.org>",))


PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/report; boundary=b\n", b"\n", b"--b\n", b"--b--\n", b"Action: failed\n",
        b"Content-Type: message/delivery-status\n", b"Content-Type: message/rfc822\n", b"Status: 5.1.1\n",
        b"Content-Type: message/feedback-report\n", b"Content-Type: message/global-headers\n",
        b"Content-Type: message/disposition-notification\n", b"Content-Transfer-Encoding: base64\n", b"QWN0aW9uOiBm\n",
        b"Final-Recipient: rfc822;\n", b"Message-ID: <m@x>\n", b"\xff\x00",
        b"Content-Type: message/delivery-status;\n x\n",
        b"Content-Transfer-Encoding: quoted-printable\n", b"Return-Path: <>\n", b"=?utf-8?b?/?=\n", b"Status: \xe9\n",
    ]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=20), max_size=40).map(b"".join))
@example(b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\nQUJDR\n\n")
@example(b"Content-Type: message/delivery-status; charset*=\xff\n\n\n")
def test_whatever_comes_is_read_or_is_none(message: bytes) -> None:
    found = read_report(message)
    assert found is None or found.kind in ("bounce", "complaint", "receipt")
