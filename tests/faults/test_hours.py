"""Hours that nobody worked, and nights on which the clocks change: each message once, or expired by its rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from events_service import campaigns
from events_service.config import Settings
from events_service.db.session import Database
from events_service.domain.cadence import load_cadence
from tests.faults.desk import Desk
from tests.faults.promises import kept
from tests.ledger import INVITED, House, given, started, states, utc
from tests.processes import run

CLOSE = """
key = "close"
title = "Four steps within a day"

[[steps]]
key = "invitation"
template = "invitation"
at = { anchor = "start", days = -60, time = "09:00" }
late = { policy = "send", grace_hours = 72 }
calendar = true

[[steps]]
key = "today"
template = "reminder"
at = { anchor = "start", days = -60, time = "10:00" }
late = { policy = "skip", grace_hours = 3 }

[[steps]]
key = "reminder"
template = "reminder"
at = { anchor = "start", days = -60, time = "11:00" }
late = { policy = "skip", grace_hours = 30 }
repeat = { maximum = 2, every_days = 1, min_gap_days = 1 }

[[steps]]
key = "question"
template = "reminder"
at = { anchor = "start", days = -60, time = "12:00" }
late = { policy = "ask", grace_hours = 2 }
"""
"""Of these four, what is due on a day that is down from half past eight: the invitation always goes; "today" is of no
use after one; the reminders keep a day between any two messages; "question" is an organiser's to answer after two."""

PEOPLE = ("ada@example.org", "bob@example.org", "cem@example.org")


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


def ticks(house: House, begin: datetime, end: datetime, every: timedelta) -> list[tuple[str, str]]:
    """Live from one moment to another by ticks alone; what went, with when it went."""
    went = []
    while begin <= end:
        went += [(f"{begin:%d %H:%M}", what) for what in house.work(begin)]
        begin += every
    return went


def test_six_hours_down_and_then_each_once_or_by_its_rule(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, PEOPLE[0], text=CLOSE)
    hour = timedelta(hours=1)
    down = INVITED.replace(hour=8, minute=30)
    assert ticks(house, down - hour, down, hour) == []
    went = ticks(house, down + 6 * hour, down + timedelta(days=3), hour)
    # A day after the invitation comes the first reminder; the second may not follow it within its own time.
    assert went == [("10 14:30", "invitation ada"), ("11 14:30", "reminder-1 ada"), ("12 14:30", "reminder-2 ada")]
    with database.read() as session:
        found = states(session)
    assert (found["today ada"], found["question ada"]) == ("expired", "held")


NIGHTS = [
    # The clocks go back: half past one comes twice, and the first is meant.
    ("Europe/London", "2023-10-29", "01:30", "2023-10-29T00:30"),
    ("America/New_York", "2023-11-05", "01:30", "2023-11-05T05:30"),
    # They go forward: it does not come, and the same time after midnight is meant.
    ("Europe/London", "2023-03-26", "01:30", "2023-03-26T01:30"),
    ("America/New_York", "2023-03-12", "02:30", "2023-03-12T07:30"),
]


def at_night(house: House, zone: str, day: str, clock: str) -> None:
    """Three invitations that are due at that time on that day."""
    [one, *_] = CLOSE.split('[[steps]]\nkey = "today"')
    text = one.replace('days = -60, time = "09:00"', f'days = -30, time = "{clock}"')
    starts = datetime.fromisoformat(f"{day}T09:00").replace(tzinfo=ZoneInfo(zone)) + timedelta(days=30)
    with house.database.write() as session:
        event = given(session, *PEOPLE, zone=zone, starts=starts, ends=starts + timedelta(days=1), timezone=zone)
        campaigns.start(session, event, load_cadence(text, "night.toml"), starts - timedelta(days=60))


@pytest.mark.parametrize(("zone", "day", "clock", "due"), NIGHTS)
def test_on_a_night_when_the_clocks_change_each_goes_once(
    zone: str, day: str, clock: str, due: str, database: Database, settings: Settings
) -> None:
    house, at = House(database, settings), utc(due)
    at_night(house, zone, day, clock)
    went = ticks(house, at - timedelta(hours=3), at + timedelta(hours=5), timedelta(minutes=30))
    assert went == [(f"{at:%d %H:%M}", f"invitation {email.split('@')[0]}") for email in PEOPLE]


@pytest.mark.parametrize(("zone", "day", "clock", "due"), NIGHTS)
def test_down_all_through_that_night_each_goes_once_afterwards(
    zone: str, day: str, clock: str, due: str, database: Database, settings: Settings
) -> None:
    house, at = House(database, settings), utc(due)
    at_night(house, zone, day, clock)
    assert ticks(house, at - timedelta(hours=4), at - timedelta(hours=3), timedelta(minutes=30)) == []
    went = ticks(house, at + timedelta(hours=3), at + timedelta(hours=6), timedelta(minutes=30))
    assert sorted(went) == [(f"{at + timedelta(hours=3):%d %H:%M}", f"invitation {email[:3]}") for email in PEOPLE]


def test_by_the_commands_that_a_person_would_type(sqlite_database: Database, desk: Desk, tmp_path: Path) -> None:
    """`events work` before the hours that nobody worked, at their end, and once more."""
    with sqlite_database.write() as session:
        started(session, *PEOPLE, text=CLOSE)
    for at, sent in (("08:30", 0), ("14:30", 3), ("14:30", 3)):
        words = ("--at", f"{INVITED:%Y-%m-%d}T{at}Z", "work", "--until-idle")
        done = run(tmp_path, *words, database_url=sqlite_database, smtp_url=desk.url)
        assert done.returncode == 0, done.stderr
        assert desk.count == sent
    with sqlite_database.read() as session:
        found = states(session)
    assert {found[f"invitation {email[:3]}"] for email in PEOPLE} == {"sent"}
    assert {found[f"today {email[:3]}"] for email in PEOPLE} == {"expired"}
    kept(sqlite_database, desk, stopped=frozenset({"pending", "held"}))
