"""Answers from kept bytes: validators, 304, and the stored compressed forms (RFC 9110, sections 8.8, 12.5.3 and 13)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

Headers = list[tuple[bytes, bytes]]

CALENDAR = b"text/calendar; charset=utf-8"
# The address is a secret, so nothing shared may keep it; asking each time is cheap, and a moved event is seen at once.
_CACHE_CONTROL = b"private, no-cache"
_SUFFIXES = {"br": "-br", "gzip": "-gzip", "": ""}
_ALIASES = {"x-gzip": "gzip"}
_WEIGHT = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*")


class Form(NamedTuple):
    """The bytes in one content coding, with the headers that go with them, and with a 304 that stands for them."""

    body: bytes
    headers: Headers
    unchanged: Headers


@dataclass(frozen=True)
class Representation:
    """One revision of something, ready to send. `etag` is bare; `changed_at` has whole seconds.

    `forms` are by content coding, the best first, the plain one ("") last. Each has an ETag of its own, as a strong one
    must have: the bytes are others.
    """

    etag: str
    changed_at: datetime
    last_modified: bytes
    forms: dict[str, Form] = field(repr=False)
    codings: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all forms together."""
        return sum(len(form.body) for form in self.forms.values())


def representation(
    etag: str,
    changed_at: datetime,
    body: bytes,
    gzipped: bytes | None,
    now: datetime,
    extra: Iterable[tuple[bytes, bytes]] = (),
    brotli: bytes | None = None,
) -> Representation:
    """Make one, with the headers that every answer from it carries. Last-Modified is never later than `now`."""
    changed = changed_at.replace(microsecond=0)
    last_modified = format_datetime(min(changed, now).astimezone(UTC), usegmt=True).encode()
    extra_headers = list(extra)

    def form(coding: str, content: bytes) -> Form:
        always = [
            (b"etag", f'"{etag}{_SUFFIXES[coding]}"'.encode()),
            (b"cache-control", _CACHE_CONTROL),
            (b"vary", b"Accept-Encoding"),
        ]
        more = [
            (b"last-modified", last_modified),
            (b"x-robots-tag", b"noindex"),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
            *extra_headers,
        ]
        described = [(b"content-type", CALENDAR), (b"content-length", str(len(content)).encode())]
        if coding:
            described.append((b"content-encoding", coding.encode()))
        # A 304 needs no more than what a cache goes by (RFC 9110 15.4.5).
        return Form(content, described + always + more, always)

    there = {"br": brotli, "gzip": gzipped, "": body}
    forms = {coding: form(coding, content) for coding, content in there.items() if content is not None}
    return Representation(etag, changed, last_modified, forms, tuple(filter(None, forms)))


def answer(asked: Iterable[tuple[bytes, bytes]], shown: Representation) -> tuple[int, Headers, bytes]:
    """Status, headers and body for a GET with these request headers. A HEAD sends the same without the body."""
    encoding, tags, since = b"", None, None
    for name, value in asked:
        if name == b"accept-encoding":
            encoding = encoding + b"," + value if encoding else value
        elif name == b"if-none-match":
            tags = tags + b"," + value if tags else value
        elif name == b"if-modified-since":
            since = value
    form = shown.forms[coding_for(encoding, shown.codings)]
    if tags is not None:
        unchanged = _matches(tags, shown.etag)
    else:
        unchanged = since is not None and _not_since(since, shown.changed_at)
    return (304, form.unchanged, b"") if unchanged else (200, form.headers, form.body)


@lru_cache(maxsize=256)
def coding_for(value: bytes, offered: tuple[str, ...]) -> str:
    """Which of the codings on offer, best first, an Accept-Encoding header takes; "" for none, the plain form.

    The heaviest wins, the better of two that weigh the same. The plain form is there unless it is named, and then wins
    where it weighs more; a header that forbids everything gets it all the same (RFC 9110 12.5.3 leaves that open).
    No header, or an empty one, takes only the plain form: that is what calendar importers without one can read.
    """
    weights: dict[str, float] = {}
    for item in value.decode("latin-1").lower().split(","):
        coding, _, parameter = (part.strip() for part in item.partition(";"))
        weight = _WEIGHT.fullmatch(parameter)
        weights[_ALIASES.get(coding, coding)] = float(weight[1]) if weight else 1.0
    rest = weights.get("*", 0.0)
    plain = weights.get("identity", rest)
    best = max(offered, key=lambda coding: weights.get(coding, rest), default="")
    heaviest = weights.get(best, rest)
    return best if heaviest > 0 and heaviest >= plain else ""


def _matches(value: bytes, etag: str) -> bool:
    """If-None-Match compares weakly; any form's tag stands for the same revision."""
    if value.strip() == b"*":
        return True
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in value.decode("latin-1").split(","))
    return any(tag.removesuffix("-gzip").removesuffix("-br") == etag for tag in tags)


def _not_since(value: bytes, changed_at: datetime) -> bool:
    try:
        since = parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, TypeError, OverflowError):
        return False
    # "-0000" and a missing zone come back naive; HTTP's dates are UTC whatever they say.
    return changed_at <= (since.replace(tzinfo=UTC) if since.tzinfo is None else since)
