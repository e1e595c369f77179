from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.config import shipped
from events_service.domain.cadence import Cadence, Moment, due_at, expires_at, load_cadence, read_cadence
from events_service.errors import CadenceFileError
from tests.domain.given import utc, wall
from tests.ledger import SHORT

# Nine in the morning on Monday in Munich to five in the afternoon on Thursday.
STARTS, ENDS = wall("2023-10-09T09:00", "Europe/Berlin"), wall("2023-10-12T17:00", "Europe/Berlin")


def at(anchor: str, days: int, clock: str, zone: str, starts: datetime = STARTS, ends: datetime = ENDS) -> datetime:
    moment = Moment.model_validate({"anchor": anchor, "days": days, "time": time.fromisoformat(clock)})
    return due_at(moment, starts, ends, "Europe/Berlin", zone)


@pytest.mark.parametrize(
    ("anchor", "days", "clock", "zone", "due"),
    [
        # Sixty days before 9 October is 10 August: summer time, where they are.
        ("start", -60, "09:00", "Europe/Berlin", "2023-08-10T07:00"),
        ("start", -60, "09:00", "Europe/London", "2023-08-10T08:00"),
        ("start", -60, "09:00", "Asia/Kuala_Lumpur", "2023-08-10T01:00"),
        ("start", -60, "09:00", "America/Los_Angeles", "2023-08-10T16:00"),
        # The clocks went forward on 26 March at 01:00 UTC: 02:30 in Berlin is skipped, and taken as 03:30.
        ("start", -197, "02:30", "Europe/Berlin", "2023-03-26T01:30"),
        # Back on 29 October: 02:30 comes twice, and the first counts.
        ("end", 17, "02:30", "Europe/Berlin", "2023-10-29T00:30"),
        # The day after the change, the same wall time is an hour later in UTC.
        ("end", 18, "10:00", "Europe/Berlin", "2023-10-30T09:00"),
        ("end", 16, "10:00", "Europe/Berlin", "2023-10-28T08:00"),
        # What follows the end waits for it, wherever it is morning already.
        ("end", 0, "09:00", "Europe/Berlin", "2023-10-13T07:00"),
        ("end", 0, "18:00", "Europe/Berlin", "2023-10-12T16:00"),
        ("end", 1, "09:00", "Pacific/Auckland", "2023-10-12T20:00"),
        ("end", 0, "09:00", "America/Los_Angeles", "2023-10-12T16:00"),
        # A year is 365 days here, 29 February among them.
        ("end", 365, "10:00", "Europe/London", "2024-10-11T09:00"),
    ],
)
def test_a_step_is_due_at_its_time_where_the_recipient_is(
    anchor: str, days: int, clock: str, zone: str, due: str
) -> None:
    assert at(anchor, days, clock, zone) == utc(due)


def test_the_day_is_counted_where_the_event_is() -> None:
    # Half past midnight in Munich on 9 October is still the 8th in London: the event's day counts.
    starts = wall("2023-10-09T00:30", "Europe/Berlin")
    assert at("start", -1, "09:00", "Europe/London", starts) == utc("2023-10-08T08:00")


@given(
    days=st.integers(0, 800),
    clock=st.times(),
    zone=st.sampled_from(("Europe/London", "Pacific/Kiritimati", "Pacific/Midway", "Asia/Kathmandu")),
    length=st.integers(0, 4 * 24 * 60),
)
def test_a_step_after_the_end_is_never_due_before_it_nor_two_days_late(
    days: int, clock: time, zone: str, length: int
) -> None:
    moment = Moment(anchor="end", days=days, time=clock.replace(tzinfo=None))
    ends = STARTS + timedelta(minutes=length)
    due = due_at(moment, STARTS, ends, "Europe/Berlin", zone)
    assert due >= ends
    midnight = datetime.combine(ends.astimezone(ZoneInfo("Europe/Berlin")).date(), time(), ZoneInfo("Europe/Berlin"))
    assert due - midnight < timedelta(days=days + 3)


@pytest.mark.parametrize(
    ("anchor", "days", "policy", "ends"),
    [
        ("start", -7, "send", STARTS),
        ("start", -7, "ask", STARTS),
        ("start", -7, "skip", utc("2023-10-04T09:00")),
        ("start", 0, "skip", STARTS),
        ("start", 1, "send", None),
        ("end", 2, "send", None),
        ("end", 2, "skip", utc("2023-10-16T09:00")),
    ],
)
def test_when_a_message_is_of_no_use_any_more(anchor: str, days: int, policy: str, ends: datetime | None) -> None:
    due = utc("2023-10-02T09:00") if days < 0 else utc("2023-10-14T09:00")
    if anchor == "start" and days >= 0:
        due = STARTS + timedelta(days=days)
    assert expires_at(anchor, days, policy, 48, due, STARTS) == ends


def test_a_repeat_is_written_out() -> None:
    cadence = load_cadence(SHORT, "short.toml")
    assert [step.key for step in cadence.steps] == ["invitation", "reminder-1", "reminder-2", "joining"]
    assert [step.at.days for step in cadence.steps] == [-60, -40, -26, -7]
    assert [step.min_gap_days for step in cadence.steps] == [0, 7, 7, 0]
    assert cadence.step("reminder-2") == cadence.steps[2]
    assert cadence.step("reminder") is None


STEP = """
key = "x"
title = "X"
[[steps]]
key = "ask"
template = "ask"
at = { anchor = "start", days = -1, time = "09:00" }
late = { policy = "send", grace_hours = 1 }
"""


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        (('key = "ask"', 'key = "Ask!"'), "[steps.Ask!] key", "match"),
        (('"send"', '"never"'), "[steps.ask.late] policy", "send"),
        (('"send", grace_hours = 1', '"skip", grace_hours = 0.5'), "[steps.ask] late", "or it never goes"),
        (("days = -1", "days = -900"), "[steps.ask.at] days", "-400"),
        (('"09:00"', '"09:00+01:00"'), "[steps.ask] at", "takes no offset"),
        (('"09:00"', '"25:00"'), "[steps.ask.at] time", ""),
        (('template = "ask"', 'template = "ask"\ncolour = "red"'), "[steps.ask] colour", "no such key"),
        (('template = "ask"', 'template = "ask"\nsurvey = "mission"'), "[steps] ask", "go together"),
        (('template = "ask"', 'template = "ask"\nunanswered = true'), "[steps] ask", "needs a survey"),
        (
            ('template = "ask"', 'template = "ask"\nrepeat = { maximum = 2, every_days = 3, min_gap_days = 4 }'),
            "[steps.ask] repeat",
            "never be kept",
        ),
        (('template = "ask"', 'template = "ask"\naudience = { roles = ["guest"] }'), "[steps.ask.audience.roles]", ""),
        (("[[steps]]", "[[steps"), "x.toml", "not TOML"),
        ((STEP, 'key = "x"\ntitle = "X"\nsteps = []'), "steps", "at least one step"),
        ((STEP, STEP + STEP.split('title = "X"')[1]), "[steps.ask] key", "two steps"),
    ],
)
def test_a_fault_is_named_by_file_step_and_field(change: tuple[str, str], where: str, why: str) -> None:
    with pytest.raises(CadenceFileError) as fault:
        load_cadence(STEP.replace(*change), "x.toml")
    line = str(fault.value)
    assert line.startswith("x.toml: ")
    assert where in line
    assert why in line
    assert "\n" not in line


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CadenceFileError, match=r"none.toml: cannot be read"):
        read_cadence(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'title = "Caf\xe9"')
    with pytest.raises(CadenceFileError, match=r"latin.toml: cannot be read"):
        read_cadence(tmp_path / "latin.toml")


@pytest.mark.parametrize("key", ["mission", "conference", "joined"])
def test_what_ships_has_the_steps_of_a_campaign(key: str) -> None:
    cadence: Cadence = read_cadence(shipped("cadences")[key])
    assert cadence.key == key
    assert [step.key for step in cadence.steps] == [
        "save-the-date", "invitation", "reminder-1", "reminder-2", "joining",
        "thanks", "chase-1", "chase-2", "outcomes-90", "outcomes-180", "outcomes-365",
    ]  # fmt: skip
    days = [step.at.days for step in cadence.steps]
    assert days[:5] == sorted(days[:5])
    assert days[5:] == [*sorted(days[5:8]), 90, 180, 365]
    for name in ("reminder-1", "reminder-2"):
        step = cadence.step(name)
        assert step is not None
        assert step.audience.replies == ("none", "tentative")
        assert step.min_gap_days >= 6
    chase = cadence.step("chase-2")
    assert chase is not None
    assert (chase.wave, chase.unanswered, cadence.step("chase-3")) == ("thanks", True, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({'replies = ["accepted"]': 'replies = ["accepted", "tentative"]'}, "others have none"),
        ({'anchor = "start", days = -7': 'anchor = "end", days = 1'}, "sessions are over at the end"),
        ({"itinerary = true": "itinerary = 3"}, "should be a valid boolean"),
    ],
)
def test_only_those_who_come_have_an_itinerary_and_only_before_the_end(changes: dict[str, str], why: str) -> None:
    text = SHORT + "itinerary = true\n"
    assert [step.itinerary for step in load_cadence(text, "short.toml").steps] == [False, False, False, True]
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    with pytest.raises(CadenceFileError, match=rf"short\.toml: .*joining.*{why}"):
        load_cadence(text, "short.toml")


def test_the_cadences_of_what_we_run_bring_the_itinerary_with_the_joining_instructions() -> None:
    having = {
        key: [step.key for step in read_cadence(path).steps if step.itinerary]
        for key, path in shipped("cadences").items()
    }
    assert having == {"conference": ["joining"], "joined": [], "mission": ["joining"]}
