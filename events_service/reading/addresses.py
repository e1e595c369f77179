"""E-mail addresses: the one form in which they are kept and compared, and whose domain says where somebody works."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from events_service.errors import InputError

# What every checker of addresses agrees on, so that only the domain is left to ask about (RFC 5321 section 4.1.2).
_PLAIN = re.compile(r"([a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64})*)@([a-z0-9.-]{1,180})")
_PLAIN_LOCAL = 64

# Mail domains that say nothing about where somebody works.
_PUBLIC = """
aol.com btinternet.com comcast.net duck.com fastmail.com freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de
gmx.net googlemail.com hey.com hotmail.co.uk hotmail.com hotmail.de icloud.com live.co.uk live.com mac.com
mail.com mail.ru me.com msn.com naver.com ntlworld.com outlook.com outlook.de proton.me protonmail.com qq.com
rocketmail.com sky.com t-online.de talktalk.net tutanota.com virginmedia.com web.de yahoo.co.uk yahoo.com
yahoo.de yahoo.com.my yandex.com yandex.ru ymail.com zoho.com 126.com 163.com
"""
_PUBLIC_PROVIDERS = frozenset(_PUBLIC.split())
# Second levels under which a country's domains are given out, such as ac.uk: everybody's parent, nobody's domain.
_SHARED = "ac co com ed edu go gob gov gouv gv mil ne net nhs nic or org police sch"
_SHARED_SECOND_LEVELS = frozenset(_SHARED.split())


def normalise_email(text: str) -> str:
    """The form in which an address is kept: lower case throughout, the domain in ASCII (IDNA, UTS 46).

    InputError if it is none. Case does not tell mailboxes apart in practice, though RFC 5321 section 2.4 would let it.
    Reserved domains, such as example.org, are addresses like others; one without a dot is not. Non-ASCII letters before
    the @ are refused, as most servers do not take them (RFC 6531).
    """
    address = text.strip().lower()
    plain = _PLAIN.fullmatch(address)
    if plain is not None and len(plain[1]) <= _PLAIN_LOCAL:
        domain, why = _domain_verdict(plain[2])
        if why:
            raise InputError(_refusal(text, why))
        return f"{plain[1]}@{domain}"
    try:
        found = _validated(address)
    except EmailNotValidError as error:
        raise InputError(_refusal(text, str(error))) from error
    return found


def email_hash(email: str) -> str:
    """The SHA-256 of a normalised address, hexadecimal: what the suppression list keeps."""
    return hashlib.sha256(email.encode()).hexdigest()


def work_domains(email: str) -> Iterator[str]:
    """The domains by which a normalised address may be matched to an institution, the nearest first.

    `ann@cs.lancaster.ac.uk` gives cs.lancaster.ac.uk, then lancaster.ac.uk; a public mail provider's gives none.
    """
    labels = email.rpartition("@")[2].split(".")
    for first in range(len(labels) - 1):
        domain = ".".join(labels[first:])
        if domain in _PUBLIC_PROVIDERS or is_shared(domain):
            return
        yield domain


def is_shared(domain: str) -> bool:
    """Whether a domain is one that a country gives others out under, such as ac.uk or gov.uk."""
    second, _, country = domain.partition(".")
    return second in _SHARED_SECOND_LEVELS and len(country) == 2


@lru_cache(maxsize=50_000)
def _domain_verdict(domain: str) -> tuple[str, str]:
    """A domain in its kept form, or why it cannot be one."""
    try:
        return _validated(f"a@{domain}").partition("@")[2], ""
    except EmailNotValidError as error:
        return "", str(error)


def _validated(address: str) -> str:
    # `test_environment` is the library's word for taking the reserved domain `test` with the rest of the reserved ones.
    found = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    if "." not in found.ascii_domain:
        raise EmailNotValidError("The part after the @-sign is not complete. It has no dot.")
    return f"{found.local_part}@{found.ascii_domain}".lower()


def _refusal(text: str, why: str) -> str:
    shown = text.strip()
    return f"{shown[:60] + '…' if len(shown) > 60 else shown!r} is not an e-mail address: {' '.join(why.split())}"
