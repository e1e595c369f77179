"""Statements that are made once: for what runs all the time, building one costs more than running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from sqlmodel import Session

S = TypeVar("S")
About = TypeVarTuple("About")

_KEPT = 64


def made_once(make: Callable[[Session, *About], S]) -> Callable[[Session, *About], S]:
    """Keep what `make` makes of a session's dialect, and of what else it is given, which must be few hashable values.

    A statement of it names its parameters (`sa.bindparam`), and their values are given where it runs.
    """
    made: dict[tuple[object, ...], S] = {}

    def kept(session: Session, *about: *About) -> S:
        key = session.get_bind().dialect.name, *about
        found = made.get(key)
        if found is None:
            if len(made) >= _KEPT:
                made.clear()
            found = made[key] = make(session, *about)
        return found

    return kept
