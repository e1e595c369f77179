"""Answers from kept bytes: validators, 304, and the stored gzip (RFC 9110, sections 8.8, 12.5.3 and 13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

Headers = list[tuple[bytes, bytes]]

CALENDAR = b"text/calendar; charset=utf-8"
# The address is a secret, so nothing shared may keep it; asking each time is cheap, and a moved event is seen at once.
_CACHE_CONTROL = b"private, no-cache"
_GZIP_SUFFIX = "-gzip"


@dataclass(frozen=True)
class Representation:
    """One revision of something, ready to send. `etag` is bare; `changed_at` has whole seconds.

    The gzipped form has an ETag of its own, as a strong ETag must: the bytes are others.
    """

    etag: str
    changed_at: datetime
    body: bytes
    gzipped: bytes | None
    last_modified: bytes
    plain_headers: Headers = field(repr=False)
    gzip_headers: Headers = field(repr=False)


def representation(
    etag: str,
    changed_at: datetime,
    body: bytes,
    gzipped: bytes | None,
    now: datetime,
    extra: Iterable[tuple[bytes, bytes]] = (),
) -> Representation:
    """Make one, with the headers that every answer from it carries. Last-Modified is never later than `now`."""
    changed = changed_at.replace(microsecond=0)
    last_modified = format_datetime(min(changed, now).astimezone(UTC), usegmt=True).encode()

    def headers(tag: str) -> Headers:
        return [
            (b"etag", f'"{tag}"'.encode()),
            (b"last-modified", last_modified),
            (b"cache-control", _CACHE_CONTROL),
            (b"vary", b"Accept-Encoding"),
            (b"x-robots-tag", b"noindex"),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
            *extra,
        ]

    return Representation(etag, changed, body, gzipped, last_modified, headers(etag), headers(etag + _GZIP_SUFFIX))


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
    zipped = shown.gzipped is not None and accepts_gzip(encoding)
    headers = shown.gzip_headers if zipped else shown.plain_headers
    if tags is not None:
        unchanged = _matches(tags, shown.etag)
    else:
        unchanged = since is not None and _not_since(since, shown.changed_at)
    if unchanged:
        return 304, headers, b""
    body = shown.gzipped if zipped and shown.gzipped is not None else shown.body
    described = [(b"content-type", CALENDAR), (b"content-length", str(len(body)).encode())]
    if zipped:
        described.append((b"content-encoding", b"gzip"))
    return 200, described + headers, body


@lru_cache(maxsize=256)
def accepts_gzip(value: bytes) -> bool:
    """Whether an Accept-Encoding header takes gzip; no header, or an empty one, takes only the plain form."""
    wildcard = False
    for item in value.decode("latin-1").lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        refused = any(_is_zero(parameter) for parameter in parameters)
        if coding in ("gzip", "x-gzip"):
            return not refused
        if coding == "*":
            wildcard = not refused
    return wildcard


def _is_zero(parameter: str) -> bool:
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and weight.strip().rstrip("0") in ("", "0.")


def _matches(value: bytes, etag: str) -> bool:
    """If-None-Match compares weakly; either form's tag stands for the same revision."""
    if value.strip() == b"*":
        return True
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in value.decode("latin-1").split(","))
    return any(tag.removesuffix(_GZIP_SUFFIX) == etag for tag in tags)


def _not_since(value: bytes, changed_at: datetime) -> bool:
    try:
        since = parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, TypeError, OverflowError):
        return False
    # "-0000" and a missing zone come back naive; HTTP's dates are UTC whatever they say.
    return changed_at <= (since.replace(tzinfo=UTC) if since.tzinfo is None else since)
