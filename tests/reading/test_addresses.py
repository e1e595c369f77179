from __future__ import annotations

import hashlib

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from events_service.errors import InputError
from events_service.reading.addresses import email_hash, normalise_email, work_domains


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("ann@example.org", "ann@example.org"),
        ("  Ann.O'Neil@Example.ORG ", "ann.o'neil@example.org"),
        ("JÖRG@example.org".replace("Ö", "oe"), "joerg@example.org"),
        ("info@Müller.example", "info@xn--mller-kva.example"),
        ("info@xn--mller-kva.example", "info@xn--mller-kva.example"),
        ("x@BÜCHER.example", "x@xn--bcher-kva.example"),
        ("x@bücher.example", "x@xn--bcher-kva.example"),
        ("a+tag@uni.test", "a+tag@uni.test"),
    ],
)
def test_normalise_email_keeps_one_form(given_: str, kept: str) -> None:
    assert normalise_email(given_) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "ann@",
        "@example.org",
        "ann@@example.org",
        "a b@example.org",
        "ann@localhost",
        "ann@test",
        "ann@exa mple.org",
        "Ann <ann@example.org>",
        "jörg@example.org",
        "ann@example.org\r\nBcc: bob@example.org",
        "ann@-example.org",
        "ann@example..org",
        "ann@[192.0.2.1]",
        ".ann@example.org",
        "a" * 250 + "@example.org",
        "ann@host.invalid",
    ],
)
def test_normalise_email_refuses(text: str) -> None:
    with pytest.raises(InputError) as caught:
        normalise_email(text)
    assert "is not an e-mail address" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_address_is_cut_in_its_refusal() -> None:
    with pytest.raises(InputError) as caught:
        normalise_email("a" * 10_000)
    assert len(str(caught.value)) < 300


def reference(text: str) -> str | None:
    """What the library alone says, on the same terms."""
    try:
        found = validate_email(
            text.strip().lower(), check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}".lower() if "." in found.ascii_domain else None


LOCALS = st.text("abcXYZ019.!#$%&'*+/=?^_`{|}~-\"\\ (),:;<>@[]é\u00a0\u0301", max_size=70)
DOMAINS = st.one_of(
    st.sampled_from(
        ["example.org", "EXAMPLE.com", "uni.test", "test", "a.invalid", "localhost", "xn--a", "müller.example"]
    ),
    st.text("abcZ09.-_ é。ß\u0301@", max_size=30),
    st.text("ab.", min_size=170, max_size=260),
)


@given(st.builds("{}@{}".format, LOCALS, DOMAINS) | st.emails() | st.text(max_size=30))
@example("a" * 64 + "@example.org")
@example("a" * 65 + "@example.org")
@example("a@" + "b" * 63 + ".org")
@example("a@" + "b" * 64 + ".org")
@example("a@" + ".".join(["b" * 50] * 5))
@example("K@example.org")
@example("xn--@xn--80ak6aa92e.com")
def test_verdicts_are_those_of_email_validator(text: str) -> None:
    try:
        found: str | None = normalise_email(text)
    except InputError:
        found = None
    assert found == reference(text)


@given(st.emails())
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = normalise_email(text)
    except InputError:
        return
    assert normalise_email(once) == once


def test_email_hash_is_sha256() -> None:
    assert email_hash("ann@example.org") == hashlib.sha256(b"ann@example.org").hexdigest()


@pytest.mark.parametrize(
    ("email", "domains"),
    [
        ("x@cs.lancaster.ac.uk", ["cs.lancaster.ac.uk", "lancaster.ac.uk"]),
        ("x@unibw.de", ["unibw.de"]),
        ("x@gmail.com", []),
        ("x@sub.gmail.com", ["sub.gmail.com"]),
        ("x@um.edu.my", ["um.edu.my"]),
        ("x@gov.uk", []),
        ("x@a.b.example.com", ["a.b.example.com", "b.example.com", "example.com"]),
    ],
)
def test_work_domains(email: str, domains: list[str]) -> None:
    assert list(work_domains(email)) == domains
