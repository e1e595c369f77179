"""What of an e-mail is safe to take apart: the library makes an object of every part, however many there are."""

from __future__ import annotations

import re

from events_service.errors import InputError

MAX_MARKS = 10_000
MAX_BOUNDARIES = 100
MAX_REPORT_BYTES = 128 * 1024

_MARK = re.compile(rb"^--", re.MULTILINE)
_BOUNDARY = re.compile(rb"boundary[ \t]*[*=]", re.IGNORECASE)
_REPORT = re.compile(rb"(?:delivery-status|feedback-report)", re.IGNORECASE)
_BLANK_LINES = re.compile(rb"(?:\r?\n[ \t]*){3,}")


def bounded(message: bytes) -> bytes:
    """The message, made fit to be parsed in a second or two; InputError if it has thousands of parts.

    Of a report the first 128 KiB are kept, and runs of blank lines shortened: what it says stands before what came
    back, and each blank line would make an object.
    """
    if _more_than(MAX_MARKS, _MARK, message) or _more_than(MAX_BOUNDARIES, _BOUNDARY, message):
        raise InputError(f"the message has more than {MAX_BOUNDARIES} kinds of parts, or {MAX_MARKS:,} parts")
    if _REPORT.search(message):
        return _BLANK_LINES.sub(b"\n\n", message[:MAX_REPORT_BYTES])
    return message


def _more_than(most: int, pattern: re.Pattern[bytes], message: bytes) -> bool:
    return any(number >= most for number, _ in enumerate(pattern.finditer(message)))
