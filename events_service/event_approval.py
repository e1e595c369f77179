"""Weighing an event against the programme, and the waivers that an organiser gives it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from events_service import event_checks
from events_service.db.tables import Event, Waiver
from events_service.domain.events import EventFacts
from events_service.domain.rules import RULES
from events_service.domain.violations import Violation, refuses
from events_service.errors import InputError, RefusedError, UsageError
from events_service.event_rows import id_of

MAX_REASON = 2000
_BY_CODE = {rule.code: rule for rule in RULES}


def weigh(
    session: Session,
    event: Event,
    now: datetime,
    waive: Sequence[str] = (),
    reason: str = "",
    facts: EventFacts | None = None,
) -> tuple[list[str], list[Violation]]:
    """Which codes are newly waived, and what the event (or `facts` in its stead) still breaks, waived ones marked.

    The new waivers are put on record with their reason. RefusedError while an error stands that is not waived, or for
    a waiver of a rule that none lifts; UsageError for a waiver without a reason, or of what is no error's code.
    """
    codes = list(dict.fromkeys(waive))
    for code in codes:
        _check_code(code)
    why = given_reason(reason, "a waiver") if codes else ""
    found = event_checks.verdict(session, event, now, facts)
    for code in codes:
        if not _BY_CODE[code].waivable:
            raise RefusedError(f"{event.slug}: no waiver lifts {code}", found)
    broken = {one.code for one in found if not one.waived}
    lifted = [code for code in codes if code in broken]
    for code in lifted:
        session.add(Waiver(event_id=id_of(event), code=code, reason=why, granted_at=now))
    if lifted:
        session.flush()
        found = event_checks.verdict(session, event, now, facts)
    refuse(event.slug, found)
    return lifted, found


def refuse(slug: str, violations: Sequence[Violation]) -> None:
    """Raise RefusedError, in one line that names the codes, if an error stands that is not waived."""
    if not refuses(violations):
        return
    standing = [one for one in violations if one.severity == "error" and not one.waived]
    waivable = [one.code for one in standing if one.waivable]
    hint = ""
    if len(waivable) == len(standing):
        words = " ".join(f"--waive {code}" for code in waivable)
        hint = f"; change it, or lift the rule: {words} --reason TEXT"
    raise RefusedError(f"{slug} breaks {', '.join(one.code for one in standing)}{hint}", violations)


def given_reason(reason: str, of: str) -> str:
    """A reason as it is kept; UsageError without one, InputError for one that cannot be kept."""
    text = reason.strip()
    if not text:
        raise UsageError(f"{of} needs a reason: add --reason TEXT")
    if len(text) > MAX_REASON:
        raise InputError(f"the reason is {len(text):,} characters long; at most {MAX_REASON:,} are kept")
    if not all(char.isprintable() or char in "\n\t" for char in text):
        raise InputError("the reason holds a control character; take it out")
    return text


def _check_code(code: str) -> None:
    rule = _BY_CODE.get(code)
    if rule is None:
        near = difflib.get_close_matches(code[:80], list(_BY_CODE), n=1)
        hint = f"did you mean {near[0]}?" if near else f"waivable are {', '.join(r.code for r in RULES if r.waivable)}"
        raise UsageError(f"--waive {code[:80]!r} names no rule; {hint}")
    if rule.severity == "warning":
        raise UsageError(f"--waive {code}: it is a warning, which stops nothing; leave the waiver out")
