"""Validators, negotiation and 304, without a server."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import brotli
import pytest

from events_service.web.conditional import Representation, answer, coding_for, representation

CHANGED = datetime(2023, 7, 1, 10, 0, 0, tzinfo=UTC)
BODY = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


@pytest.fixture
def shown() -> Representation:
    zipped, later = gzip.compress(BODY, mtime=0), CHANGED + timedelta(hours=1)
    return representation("abc", CHANGED, BODY, zipped, later, brotli=brotli.compress(BODY))


def ask(shown: Representation, *headers: tuple[str, str]) -> tuple[int, dict[str, str], bytes]:
    status, answered, body = answer([(name.encode(), value.encode()) for name, value in headers], shown)
    return status, {name.decode(): value.decode() for name, value in answered}, body


def test_a_plain_get_gets_the_bytes_and_all_validators(shown: Representation) -> None:
    assert ask(shown) == (
        200,
        {
            "content-type": "text/calendar; charset=utf-8",
            "content-length": str(len(BODY)),
            "etag": '"abc"',
            "last-modified": "Sat, 01 Jul 2023 10:00:00 GMT",
            "cache-control": "private, no-cache",
            "vary": "Accept-Encoding",
            "x-robots-tag": "noindex",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        },
        BODY,
    )


@pytest.mark.parametrize(("coding", "plain"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
def test_a_compressed_form_has_an_etag_of_its_own(
    shown: Representation, coding: str, plain: Callable[[bytes], bytes]
) -> None:
    status, headers, body = ask(shown, ("accept-encoding", f"deflate, {coding};q=0.9"))
    assert (status, headers["content-encoding"], headers["etag"]) == (200, coding, f'"abc-{coding}"')
    assert plain(body) == BODY and headers["content-length"] == str(len(body))
    assert headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("value", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("br, gzip ;q=0.5", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("br;q=0.8, gzip;q=0.8", "br"),
        ("br; Q = 0.7 , gzip;q=0.71", "gzip"),
        ("*", "br"),
        ("*;q=0.1", "br"),
        ("br;q=0, *", "gzip"),
        ("*, br;q=0, gzip;q=0", ""),
        ("gzip;q=0, *", "br"),
        ("", ""),
        (",", ""),
        ("identity", ""),
        ("identity, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity;q=0", ""),
        ("*;q=0", ""),
        ("gzip;q=0", ""),
        ("gzip; q=0.000", ""),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=nan, br;q=0", "gzip"),
        ("gzip;q=2", "gzip"),
        ("gzipped", ""),
        ("brotli", ""),
    ],
)
def test_which_coding_an_accept_encoding_takes(value: str, coding: str) -> None:
    assert coding_for(value.encode(), ("br", "gzip")) == coding


def test_a_coding_that_is_not_kept_is_not_taken() -> None:
    assert coding_for(b"br", ("gzip",)) == coding_for(b"br, gzip", ()) == ""
    assert coding_for(b"br, gzip;q=0.1", ("gzip",)) == "gzip"


@pytest.mark.parametrize("tag", ['"abc"', 'W/"abc"', '"abc-gzip"', 'W/"abc-br"', '"x", "abc"', "*", ' "abc" '])
def test_a_known_etag_is_answered_304(shown: Representation, tag: str) -> None:
    status, headers, body = ask(shown, ("if-none-match", tag))
    assert (status, body) == (304, b"")
    assert headers["etag"] == '"abc"' and "content-length" not in headers and "content-type" not in headers


@pytest.mark.parametrize("tag", ['"abd"', "", '"ABC"', '"ab"', '"abc-zstd"'])
def test_another_etag_is_answered_in_full(shown: Representation, tag: str) -> None:
    assert ask(shown, ("if-none-match", tag))[0] == 200


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Sat, 01 Jul 2023 10:00:00 GMT", 304),
        ("Sat, 01 Jul 2023 12:00:00 +0200", 304),
        ("Sat, 01 Jul 2023 10:00:00 -0000", 304),
        ("Sunday, 02-Jul-23 10:00:00 GMT", 304),
        ("Sat, 01 Jul 2023 09:59:59 GMT", 200),
        ("yesterday", 200),
        ("Sat, 01 Jul 99999 09:59:59 GMT", 200),
        ("", 200),
    ],
)
def test_if_modified_since(shown: Representation, since: str, status: int) -> None:
    assert ask(shown, ("if-modified-since", since))[0] == status


def test_if_none_match_wins_over_if_modified_since(shown: Representation) -> None:
    since = ("if-modified-since", "Sat, 01 Jul 2023 10:00:00 GMT")
    assert ask(shown, since, ("if-none-match", '"old"'))[0] == 200
    assert ask(shown, ("if-modified-since", "Fri, 30 Jun 2023 10:00:00 GMT"), ("if-none-match", '"abc"'))[0] == 304


def test_last_modified_never_lies_ahead_and_then_matches_nothing() -> None:
    ahead = representation("abc", CHANGED + timedelta(seconds=1), BODY, None, CHANGED)
    _, headers, _ = ask(ahead)
    assert headers["last-modified"] == "Sat, 01 Jul 2023 10:00:00 GMT"
    assert ask(ahead, ("if-modified-since", headers["last-modified"]))[0] == 200


def test_without_a_gzipped_form_the_plain_one_is_sent() -> None:
    plain = representation("abc", CHANGED, BODY, None, CHANGED)
    status, headers, body = ask(plain, ("accept-encoding", "gzip"))
    assert (status, body, headers["etag"]) == (200, BODY, '"abc"')
    assert "content-encoding" not in headers
