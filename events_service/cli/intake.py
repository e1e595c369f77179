"""`events intake`: one e-mail on stdin."""

from __future__ import annotations

import sys
from typing import Any

import typer

from events_service.cli.base import Run, verb


def register(root: typer.Typer) -> None:
    """Add the command to the root."""
    verb(root, "intake")(intake)


def intake(run: Run) -> None:
    """Take one e-mail on stdin: a calendar reply, a bounce, a complaint. What it is not is left alone."""
    from events_service import intake as mail_in

    message = sys.stdin.buffer.read(mail_in.MAX_READ)
    with run.write() as session:
        taken = mail_in.take(session, message, run.settings, run.now)
        document: dict[str, Any] = {"kind": taken.kind, "applied": taken.applied, "why": taken.why}
    done = "applied" if taken.applied else "not applied"
    run.emit(document, lambda console: console.print(f"{taken.kind}, {done}: {taken.why}", markup=False))
