"""Writing a file as a whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from events_service.errors import FileError


def write_whole(path: Path, body: bytes) -> None:
    """Write a file, and its folder if it is missing; FileError where it cannot be, and then what was there stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(body)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        why = (error.strerror or "unknown reason").lower()
        raise FileError(path, f"cannot be written: {why}; choose another place") from error
