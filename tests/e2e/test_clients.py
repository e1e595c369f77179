"""A calendar program subscribes: vdirsyncer fetches a feed over HTTP from the real server, khal shows what it got."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, select

from events_service import events, feeds
from events_service.db.tables import Event, EventChange
from tests import planned
from tests.ledger import hold_reviews
from tests.web.conftest import NOW, Site, clock, site  # noqa: F401 - fixtures, used by their names
from tests.web.test_server import serving

PROGRAMS = Path(__file__).parents[1] / "tools" / "clients" / "bin"
_VDIRSYNCER = """
[general]
status_path = "{folder}/status"

[pair feed]
a = "remote"
b = "local"
collections = null

[storage remote]
type = "http"
url = "{url}"

[storage local]
type = "filesystem"
path = "{folder}/events"
fileext = ".ics"
"""
_KHAL = """
[calendars]
[[feed]]
path = {folder}/events
readonly = True

[sqlite]
path = {folder}/khal.db

[locale]
local_timezone = Europe/Berlin
default_timezone = Europe/Berlin
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
"""


class Subscriber:
    """Somebody with vdirsyncer and khal, in Berlin, subscribed to one feed."""

    def __init__(self, folder: Path, url: str) -> None:
        if not (PROGRAMS / "khal").exists():
            pytest.skip("vdirsyncer and khal are not there: make clients")
        (folder / "events").mkdir(parents=True)
        self._folder = folder
        for name, text in (("vdirsyncer.conf", _VDIRSYNCER), ("khal.conf", _KHAL)):
            (folder / name).write_text(text.format(folder=folder, url=url))
        self._run("vdirsyncer", "discover")

    def sees(self) -> list[str]:
        """What khal lists after a sync, of October 2023: beginning, end, title and status."""
        self._run("vdirsyncer", "sync")
        shown = "{start-long}|{end-long}|{title}|{status}"
        said = self._run(
            "khal", "list", "--format", shown, "--day-format", "", "--once", "--notstarted", "2023-10-01", "31d"
        )
        return [line.strip() for line in said.splitlines() if line.strip()]

    def _run(self, program: str, *words: str) -> str:
        # Nothing of the person who runs the tests: no configuration, no zone, no colours.
        home = {"HOME": str(self._folder), "XDG_DATA_HOME": str(self._folder), "TZ": "Europe/Berlin", "LANG": "C.UTF-8"}
        done = subprocess.run(
            [PROGRAMS / program, "-c", self._folder / f"{program}.conf", *words],
            env={"PATH": os.environ["PATH"], **home}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.mark.parametrize("all_day", [False, True])
def test_a_subscriber_sees_the_event_its_move_and_its_end(site: Site, tmp_path: Path, all_day: bool) -> None:  # noqa: F811
    with site.database.write() as session:
        planned.load(session)
        hold_reviews(session)
        _, token = feeds.create(session, "person", "ada@example.org", NOW, all_day=all_day)
        event = munich(session)
        event.title = "Cyber mission"
        session.add(EventChange(event_id=event.id or 0, at=NOW, action="approved"))
        feeds.touch_event(session, event, NOW)
    with serving(site) as server:
        subscriber = Subscriber(tmp_path / "subscriber", f"http://127.0.0.1:{server.port}/feeds/{token}.ics")
        tick(site)
        visit = "2023-10-10 11:00|2023-10-10 13:00|Visit: cyber range|CONFIRMED"
        mission = "2023-10-09|2023-10-12|" if all_day else "2023-10-09 09:00|2023-10-12 17:00|"
        assert sorted(subscriber.sees()) == sorted([f"{mission}Cyber mission|CONFIRMED", visit])
        with site.database.write() as session:
            event = munich(session)
            events.move(session, event, event.starts + timedelta(days=1), event.ends + timedelta(days=2), NOW)
        tick(site)
        moved = "2023-10-10|2023-10-14|" if all_day else "2023-10-10 09:00|2023-10-14 17:00|"
        assert f"{moved}Cyber mission|CONFIRMED" in subscriber.sees()
        with site.database.write() as session:
            events.cancel(session, munich(session), "The host withdrew", NOW)
        tick(site)
        assert {line.rpartition("|")[2] for line in subscriber.sees()} == {"CANCELLED"}


def munich(session: Session) -> Event:
    return session.exec(select(Event).where(Event.slug == "munich")).one()


def tick(site: Site) -> None:  # noqa: F811
    """What makes a change visible."""
    site.clock.at += timedelta(minutes=1)
    feeds.rebuild_stale(site.database, site.clock.at)
