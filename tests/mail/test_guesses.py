"""Bounces that follow no standard: what is taken for one, and that nothing they hold makes trouble."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.mail.guesses import MAX_LINES, guess_report
from events_service.mail.reports import Recipient, Report

SERVERS = "From: MAILER-DAEMON@mx.example.net\nTo: events@example.org\nSubject: failure notice\n"
QMAIL = (
    "Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message.\n\n"
    "<Ada@example.org>:\n{}\n\n--- Below this line is a copy of the message.\n\n"
    "Return-Path: <bounce+7.x@example.org>\nMessage-ID: <m1@example.org>\nSubject: Invitation\n\nHi\n"
)


@pytest.mark.parametrize(
    ("said", "status", "diagnostic"),
    [
        ("Remote host said: 550 5.1.1 <ada@example.org> unknown", "5.1.1", "550 5.1.1 <address> unknown"),
        ("User's mailbox is full (#5.2.2)", "5.2.2", "mailbox is full (#5.2.2)"),
        ("Remote host said: 550 no such user", "", "550 no such user"),
        ("Sorry, it is not to be found.", "", ""),
    ],
)
def test_what_a_server_says_in_its_own_words(said: str, status: str, diagnostic: str) -> None:
    found = guess_report(f"{SERVERS}\n{QMAIL.format(said)}".encode())
    assert found is not None
    (recipient,) = found.recipients
    assert found == Report("bounce", ("<m1@example.org>",), ("bounce+7.x@example.org",), (recipient,), guessed=True)
    assert (recipient.addresses, recipient.action, recipient.status) == (("ada@example.org",), "failed", status)
    assert diagnostic in recipient.diagnostic
    assert "ada@" not in recipient.diagnostic


def test_a_warning_is_not_final() -> None:
    warning = (
        f"{SERVERS}\nThis message was created automatically by mail delivery software.\n"
        "The address to which the message has not yet been delivered is:\n\n  ada@example.org\n\n"
        "No action is required on your part. Delivery attempts will continue.\n"
    )
    found = guess_report(warning.encode())
    assert found is not None
    assert found.recipients == (Recipient(("ada@example.org",), "delayed"),)


@pytest.mark.parametrize(
    ("sender", "taken"),
    [
        ("Mail Delivery System <Mailer-Daemon@mx.example.net>", True),
        ("MAILER-DAEMON (Mail Delivery System)", True),
        ("<>", True),
        ("postmaster@example.net", True),
        ('"Mail Administrator" <postmaster@example.net>', True),
        ("Ada <ada@example.org>", False),
        ("Post Master <ada.postmaster@example.org>", False),
        ("", False),
    ],
)
def test_only_what_a_mail_server_wrote_is_asked(sender: str, taken: bool) -> None:
    message = f"From: {sender}\nReturn-Path: <>\n\n{QMAIL.format('550 no such user')}"
    assert (guess_report(message.encode()) is not None) == taken


@pytest.mark.parametrize("header", ["X-Autoreply: yes", "X-Autorespond: x", "X-MS-Exchange-Inbox-Rules-Loop: a@b"])
def test_what_somebody_has_answered_for_them_is_no_bounce(header: str) -> None:
    assert guess_report(f"{header}\n{SERVERS}\n{QMAIL.format('550 no such user')}".encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        "x" * 5_000_000,
        "The following addresses had\n" + "a" * 3_000_000,
        "failed addresses follow:\n" + "@" * 1_000_000,
        "not yet been delivered\n" + ("\\S" * 400 + "\n") * 5_000,
        "\n" * 3_000_000,
        "Message-ID: <" * 100_000,
        "From: " + "(" * 200_000,
        "X-Failed-Recipients: " + "(" * 100_000,
    ],
)
def test_a_mail_made_to_take_long_does_not(body: str) -> None:
    began = time.process_time()
    guess_report(f"{SERVERS}X-Failed-Recipients: {'(' * 1000}\n\n{body}".encode())
    guess_report(f"{SERVERS}{body}".encode())
    assert time.process_time() - began < 20


def test_only_the_beginning_is_read() -> None:
    late = f"{SERVERS}\n" + "x\n" * MAX_LINES + QMAIL.format("550 no such user")
    assert guess_report(late.encode()) is None


@given(
    st.binary(max_size=400),
    st.sampled_from(["", "Content-Type: multipart/mixed; boundary=b\n", "X-Failed-Recipients: "]),
)
def test_whatever_comes_is_a_bounce_or_none(body: bytes, header: str) -> None:
    found = guess_report(f"{SERVERS}{header}\n".encode() + body)
    assert found is None or found.guessed
