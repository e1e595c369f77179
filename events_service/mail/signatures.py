"""Whether the sender's own domain signed a mail: by DKIM (RFC 6376), or by the word of a server of ours (RFC 8601).

It says so of one address only, the author's: a signature of any other domain proves nothing of them. Keys are looked up
in the DNS, so it is asked before a transaction and not in one; how much and how long is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from events_service.config import OFF, Settings
from events_service.mail.dkim import Lookup, UnprovenError, check, read_tags, take_apart

MAX_SIGNATURES = 3
MAX_SIGNED_BYTES = 5 * 1024 * 1024
LOOKUP_SECONDS = 3.0

_PASS = re.compile(r"(dkim|dmarc)(?:/\d+)?=pass", re.IGNORECASE)
_AROUND_SIGNS = re.compile(r"\s*=\s*")


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of looking: `doubt` is why the sender is not believed, in one clause; None where they are."""

    doubt: str | None


def wanted(settings: Settings) -> bool:
    """Whether a calendar mail must be signed to be believed."""
    return settings.dkim != OFF or bool(settings.authserv_id)


def prove(
    message: bytes,
    sender: str,
    results: Sequence[str],
    settings: Settings,
    now: datetime,
    lookup: Lookup | None = None,
) -> Proof:
    """Look whether the domain of `sender` signed the message; `results` are its Authentication-Results, topmost first.

    The topmost of EVENTS_AUTHSERV_ID decides where there is one: that server saw the message come in. Else the
    signatures are checked, with EVENTS_DKIM=check. Nothing that a mail holds makes it raise.
    """
    try:
        domain = sender.rpartition("@")[2].lower().encode("idna").decode()
    except UnicodeError:
        domain = ""
    if not domain:
        return Proof("its sender is not beyond doubt")
    if settings.authserv_id:
        said = next((one for one in map(_read_results, results) if _is_id(one, settings.authserv_id)), None)
        if said is not None:
            signed = any(aligned(signer, domain) for signer in _signers(said[1:]))
            return Proof(None if signed else f"{settings.authserv_id} does not say that its sender's domain signed it")
        if settings.dkim == OFF:
            return Proof(f"{settings.authserv_id} says nothing of it")
    return Proof(_doubt(message, domain, lookup or look_up, now))


def aligned(signer: str, domain: str) -> bool:
    """Whether a signature of `signer` speaks for addresses at `domain`: it is that domain, or one above it.

    Not one below it: whoever was lent a name in a domain does not speak for all of it. Nor a whole top-level domain.
    """
    signer = signer.lower().strip(".")
    return bool(signer) and (signer == domain or ("." in signer and domain.endswith("." + signer)))


def look_up(name: str) -> bytes | None:
    """The TXT record of a name, its strings joined, from the system's resolver."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=LOOKUP_SECONDS, search=False)
    except (dns.exception.DNSException, OSError, ValueError):
        return None
    return next((b"".join(record.strings) for record in answer), None)


def _doubt(message: bytes, domain: str, lookup: Lookup, now: datetime) -> str | None:
    if len(message) > MAX_SIGNED_BYTES:
        return f"with {len(message)} bytes it is too large for its signature to be checked"
    signed = take_apart(message)
    doubt = "its sender's domain did not sign it"
    speaking = [
        field for field in signed.signatures if aligned(read_tags(field.partition(b":")[2]).get("d", ""), domain)
    ]
    for field in speaking[:MAX_SIGNATURES]:
        try:
            check(signed, field, lookup, now)
        except UnprovenError as why:
            doubt = f"the signature of its sender's domain proves nothing: {why}"
        else:
            return None
    return doubt


def _read_results(header: str) -> list[str]:
    """The id and each result of an Authentication-Results header (RFC 8601 2.2), without comments and quoted words.

    What others wrote may stand in both, and could read like a result.
    """
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for char in header:
        if escaped:
            escaped = False
        elif char == "\\" and (quoted or depth):
            escaped = True
        elif char == '"' and not depth:
            quoted = not quoted
            kept.append("?")
        elif quoted:
            continue
        elif char == "(":
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            kept.append(" ")
        elif not depth:
            kept.append(char)
    return [piece.strip() for piece in "".join(kept).split(";")]


def _is_id(result: list[str], authserv_id: str) -> bool:
    words = result[0].split()
    return bool(words) and words[0].lower() == authserv_id.lower()


def _signers(results: Iterable[str]) -> Iterable[str]:
    """The domains that passed: who signed by DKIM, and whose From was found to be theirs by DMARC."""
    for result in results:
        method, *properties = _AROUND_SIGNS.sub("=", result).split()[:20] or [""]
        passed = _PASS.fullmatch(method)
        if not passed:
            continue
        named = {name.lower(): value for name, _, value in (one.partition("=") for one in properties)}
        if passed[1].lower() == "dmarc":
            yield named.get("header.from", "").rpartition("@")[2]
        else:
            yield named.get("header.d") or named.get("header.i", "").rpartition("@")[2]
