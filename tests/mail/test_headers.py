from __future__ import annotations

from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given

from events_service.errors import InputError
from events_service.mail.headers import link, machine_line, mailbox_line, read_mailbox, text_line
from events_service.mail.marks import one_line
from tests.mail.reading import AWKWARD, texts


def read_back(line: str) -> Any:
    """The header's value; nothing but that header may be there, and no line may be too long."""
    assert all(len(piece) <= 78 for piece in line.split("\r\n")), line
    message = message_from_bytes((line + "\r\n\r\nbody").encode("ascii"), policy=policy.default)
    ((_, value),) = message.items()
    assert message.get_payload() == "body"
    assert value.defects == ()
    return value


@pytest.mark.parametrize("text", AWKWARD)
def test_a_subject_reads_back_as_it_was(text: str) -> None:
    assert read_back(text_line("Subject", text)) == one_line(text)


@given(texts)
def test_any_subject_reads_back(text: str) -> None:
    assert read_back(text_line("Subject", text)) == one_line(text)


def squeezed(text: str) -> str:
    return "".join(text.split())


def check_mailbox(name: str) -> None:
    line = mailbox_line("To", name, "ada@example.org")
    (address,) = read_back(line).addresses
    assert address.addr_spec == "ada@example.org"
    # Python's newer parser takes the fold between two encoded words for a space, which RFC 2047 6.2 says it is not.
    assert squeezed(address.display_name) == squeezed(one_line(name))
    shown, spec = parseaddr(line.removeprefix("To: ").replace("\r\n", ""))
    assert (str(make_header(decode_header(shown))), spec) == (one_line(name), "ada@example.org")


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_reads_back_as_it_was(name: str) -> None:
    check_mailbox(name)


@given(texts)
def test_any_name_reads_back(name: str) -> None:
    check_mailbox(name)


def test_a_name_of_usual_length_is_one_encoded_word() -> None:
    line = mailbox_line("To", "Anna-Katharina Müller-Lüdenscheidt", "ada@example.org")
    assert read_back(line).addresses[0].display_name == "Anna-Katharina Müller-Lüdenscheidt"
    assert line.count("=?") == 1


def test_plain_words_stay_readable() -> None:
    assert text_line("Subject", "Invitation: Cyber mission") == "Subject: Invitation: Cyber mission"
    assert mailbox_line("To", "Ada Lovelace", "ada@example.org") == "To: Ada Lovelace <ada@example.org>"
    assert mailbox_line("To", "Lovelace, Ada", "ada@example.org") == 'To: "Lovelace, Ada" <ada@example.org>'
    assert mailbox_line("Reply-To", "", "ada@example.org") == "Reply-To: ada@example.org"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "a b@example.org",
        "ada@example.org\r\nBcc: x@evil.example",
        "ada@example.org>",
        "ädа@example.org",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError, match="is no e-mail address that a header can hold"):
        mailbox_line("To", "Ada", address)


@pytest.mark.parametrize("value", ["", "two words", "line\r\nBcc: x@evil.example", "ümlaut", "x" * 901])
def test_what_a_machine_made_is_one_word(value: str) -> None:
    with pytest.raises(InputError, match=r"List-Id: .* is not one word of printable ASCII"):
        machine_line("List-Id", value)
    with pytest.raises(InputError, match="cannot stand in a header as a link; look at EVENTS_PUBLIC_URL"):
        link(value)


def test_a_link_is_never_broken() -> None:
    long = "https://events.example.org/unsubscribe/" + "a" * 200
    assert link(long) == f"<{long}>"
    with pytest.raises(InputError):
        link("https://example.org/>,<mailto:x@evil.example")


def test_a_mailbox_is_read() -> None:
    assert read_mailbox("Events desk <events@example.org>") == ("Events desk", "events@example.org")
    assert read_mailbox("events@example.org") == ("", "events@example.org")
