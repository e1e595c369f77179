"""Reading a text file that a person wrote: bounded, UTF-8, and one clear line where it cannot be read."""

from __future__ import annotations

from pathlib import Path

from events_service.errors import FileError

LIMIT_BYTES = 1_000_000


def read_text(path: Path, limit: int = LIMIT_BYTES) -> str:
    """The text of a UTF-8 file (with or without a byte order mark) of at most `limit` bytes; FileError."""
    try:
        with path.open("rb") as file:
            body = file.read(limit + 1)
    except OSError as error:
        raise FileError(path, f"cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    except ValueError as error:
        raise FileError(path, "cannot be read: not a file's name") from error
    if len(body) > limit:
        raise FileError(path, f"is larger than {limit:,} bytes; no file of this kind is")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise FileError(path, f"line {line}: is not UTF-8; save it as UTF-8") from error
