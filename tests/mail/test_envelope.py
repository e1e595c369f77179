from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.errors import MailError, PermanentMailError, SenderRefusedError
from events_service.mail.envelope import after_data, commands
from events_service.mail.wire import Outgoing


def message(
    recipient: str = "ada@example.org", sender: str = "events@example.org", data: bytes = b"hello\r\n"
) -> Outgoing:
    return Outgoing(sender, recipient, "<1@example.org>", data)


def test_without_extensions_nothing_is_added() -> None:
    assert commands(message(), {}) == (b"MAIL FROM:<events@example.org>\r\n", b"RCPT TO:<ada@example.org>\r\n")


@pytest.mark.parametrize("size", ["7", "10485760", "0", "", "nonsense"])
def test_the_size_is_said_where_the_server_asks(size: str) -> None:
    mail, _ = commands(message(), {"size": size})
    assert mail == b"MAIL FROM:<events@example.org> SIZE=7\r\n"


def test_what_is_too_large_for_the_server_fails_for_good() -> None:
    with pytest.raises(PermanentMailError) as caught:
        commands(message(), {"size": "6"})
    assert str(caught.value) == "the message has 7 octets, and the server takes at most 6 (SIZE)"
    assert (caught.value.code, caught.value.dead_address) == (0, False)


def test_letters_beyond_ascii_before_the_at_need_smtputf8() -> None:
    mail, rcpt = commands(message("jürgen@example.org"), {"smtputf8": "", "size": ""})
    assert mail == b"MAIL FROM:<events@example.org> SIZE=7 SMTPUTF8\r\n"
    assert rcpt == "RCPT TO:<jürgen@example.org>\r\n".encode()
    with pytest.raises(PermanentMailError) as caught:
        commands(message("jürgen@example.org"), {})
    assert str(caught.value) == (
        "the address has letters beyond ASCII before its @, and the server does not offer SMTPUTF8"
    )


@pytest.mark.parametrize("offered", [{}, {"smtputf8": ""}])
def test_a_domain_goes_as_a_labels(offered: dict[str, str]) -> None:
    mail, rcpt = commands(message("ada@bücher.example", "events@bücher.example"), offered)
    assert mail == b"MAIL FROM:<events@xn--bcher-kva.example>\r\n"
    assert rcpt == b"RCPT TO:<ada@xn--bcher-kva.example>\r\n"


BAD = (
    "ada@example.org>\r\nRCPT TO:<eve@example.org",
    "ada@example.org\r\nDATA",
    "ada@example.org\n",
    "ada@example.org ",
    "ada lovelace@example.org",
    "<ada@example.org>",
    "ada@exam\0ple.org",
    "ada@example.org\x85",
    "ada\u2028@example.org",
    "ada\udc80@example.org",
    "ada@ü\udc80.example",
    "ada@-ü-.example",
    "ada",
    "@example.org",
    "ada@",
    "",
    "a" * 65 + "@example.org",
)


@pytest.mark.parametrize("address", BAD)
def test_an_address_that_could_end_a_command_never_reaches_the_wire(address: str) -> None:
    with pytest.raises(PermanentMailError, match=r"^the recipient's address is none that a mail server could take$"):
        commands(message(address), {"smtputf8": ""})
    with pytest.raises(SenderRefusedError, match="EVENTS_MAIL_FROM"):
        commands(message(sender=address), {"smtputf8": ""})


@given(st.text(max_size=40) | st.text(alphabet="a@.<>\r\n \tü", max_size=20))
def test_whatever_an_address_is_each_command_is_one_line(address: str) -> None:
    try:
        lines = commands(message(address), {"smtputf8": ""})
    except MailError:
        return
    for line in lines:
        assert re.fullmatch(rb"[A-Z]+ (FROM|TO):<[^<>\s\x00-\x1f]+@[^<>\s\x00-\x1f]+>( SMTPUTF8)?\r\n", line)


@given(st.lists(st.sampled_from([b".", b"..", b"", b".x", b"x.", b"words", b" ."]), max_size=8), st.booleans())
def test_a_message_is_read_as_it_was_written(lines: list[bytes], ended: bool) -> None:
    data = b"\r\n".join(lines) + (b"\r\n" if ended else b"")
    read, wire = b"", io.BytesIO(after_data(data))
    while (line := wire.readline()) != b".\r\n":
        assert line.endswith(b"\r\n")
        read += line[1:] if line.startswith(b".") else line
    assert wire.read() == b""
    assert read == (data if data.endswith(b"\r\n") else data + b"\r\n")


def test_octets_beyond_ascii_are_not_sent() -> None:
    with pytest.raises(PermanentMailError, match="encoded in 7 bits"):
        after_data("Grüße\r\n".encode())
