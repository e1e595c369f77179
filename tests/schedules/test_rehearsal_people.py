from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events_service.db.session import Database
from events_service.people_import import import_people
from events_service.reading.people_files import read_people
from schedules.rehearsal.chance import Chance
from schedules.rehearsal.names import AWKWARD, LANDS
from schedules.rehearsal.people import Guest, choose, make_guests, write_csv
from schedules.rehearsal.script import Member

THEMES = ("cyber", "health", "energy", "mobility")
MARKETS = ("DE", "US", "MY", "FR", "CA", "DK")
NOW = datetime(2022, 10, 3, 9, tzinfo=UTC)
CAST = (Member(key="ada", name="Ada", email="Ada@Lancaster.example", organisation="L", country="GB"),)


@dataclass
class Occasion:
    slug: str = "munich"
    kind: str = "mission"
    hosted_by: str = "us"
    themes: list[str] = field(default_factory=lambda: ["cyber"])
    markets: list[str] = field(default_factory=lambda: ["DE"])


def made(seed: int = 1, count: int = 400) -> list[Guest]:
    return make_guests(Chance(seed), count, CAST, THEMES, MARKETS)


def test_the_cast_comes_first_then_awkward_names_then_the_rest() -> None:
    guests = made()
    assert len(guests) == 400
    assert (guests[0].email, guests[0].cast) == ("ada@lancaster.example", "ada")
    assert [guest.name for guest in guests[1 : 1 + len(AWKWARD)]] == [name for _, name, _ in AWKWARD]
    assert not [guest for guest in guests[1:] if guest.cast]


def test_they_come_from_seven_countries_most_of_them_from_home() -> None:
    counts = Counter(guest.country for guest in made())
    assert set(counts) == {"GB", *MARKETS}
    assert counts.most_common(1)[0][0] == "GB"
    assert min(counts.values()) > 15


def test_nobody_shares_an_address_and_nobody_can_own_one() -> None:
    guests = made(count=3000)
    assert len({guest.email for guest in guests}) == 3000
    ends = {".".join(guest.email.rpartition("@")[2].split(".")[-2:]) for guest in guests}
    assert {end for end in ends if not end.endswith(".example")} <= {"example.com", "example.net", "example.org"}


def test_a_seed_is_all_there_is() -> None:
    assert made() == made()
    assert made(seed=2)[20:] != made()[20:]
    # More people are the same people and others.
    assert made(count=100) == made()[:100]


def test_the_import_takes_every_one_of_them(tmp_path: Path, sqlite_database: Database) -> None:
    path = tmp_path / "people.csv"
    write_csv(made(), path)
    with sqlite_database.write() as session:
        done = import_people(session, read_people(path), NOW)
        again = import_people(session, read_people(path), NOW)
    assert (done["created"], done["bad"], done["merged"], done["unknown_columns"]) == (400, [], 0, [])
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 400)


def test_a_mission_takes_people_from_home_and_from_there_those_of_its_theme_first() -> None:
    guests = made()
    chosen = choose(Chance(1), guests, Occasion(), 0.1)
    assert len(chosen) == 40
    assert {guest.country for guest in chosen} == {"GB", "DE"}
    assert not [guest for guest in chosen if guest.cast]
    share = sum(guest.theme == "cyber" for guest in chosen) / 40
    assert share > 1.5 * sum(guest.theme == "cyber" for guest in guests) / 400


def test_a_conference_of_ours_takes_everybody_and_a_small_house_at_least_three() -> None:
    hosted = Occasion(kind="conference", markets=[])
    assert {guest.country for guest in choose(Chance(1), made(), hosted, 0.3)} == {"GB", *MARKETS}
    assert len(choose(Chance(1), made(count=40), hosted, 0.01)) == 3


def test_who_is_chosen_does_not_hang_on_the_order_they_stand_in() -> None:
    guests = made()
    assert choose(Chance(1), guests[::-1], Occasion(), 0.1) == choose(Chance(1), guests, Occasion(), 0.1)


def test_chance_is_even_and_never_one() -> None:
    chance = Chance(7)
    draws = [chance.draw("x", number) for number in range(4000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert sum(draws) / 4000 == pytest.approx(0.5, abs=0.02)
    assert chance.draw("a", "b") == Chance(7).draw("a", "b") != Chance(8).draw("a", "b")
    picked = Counter(chance.weighted((("often", 0.8), ("seldom", 0.2)), number) for number in range(4000))
    assert picked["often"] / 4000 == pytest.approx(0.8, abs=0.03)


def test_every_land_has_people_zones_and_employers() -> None:
    assert set(LANDS) == {"GB", *MARKETS}
    assert all(len(land.first) >= 15 and len(land.last) >= 15 and len(land.employers) >= 3 for land in LANDS.values())
