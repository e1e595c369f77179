from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from events_service import campaign_changes, people
from events_service.db.tables import Attendee, Campaign, CampaignStep, Delivery, Event, Person, SurveyResponse
from events_service.outbox import ROWS
from events_service.verdict import Verdict, verdicts
from tests.ledger import INVITED, PROGRAMME, STARTED, started

CHASED = """
key = "chased"
title = "One of each"

[[steps]]
key = "invitation"
template = "invitation"
audience = { roles = ["delegate", "speaker"] }
at = { anchor = "start", days = -60, time = "09:00" }
late = { policy = "ask", grace_hours = 72 }

[[steps]]
key = "joining"
template = "joining"
audience = { replies = ["accepted"] }
at = { anchor = "start", days = -7, time = "09:00" }
late = { policy = "send", grace_hours = 72 }

[[steps]]
key = "reminder"
template = "reminder"
audience = { replies = ["none", "tentative"] }
at = { anchor = "start", days = -40, time = "09:30" }
late = { policy = "skip", grace_hours = 72 }

[[steps]]
key = "thanks"
template = "thanks"
audience = { replies = ["accepted"], attendance = "not-absent" }
at = { anchor = "end", days = 2, time = "10:00" }
late = { policy = "send", grace_hours = 336 }

[[steps]]
key = "met"
template = "thanks"
audience = { attendance = "attended" }
at = { anchor = "end", days = 3, time = "10:00" }
late = { policy = "send", grace_hours = 336 }

[[steps]]
key = "chase"
template = "chase"
audience = { replies = ["accepted"], attendance = "not-absent" }
at = { anchor = "end", days = 9, time = "10:00" }
late = { policy = "skip", grace_hours = 120 }
survey = "mission"
wave = "thanks"
unanswered = true
"""
EVENT = datetime.fromisoformat("2023-10-09T07:00Z")
AFTER = datetime.fromisoformat("2023-10-22T12:00Z")
ORGANISER, REVIEW, LATE, REPLY = (
    "held:organiser",
    "held:review overdue",
    "held:late: ask",
    "held:waits for an acceptance",
)
NOT_FOR_THEM = "cancelled:not in the step's audience"
Change = Callable[["Given"], object]


class Given:
    """One attendee of one event with a campaign, to change something of."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.event = started(session, "ada@example.org", text=CHASED)
        self.attendee = session.exec(select(Attendee)).one()
        self.person = session.exec(select(Person)).one()
        self.gates: dict[str, datetime] = {}

    def row(self, step: str, **values: Any) -> int:
        """The delivery of a step, with these values."""
        if values:
            self.session.execute(sa.update(ROWS).where(ROWS.c.step == step).values(**values))
        return self.session.execute(sa.select(ROWS.c.id).where(ROWS.c.step == step)).scalar_one()

    def set(self, what: Any, **values: Any) -> None:
        """Set fields of a row."""
        for name, value in values.items():
            setattr(what, name, value)
        self.session.add(what)
        self.session.flush()

    def told(self, purpose: str) -> None:
        """Write a message about a move or a cancellation beside the steps."""
        self.set(self.attendee, reply="accepted")
        if purpose == "cancellation":
            self.set(self.event, state="cancelled", sequence=1, cancelled_at=STARTED)
            campaign_changes.event_cancelled(self.session, self.event, STARTED)
        else:
            self.set(self.event, sequence=1)
            campaign_changes.event_moved(self.session, self.event, STARTED)

    def found(self, step: str, now: datetime) -> str:
        """What stops the message of a step."""
        id = self.row(step)
        found = verdicts(self.session, [id], now, self.gates).get(id, Verdict("goes", ""))
        return f"{found.state}:{found.reason}".rstrip(":")


def reply(word: str) -> Change:
    return lambda given: given.set(given.attendee, reply=word)


def suppress(reason: str, *, lift: bool = False) -> Change:
    def change(given: Given) -> None:
        people.suppress(given.session, given.person.email_hash, reason, STARTED)
        if lift:
            people.unsuppress(given.session, given.person.email, "they asked", STARTED)

    return change


def campaign(**values: Any) -> Change:
    return lambda given: given.set(given.session.exec(select(Campaign)).one(), **values)


def step(key: str, **values: Any) -> Change:
    return lambda given: given.set(
        given.session.exec(select(CampaignStep).where(CampaignStep.key == key)).one(), **values
    )


def event(**values: Any) -> Change:
    return lambda given: given.set(given.event, **values)


def attended(came: bool | None) -> Change:
    return lambda given: given.set(given.attendee, reply="accepted", attended=came)


def walked_in(given: Given) -> None:
    given.set(given.attendee, reply="none", attended=True)


def came_after_all(given: Given) -> None:
    given.set(given.attendee, reply="declined", attended=True)


def gate(starts: datetime = EVENT) -> Change:
    return lambda given: given.gates.update({PROGRAMME: starts})


def told(purpose: str, *more: Change) -> Change:
    def change(given: Given) -> None:
        given.told(purpose)
        for one in more:
            one(given)

    return change


def answered(wave: str) -> Change:
    def change(given: Given) -> None:
        given.set(given.attendee, reply="accepted")
        given.session.add(
            SurveyResponse(
                event_id=given.event.id or 0,
                attendee_id=given.attendee.id or 0,
                survey="mission",
                wave=wave,
                submitted_at=AFTER,
            )
        )
        given.session.flush()

    return change


def nothing(given: Given) -> None:
    """As it is."""


def erase(given: Given) -> None:
    given.row("invitation", person_id=None)


def leave(given: Given) -> None:
    given.row("invitation", attendee_id=None)


CASES: list[tuple[str, str, datetime, Change, str]] = [
    ("nothing stops it", "invitation", INVITED, nothing, "goes"),
    ("erased", "invitation", INVITED, erase, "cancelled:the person was erased"),
    ("taken off", "invitation", INVITED, leave, "cancelled:no longer on the event"),
    ("called off", "invitation", INVITED, event(state="cancelled"), "cancelled:the event was cancelled"),
    ("told so", "cancellation", INVITED, told("cancellation"), "goes"),
    ("told so, behind a gate", "cancellation", INVITED, told("cancellation", gate()), "goes"),
    ("told so, held", "cancellation", INVITED, told("cancellation", campaign(held_at=STARTED)), "goes"),
    (
        "told so, unsubscribed",
        "cancellation",
        INVITED,
        told("cancellation", lambda given: people.unsubscribe(given.session, given.person.id or 0, STARTED)),
        "goes",
    ),
    (
        "told so, complained",
        "cancellation",
        INVITED,
        told("cancellation", suppress("complaint")),
        "goes",
    ),
    (
        "told so, the address is dead",
        "cancellation",
        INVITED,
        told("cancellation", suppress("bounced")),
        "suppressed:the address gets no mail",
    ),
    ("told so, too late", "cancellation", AFTER, told("cancellation"), "expired:its time had passed"),
    ("moved, told so", "update", INVITED, told("update", gate(), campaign(held_at=STARTED)), "goes"),
    ("moved again", "update", INVITED, told("update", event(sequence=2)), "cancelled:a later change replaced it"),
    ("moved meanwhile", "invitation", INVITED, event(sequence=1), "pending:the event has moved"),
    ("bounced before", "invitation", INVITED, suppress("bounced"), "suppressed:the address gets no mail"),
    ("complained before", "invitation", INVITED, suppress("complaint"), "suppressed:the address gets no mail"),
    ("lifted", "invitation", INVITED, suppress("complaint", lift=True), "goes"),
    ("past its time", "invitation", EVENT, nothing, "expired:its time had passed"),
    ("a moment before", "joining", EVENT - timedelta(seconds=1), reply("accepted"), "goes"),
    ("late, asks", "invitation", INVITED + timedelta(days=3), nothing, LATE),
    ("in its grace", "invitation", INVITED + timedelta(days=3, seconds=-1), nothing, "goes"),
    ("late, send", "invitation", INVITED + timedelta(days=3), step("invitation", answer="send"), "goes"),
    (
        "late, skip",
        "invitation",
        INVITED + timedelta(days=3),
        step("invitation", answer="skip"),
        "expired:the organiser skipped it",
    ),
    ("others were late", "invitation", INVITED, step("invitation", answer="skip"), "goes"),
    ("behind a gate", "invitation", INVITED, gate(), REVIEW),
    ("begins before the gate", "invitation", INVITED, gate(EVENT + timedelta(seconds=1)), "goes"),
    ("held by hand", "invitation", INVITED, campaign(held_at=STARTED), ORGANISER),
    ("has accepted", "reminder", INVITED, reply("accepted"), NOT_FOR_THEM),
    ("is tentative", "reminder", INVITED, reply("tentative"), "goes"),
    ("may still accept", "joining", INVITED, reply("declined"), REPLY),
    ("has another role", "invitation", INVITED, lambda given: given.set(given.attendee, role="host"), NOT_FOR_THEM),
    ("never accepted", "thanks", AFTER, nothing, NOT_FOR_THEM),
    ("accepted", "thanks", AFTER, reply("accepted"), "goes"),
    ("came", "thanks", AFTER, attended(True), "goes"),
    ("stayed away", "thanks", AFTER, attended(False), NOT_FOR_THEM),
    ("walked in", "thanks", AFTER, walked_in, "goes"),
    ("declined and came", "chase", AFTER, came_after_all, "goes"),
    ("nobody checked in", "met", AFTER, attended(None), NOT_FOR_THEM),
    ("was checked in", "met", AFTER, attended(True), "goes"),
    ("has not answered", "chase", AFTER, attended(True), "goes"),
    ("answered another wave", "chase", AFTER, answered("90"), "goes"),
    ("has answered", "chase", AFTER, answered("thanks"), "cancelled:has answered"),
    ("nobody accepts afterwards", "chase", AFTER, reply("none"), NOT_FOR_THEM),
]  # fmt: skip


@pytest.mark.parametrize(("step", "now", "change", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_what_stops_a_message(rolled_back: Session, step: str, now: datetime, change: Change, expected: str) -> None:
    given = Given(rolled_back)
    change(given)
    rolled_back.flush()
    assert given.found(step, now) == expected


def test_an_unsubscribed_person_gets_nothing_of_a_campaign(rolled_back: Session) -> None:
    given = Given(rolled_back)
    people.unsubscribe(rolled_back, given.person.id or 0, STARTED)
    assert given.found("invitation", INVITED).startswith("suppressed:")


def test_many_are_judged_at_once(rolled_back: Session) -> None:
    given = Given(rolled_back)
    ids = [row.id or 0 for row in rolled_back.exec(select(Delivery).order_by(sa.text("id")))]
    reply("accepted")(given)
    assert verdicts(rolled_back, [], INVITED, {}) == {}
    found = verdicts(rolled_back, ids, INVITED, {})
    assert found == {
        given.row("reminder"): Verdict("cancelled", "not in the step's audience"),
        given.row("met"): Verdict("cancelled", "not in the step's audience"),
    }


def test_another_programmes_gate_is_none_of_ours(rolled_back: Session) -> None:
    given = Given(rolled_back)
    given.gates["another-plan"] = EVENT - timedelta(days=400)
    assert given.found("invitation", INVITED) == "goes"
    assert isinstance(given.event, Event)
