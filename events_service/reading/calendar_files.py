"""Where a calendar that others wrote comes from: a file, or an address."""

from __future__ import annotations

from pathlib import Path

from events_service.errors import FileError
from events_service.reading.fetch import MAX_BYTES, fetch
from events_service.reading.web_addresses import is_web_address


def calendar_bytes(source: str) -> bytes:
    """The bytes of an .ics file, or of what an http, https or webcal address leads to; FileError."""
    if is_web_address(source):
        return fetch(source)
    try:
        path = Path(source)
        if path.is_dir():
            raise FileError(source, "is a folder; give an .ics file, or its address")
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(source, f"cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    except ValueError as error:
        raise FileError(source, "cannot be read: not a file's name") from error
    if len(body) > MAX_BYTES:
        raise FileError(source, f"is larger than {MAX_BYTES // 1_000_000} MB; no calendar is")
    return body
