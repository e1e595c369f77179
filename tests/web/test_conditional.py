"""Validators, negotiation and 304, without a server."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import pytest

from events_service.web.conditional import Representation, accepts_gzip, answer, representation

CHANGED = datetime(2023, 7, 1, 10, 0, 0, tzinfo=UTC)
BODY = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


@pytest.fixture
def shown() -> Representation:
    return representation("abc", CHANGED, BODY, gzip.compress(BODY, mtime=0), CHANGED + timedelta(hours=1))


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


def test_gzip_is_the_kept_bytes_under_an_etag_of_their_own(shown: Representation) -> None:
    status, headers, body = ask(shown, ("accept-encoding", "deflate, gzip;q=1.0"))
    assert (status, headers["content-encoding"], headers["etag"]) == (200, "gzip", '"abc-gzip"')
    assert body == shown.gzipped and headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip ;q=0.5", True),
        ("*", True),
        ("*;q=0.1", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("*, gzip;q=0", False),
        ("gzip;q=0.001", True),
        ("gzipped", False),
    ],
)
def test_which_accept_encoding_takes_gzip(value: str, takes: bool) -> None:
    assert accepts_gzip(value.encode()) is takes


@pytest.mark.parametrize("tag", ['"abc"', 'W/"abc"', '"abc-gzip"', '"x", "abc"', "*", ' "abc" '])
def test_a_known_etag_is_answered_304(shown: Representation, tag: str) -> None:
    status, headers, body = ask(shown, ("if-none-match", tag))
    assert (status, body) == (304, b"")
    assert headers["etag"] == '"abc"' and "content-length" not in headers and "content-type" not in headers


@pytest.mark.parametrize("tag", ['"abd"', "", '"ABC"', '"ab"', '"abc-br"'])
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
