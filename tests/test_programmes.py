"""Loading programmes: revisions, what changed, and which one is in force."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlmodel import select

from events_service import feeds, programmes
from events_service.db.session import Database
from events_service.db.tables import FeedContent, ProgrammeRevision
from events_service.errors import InputError, NotFoundError, ProgrammeFileError
from tests.domain.given import FIXTURES, LANCASHIRE

NOW = datetime(2022, 4, 1, 9, tzinfo=UTC)
PLAN = LANCASHIRE.read_text()
KEY = "lancashire-2022-2025"


def test_a_first_load_is_revision_1_and_in_force(database: Database) -> None:
    with database.write() as session:
        loaded = programmes.load(session, PLAN, "plan.toml", NOW)
    assert (loaded.programme.key, loaded.revision, loaded.differences, loaded.made) == (KEY, 1, [], True)
    with database.read() as session:
        assert programmes.current_revision(session) == (loaded.programme, 1)
        assert session.exec(select(ProgrammeRevision)).one().loaded_at == NOW


def test_the_same_content_makes_no_revision(database: Database) -> None:
    with database.write() as session:
        programmes.load(session, PLAN, "plan.toml", NOW)
        again = programmes.load(session, PLAN + "\n# a remark changes nothing\n", "plan.toml", NOW)
        assert (again.revision, again.differences, again.made) == (1, [], False)
        assert len(session.exec(select(ProgrammeRevision)).all()) == 1


def test_other_content_makes_a_revision_and_says_what_changed(database: Database) -> None:
    changed = PLAN.replace("budget = 150000", "budget = 160000")
    assert changed != PLAN
    with database.write() as session:
        programmes.load(session, PLAN, "plan.toml", NOW)
        loaded = programmes.load(session, changed, "plan.toml", NOW)
        assert (loaded.revision, loaded.differences) == (2, ["programme: budget 150000 → 160000"])
        assert programmes.current(session).budget == 160000
        back = programmes.load(session, PLAN, "plan.toml", NOW)
        assert (back.revision, programmes.current(session, KEY).budget) == (3, 150000)


def test_a_load_makes_every_feed_stale_and_no_load_makes_none(database: Database) -> None:
    with database.write() as session:
        programmes.load(session, PLAN, "plan.toml", NOW)
        feeds.create(session, "public", "", NOW)
    feeds.rebuild_stale(database, NOW)
    with database.write() as session:
        programmes.load(session, PLAN, "plan.toml", NOW)
        assert session.exec(select(FeedContent.stale_at)).one() is None
        programmes.load(session, PLAN.replace("budget = 150000", "budget = 1"), "plan.toml", NOW)
        assert session.exec(select(FeedContent.stale_at)).one() == NOW


def test_without_a_key_the_one_loaded_last_is_in_force(database: Database) -> None:
    other = (FIXTURES / "late-market.toml").read_text()
    with database.write() as session:
        programmes.load(session, PLAN, "plan.toml", NOW)
        programmes.load(session, other, "other.toml", NOW)
        assert programmes.current(session).key == "late-market"
        assert programmes.current(session, KEY).key == KEY
        with pytest.raises(NotFoundError, match=f"no programme 'nowhere'; loaded are: {KEY}, late-market"):
            programmes.current(session, "nowhere")


def test_without_a_programme_the_way_to_one_is_said(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFoundError, match="`events programme load lancashire-2022-2025`"):
        programmes.current(session)


def test_a_faulty_file_is_refused_by_its_name_and_nothing_is_kept(database: Database) -> None:
    with database.write() as session:
        with pytest.raises(ProgrammeFileError, match=r"^plan.toml: \[programme\] months: is 37"):
            programmes.load(session, PLAN.replace("months = 36", "months = 37", 1), "plan.toml", NOW)
        assert session.exec(select(ProgrammeRevision)).all() == []


def test_what_ships_is_found_by_its_key() -> None:
    assert programmes.shipped_text(KEY) == PLAN
    with pytest.raises(InputError, match=f"those are: {KEY}"):
        programmes.shipped_text("atlantis")
