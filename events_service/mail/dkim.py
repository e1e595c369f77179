"""Checks one DKIM signature (RFC 6376) by RSA and SHA-256, which every signer offers (RFC 8301, RFC 8463 section 3).

Only what a reply needs to be believed: what a signature may lack elsewhere, such as covering the whole text, is a fault
here. It is arithmetic on bytes that were handed over: the key comes from whoever is asked for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

MIN_KEY_BITS, MAX_KEY_BITS = 1024, 8192
_MAX_EXPONENT = 2**32

Lookup = Callable[[str], bytes | None]
"""The TXT record of a name in the DNS; None where there is none, or none was to be had in time."""

_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_SPACE = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_NO_SIGNATURE = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_CANONICAL = re.compile(rb"(simple|relaxed)(?:/(simple|relaxed))?")
# DigestInfo of a SHA-256 (RFC 8017 section 9.2).
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


class UnprovenError(Exception):
    """A signature proves nothing; the words say why, in one clause."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A message taken apart: its header fields as they stand, top first, each with its name in lower case; its body."""

    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def signatures(self) -> list[bytes]:
        """Its DKIM-Signature fields, topmost first."""
        return [field for name, field in self.fields if name == b"dkim-signature"]


def take_apart(message: bytes) -> Signed:
    """A message as it was signed: with CRLF, whatever carried it here."""
    whole = re.sub(rb"\r?\n", b"\r\n", message)
    head, _, body = whole.partition(b"\r\n\r\n")
    fields = []
    for field in re.split(rb"\r\n(?![ \t])", head):
        name, colon, _ = field.partition(b":")
        if colon:
            fields.append((name.strip().lower(), field + b"\r\n"))
    return Signed(tuple(fields), body)


def read_tags(field: bytes) -> dict[str, str]:
    """The tags of a signature or of a key (RFC 6376 3.2), without white space; of one that stands twice the last."""
    found = {}
    for tag in field.split(b";"):
        name, sign, value = tag.partition(b"=")
        if sign:
            found[name.strip().decode("ascii", "replace")] = b"".join(value.split()).decode("ascii", "replace")
    return found


def check(message: Signed, field: bytes, lookup: Lookup, now: datetime) -> None:
    """Check one of the message's signatures; UnprovenError says why it proves nothing of who wrote the message."""
    value = field.partition(b":")[2]
    tags = read_tags(value)
    _check_fit(tags, now)
    canonical = _CANONICAL.fullmatch(tags.get("c", "simple").encode("ascii", "replace"))
    if canonical is None:
        raise UnprovenError("it does not say how the text was made canonical")
    of_head, of_body = canonical[1] == b"relaxed", canonical[2] == b"relaxed"
    if not hmac.compare_digest(hashlib.sha256(_body(message.body, of_body)).digest(), _decode(tags["bh"])):
        raise UnprovenError("the text was changed after it was signed")
    named = [name.strip().lower().encode("ascii", "replace") for name in tags["h"].split(":")]
    name = field.partition(b":")[0]
    own = name + b":" + _NO_SIGNATURE.sub(rb"\1", value.rstrip(b"\r\n"))
    covered = [_field(one, of_head) for one in _chosen(message, named)] + [_field(own + b"\r\n", of_head)[:-2]]
    modulus, exponent = _key(tags, lookup)
    if not _verifies(hashlib.sha256(b"".join(covered)).digest(), _decode(tags["b"]), modulus, exponent):
        raise UnprovenError("it does not match its headers or its key")


def _check_fit(tags: dict[str, str], now: datetime) -> None:
    missing = [tag for tag in ("v", "a", "b", "bh", "d", "h", "s") if not tags.get(tag)]
    if missing or tags["v"] != "1":
        raise UnprovenError(f"it lacks {missing[0]}=" if missing else "it is of no version that is known")
    if "l" in tags:
        raise UnprovenError("it covers a part of the text only (l=)")
    if "from" not in [name.strip().lower() for name in tags["h"].split(":")]:
        raise UnprovenError("it does not cover From")
    if tags["a"].lower() != "rsa-sha256":
        raise UnprovenError("it is not made by RSA and SHA-256")
    if not (_NAME.fullmatch(tags["d"]) and _NAME.fullmatch(tags["s"])):
        raise UnprovenError("its domain or selector is no name")
    expires = tags.get("x", "")
    if expires and not (expires.isascii() and expires.isdigit() and now.timestamp() <= int(expires[:12])):
        raise UnprovenError("its time is over")
    identity = tags.get("i", "").rpartition("@")[2].lower()
    if identity and identity != tags["d"].lower() and not identity.endswith("." + tags["d"].lower()):
        raise UnprovenError("its identity is not in its domain")


def _body(body: bytes, relaxed: bool) -> bytes:
    """The text as it is hashed (RFC 6376 3.4.3 and 3.4.4)."""
    if relaxed:
        body = b"\r\n".join(_SPACE.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n"))
    end = len(body)
    while body[end - 2 : end] == b"\r\n":
        end -= 2
    return body[:end] + b"\r\n" if end or not relaxed else b""


def _field(field: bytes, relaxed: bool) -> bytes:
    """A header field as it is hashed (RFC 6376 3.4.1 and 3.4.2)."""
    if not relaxed:
        return field
    name, _, value = field.partition(b":")
    return name.strip().lower() + b":" + _SPACE.sub(b" ", _FOLD.sub(b"", value)).strip(b" \r\n") + b"\r\n"


def _chosen(message: Signed, named: list[bytes]) -> list[bytes]:
    """The fields of those names, of several of one name the lowest first (RFC 6376 5.4.2); a missing one is nothing."""
    left: dict[bytes, list[bytes]] = {}
    for name, field in message.fields:
        left.setdefault(name, []).append(field)
    return [left[name].pop() for name in named if left.get(name)]


def _key(tags: dict[str, str], lookup: Lookup) -> tuple[int, int]:
    """The signer's public key from the DNS (RFC 6376 3.6)."""
    record = lookup(f"{tags['s']}._domainkey.{tags['d']}".lower())
    if record is None:
        raise UnprovenError("its key is not in the DNS, or could not be looked up")
    key = read_tags(record)
    flags = key.get("t", "").split(":")
    if key.get("v", "DKIM1") != "DKIM1" or key.get("k", "rsa") != "rsa" or not key.get("p"):
        raise UnprovenError("its key was withdrawn, or is of another kind")
    if "y" in flags:
        raise UnprovenError("its domain only tries signing out (t=y)")
    if "s" in flags and tags.get("i", "").rpartition("@")[2].lower() not in ("", tags["d"].lower()):
        raise UnprovenError("its identity is not its domain (t=s)")
    if key.get("h") and "sha256" not in key["h"].split(":"):
        raise UnprovenError("its key is not for SHA-256")
    if key.get("s") and not {"*", "email"} & set(key["s"].split(":")):
        raise UnprovenError("its key is not for mail")
    modulus, exponent = _read_key(_decode(key["p"]))
    if not MIN_KEY_BITS <= modulus.bit_length() <= MAX_KEY_BITS or not 1 < exponent < _MAX_EXPONENT:
        raise UnprovenError(f"its key of {modulus.bit_length()} bits is too short or too odd")
    return modulus, exponent


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UnprovenError("it holds what is no base64") from None


def _read_key(der: bytes) -> tuple[int, int]:
    """Modulus and exponent of a SubjectPublicKeyInfo, or of the RSAPublicKey that is inside one (RFC 8017 A.1.1)."""
    kind, inside, _ = _element(der)
    first, value, rest = _element(inside)
    if kind == 0x30 and first == 0x30:
        kind, bits, _ = _element(rest)
        if kind != 0x03:
            raise UnprovenError("its key cannot be read")
        _, inside, _ = _element(bits[1:])
        first, value, rest = _element(inside)
    second, exponent, _ = _element(rest)
    if (first, second) != (0x02, 0x02):
        raise UnprovenError("its key cannot be read")
    return int.from_bytes(value), int.from_bytes(exponent)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """The first element of a DER text: its tag, its content, and what follows it."""
    if len(der) < 2:
        raise UnprovenError("its key cannot be read")
    length, start = der[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(der[2:start])
    if start > 6 or start + length > len(der):
        raise UnprovenError("its key cannot be read")
    return der[0], der[start : start + length], der[start + length :]


def _verifies(digest: bytes, signature: bytes, modulus: int, exponent: int) -> bool:
    """RSASSA-PKCS1-v1_5 (RFC 8017 8.2.2): what must have been signed is made, and compared whole."""
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature)
    if len(signature) > size or number >= modulus:
        return False
    padding = size - len(_SHA256) - len(digest) - 3
    meant = b"\x00\x01" + b"\xff" * padding + b"\x00" + _SHA256 + digest
    return hmac.compare_digest(pow(number, exponent, modulus).to_bytes(size), meant)
