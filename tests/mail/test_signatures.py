"""Whose signature is believed. The signed mails were made by another implementation, dkimpy, with keys of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.config import Settings
from events_service.mail import signatures
from events_service.mail.signatures import MAX_SIGNATURES, MAX_SIGNED_BYTES, aligned, prove, wanted

SIGNED = Path(__file__).parent / "signed"
NOW = datetime(2023, 9, 1, 10, tzinfo=UTC)
ADA = "ada@example.org"
PUBLIC = (
    b"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3lYc7gCGRRRM5DJ/Bgnp30qCge0Tb3DMLw3xnUv7jeY+Ja1coitox4/K"
    b"xDPINnWZl+Ogbdm4g8Lq/vMhpjlIosMqfIMXFDqXNUus1vDEadWg5Mcrsv5LKU9m9rKLle1HMUIm+aY6q3jdKN43pGsZHZ7h3sAO"
    b"K+7mQdKI5NJRf0CtlaSRNGEQaXL5W/UK/zORWutkWNRWOozmG5pwRu9zGCoO+q66+8OtZWaePlPspKaR0LHZapkE3wanr/XAfqqL"
    b"3Dh5SUsJ25tZvbOCjaNCIMxVx9c4KVOJbznGjvGWCp8VEkbZGU8auY3couPGvzByr1nwEOg+r58x/e9wlH+eqwIDAQAB"
)
RSA = (
    b"MIIBCgKCAQEA3lYc7gCGRRRM5DJ/Bgnp30qCge0Tb3DMLw3xnUv7jeY+Ja1coitox4/KxDPINnWZl+Ogbdm4g8Lq/vMhpjlIosMq"
    b"fIMXFDqXNUus1vDEadWg5Mcrsv5LKU9m9rKLle1HMUIm+aY6q3jdKN43pGsZHZ7h3sAOK+7mQdKI5NJRf0CtlaSRNGEQaXL5W/UK"
    b"/zORWutkWNRWOozmG5pwRu9zGCoO+q66+8OtZWaePlPspKaR0LHZapkE3wanr/XAfqqL3Dh5SUsJ25tZvbOCjaNCIMxVx9c4KVOJ"
    b"bznGjvGWCp8VEkbZGU8auY3couPGvzByr1nwEOg+r58x/e9wlH+eqwIDAQAB"
)
"""The same key without what says that it is one for RSA, as some domains publish it."""
SHORT = (
    b"MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAM5LlRWGu49Hg42y/jz6yzTxzBBHgfaZbv0JZogh3k9Q50fvEMvefcXycE3uQWWMCHRW"
    b"BUT9951qpcgwHzdVWGZw7Fzy0c7MgEVtxwFts6YZKAhgzX4gzJcLe4UBfC00ywIDAQAB"
)
KEYS = {"test": b"v=DKIM1; k=rsa; p=" + PUBLIC, "short": b"p=" + SHORT}
CHECKS = Settings(dkim="check")


def key(name: str) -> bytes | None:
    """What the DNS has, for example.org and example.net alike."""
    selector, _, domain = name.partition("._domainkey.")
    return KEYS.get(selector) if domain in ("example.org", "example.net") else None


def mail(name: str = "relaxed") -> bytes:
    return (SIGNED / f"{name}.eml").read_bytes()


def doubt(message: bytes, sender: str = ADA, lookup: signatures.Lookup = key, now: datetime = NOW) -> str | None:
    return prove(message, sender, (), CHECKS, now, lookup).doubt


SAYS = "the signature of its sender's domain proves nothing: "


@pytest.mark.parametrize("name", ["relaxed", "simple", "relaxed-simple", "simple-relaxed", "no-text"])
def test_what_another_program_signed_is_believed_whatever_carried_it(name: str) -> None:
    message = mail(name)
    assert doubt(message) is None
    assert doubt(message.replace(b"\r\n", b"\n")) is None
    assert doubt(b"Return-Path: <ada@example.org>\r\nReceived: by us\r\n" + message) is None


@pytest.mark.parametrize("name", ["relaxed", "simple", "relaxed-simple", "simple-relaxed"])
def test_what_was_changed_on_the_way_is_not(name: str) -> None:
    message = mail(name)
    assert doubt(message.replace(b"PARTSTAT=ACCEPTED", b"PARTSTAT=DECLINED")) == (
        SAYS + "the text was changed after it was signed"
    )
    for before, after in ((b"Accepted:", b"Declined:"), (b"<ada@", b"<bob@"), (b"reply@", b"other@")):
        assert doubt(message.replace(before, after, 1)) == SAYS + "it does not match its headers or its key"
    white = message.replace(b"Ada  Lovelace\r\n <", b"Ada Lovelace <", 1)
    assert (doubt(white) is None) == name.startswith("relaxed")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (b"v=1;", b"v=2;", "it is of no version that is known"),
        (b" s=test;", b"", "it lacks s="),
        (b"h=from : to", b"h=to", "it does not cover From"),
        (b"a=rsa-sha256", b"a=rsa-sha1", "it is not made by RSA and SHA-256"),
        (b"a=rsa-sha256", b"a=ed25519-sha256", "it is not made by RSA and SHA-256"),
        (b"c=relaxed/relaxed", b"c=nofws", "it does not say how the text was made canonical"),
        (b"i=@example.org", b"i=@example.net", "its identity is not in its domain"),
        (b"s=test", b"s=te/st", "its domain or selector is no name"),
        (b"s=test", b"s=gone", "its key is not in the DNS, or could not be looked up"),
        (b"v=1;", b"v=1; x=1693562399;", "its time is over"),
        (b"v=1;", b"v=1; x=soon;", "its time is over"),
        (b"v=1;", b"v=1; x=1693562400;", "it does not match its headers or its key"),
        (b"bh=", b"bh=?", "it holds what is no base64"),
    ],
)
def test_a_signature_that_lacks_something_proves_nothing(before: bytes, after: bytes, why: str) -> None:
    message = mail()
    changed = message.replace(b" : content-type : from;", b" : content-type;", 1) if after == b"h=to" else message
    assert before in changed
    assert doubt(changed.replace(before, after, 1)) == SAYS + why


def test_a_signature_of_a_part_or_with_a_short_key_proves_nothing() -> None:
    assert doubt(mail("part-only")) == SAYS + "it covers a part of the text only (l=)"
    assert doubt(mail("short-key")) == SAYS + "its key of 768 bits is too short or too odd"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"p=" + RSA, None),
        (b"v=DKIM1; s=email; h=sha1:sha256; t=s; p=" + PUBLIC, None),
        (b"v=DKIM1; p=", "its key was withdrawn, or is of another kind"),
        (b"k=ed25519; p=" + PUBLIC, "its key was withdrawn, or is of another kind"),
        (b"v=DKIM2; p=" + PUBLIC, "its key was withdrawn, or is of another kind"),
        (b"t=y; p=" + PUBLIC, "its domain only tries signing out (t=y)"),
        (b"h=sha1; p=" + PUBLIC, "its key is not for SHA-256"),
        (b"s=tlsrpt; p=" + PUBLIC, "its key is not for mail"),
        (b"p=AAAA", "its key cannot be read"),
        (b"p=" + PUBLIC[:100], "its key cannot be read"),
        (b"p=MAYCAQMCAQM=", "its key of 2 bits is too short or too odd"),
        (b"p=!", "it holds what is no base64"),
        (b"", "its key was withdrawn, or is of another kind"),
        (b"\xff\x00;;=;", "its key was withdrawn, or is of another kind"),
    ],
)
def test_what_the_dns_says_of_the_key_counts(record: bytes, why: str | None) -> None:
    assert doubt(mail(), lookup=lambda name: record) == (why and SAYS + why)


def test_only_the_senders_own_domain_or_one_above_it_speaks_for_them() -> None:
    assert doubt(mail(), "ada@maths.example.org") is None
    assert doubt(mail(), "ada@example.com") == "its sender's domain did not sign it"
    assert doubt(mail("other-domain")) == "its sender's domain did not sign it"
    assert doubt(mail(), "") == "its sender is not beyond doubt"
    assert doubt(mail(), "ada@" + "x" * 80 + ".org") == "its sender is not beyond doubt"
    assert doubt(b"no headers at all") == "its sender's domain did not sign it"
    assert aligned("Example.ORG", "example.org")
    assert not aligned("maths.example.org", "example.org")
    assert not aligned("org", "example.org")
    assert not aligned("", "example.org")
    assert not aligned("ample.org", "example.org")


def test_one_good_signature_is_enough_and_only_a_few_are_tried() -> None:
    asked: list[str] = []

    def lookup(name: str) -> bytes | None:
        asked.append(name)
        return key(name)

    foreign = b"DKIM-Signature: v=1; d=example.net; s=test; a=rsa-sha256; b=AA==; bh=AA==; h=from\r\n"
    spoilt = mail().partition(b"From:")[0].partition(b"X-Trace")[0].replace(b"s=test", b"s=gone")
    assert doubt(foreign * 50 + spoilt * (MAX_SIGNATURES - 1) + mail(), lookup=lookup) is None
    assert len(asked) == MAX_SIGNATURES
    assert doubt(spoilt * MAX_SIGNATURES + mail()) == SAYS + "its key is not in the DNS, or could not be looked up"
    assert doubt(mail() + b"x" * MAX_SIGNED_BYTES) == (
        f"with {len(mail()) + MAX_SIGNED_BYTES} bytes it is too large for its signature to be checked"
    )


def test_the_time_that_a_signature_ends_is_asked_of_now() -> None:
    ends = mail().replace(b"v=1;", b"v=1; x=1693562400;", 1)
    assert doubt(ends, now=NOW + timedelta(seconds=1)) == SAYS + "its time is over"


@given(st.binary(max_size=300), st.binary(max_size=200))
def test_nothing_that_a_mail_or_a_key_holds_raises(noise: bytes, record: bytes) -> None:
    prove(b"DKIM-Signature: " + noise + b"\r\n" + mail(), ADA, (), CHECKS, NOW, lambda name: record)
    message = mail().replace(b"b=", b"b=" + noise, 1)
    prove(message, ADA, (), CHECKS, NOW, lambda name: record)


TRUSTS = Settings(authserv_id="mx.example.net")


def word(*results: str, settings: Settings = TRUSTS, sender: str = ADA) -> str | None:
    return prove(mail("other-domain"), sender, results, settings, NOW, key).doubt


@pytest.mark.parametrize(
    "results",
    [
        "mx.example.net; dkim=pass header.d=example.org",
        "MX.example.net 1; spf=fail smtp.mailfrom=a@b.c; DKIM=pass (2048-bit) header.i=@example.org header.b=abc",
        "mx.example.net (at the door); dmarc=pass (p=none) header.from=example.org",
        'mx.example.net; dkim = pass reason="good; dkim=fail" header.d = example.org',
        "mx.example.net; dkim/1=pass header.d=EXAMPLE.org; dmarc=fail header.from=example.org",
    ],
)
def test_the_word_of_a_server_of_ours_is_believed(results: str) -> None:
    assert word(results) is None


@pytest.mark.parametrize(
    "results",
    [
        "mx.example.net; none",
        "mx.example.net",
        "mx.example.net; dkim=fail header.d=example.org",
        "mx.example.net; dkim=pass header.d=example.com",
        "mx.example.net; dkim=pass",
        "mx.example.net; spf=pass smtp.mailfrom=ada@example.org",
        "mx.example.net; dkim=fail (dkim=pass header.d=example.org; dkim=pass) header.d=example.com",
        'mx.example.net; dkim=fail reason="; dkim=pass header.d=example.org; x" header.d=example.com',
        'mx.example.net; dkim=fail reason="\\"; dkim=pass header.d=example.org; "',
        "mx.example.net; dkim=fail (\\) ; dkim=pass header.d=example.org ; ) header.d=x.y",
        "mx.example.net; x=y (; dkim=pass header.d=example.org",
        "mx.example.net; dkim=passable header.d=example.org",
    ],
)
def test_words_that_others_wrote_into_it_are_not_its_word(results: str) -> None:
    assert word(results) == "mx.example.net does not say that its sender's domain signed it"


def test_the_topmost_word_of_that_server_alone_counts() -> None:
    passed, failed = "mx.example.net; dkim=pass header.d=example.org", "mx.example.net; dkim=fail header.d=example.org"
    assert word("other.example; dkim=fail header.d=example.org", passed, failed) is None
    assert word(failed, passed) == "mx.example.net does not say that its sender's domain signed it"
    assert word("other.example; dkim=pass header.d=example.org") == "mx.example.net says nothing of it"
    assert word() == "mx.example.net says nothing of it"
    # Where signatures are checked as well, they decide where it says nothing, and not where it does.
    both = Settings(authserv_id="mx.example.net", dkim="check")
    assert prove(mail(), ADA, (), both, NOW, key).doubt is None
    assert prove(mail(), ADA, (failed,), both, NOW, key).doubt is not None


def test_nothing_is_wanted_unless_it_is_set() -> None:
    assert not wanted(Settings())
    assert wanted(CHECKS)
    assert wanted(TRUSTS)
