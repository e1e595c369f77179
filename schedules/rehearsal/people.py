"""The people of a rehearsal: the cast, and others made from the seed, as the file that the import reads."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from events_service.reading.addresses import normalise_email
from schedules.rehearsal.chance import Chance
from schedules.rehearsal.names import AWKWARD, LANDS
from schedules.rehearsal.script import Member

COLUMNS = ("email", "name", "organisation", "ror", "country", "timezone", "role", "source")
HOME = "GB"

_ROLES = (
    ("delegate", 0.58), ("student", 0.12), ("speaker", 0.08), ("champion", 0.07), ("host", 0.06), ("funder", 0.05),
    ("partner", 0.04),
)  # fmt: skip
_LETTERS = str.maketrans({"ß": "ss", "ø": "oe", "Ø": "oe", "æ": "ae", "Æ": "ae", "ı": "i", "ł": "l"})


@dataclass(frozen=True, slots=True)
class Guest:
    """One person as they know themselves. `program` is the calendar they answer with; `cast` is their key in it."""

    email: str
    name: str
    organisation: str
    ror: str
    country: str
    timezone: str
    role: str
    theme: str
    program: str
    cast: str = ""


class Occasion(Protocol):
    """What choosing people for an event looks at."""

    slug: str
    kind: str
    hosted_by: str
    themes: list[str]
    markets: list[str]


def make_guests(
    chance: Chance, count: int, cast: Sequence[Member], themes: Sequence[str], markets: Sequence[str]
) -> list[Guest]:
    """The cast first, then the awkward names, then others, `count` in all (never fewer than the cast)."""
    lands = [(HOME, 0.46), *((country, 0.54 / len(markets)) for country in markets)]
    made = [_member(member) for member in cast]
    taken = {guest.email for guest in made}
    for number in range(len(made), max(count, len(made))):
        awkward = number - len(cast)
        if awkward < len(AWKWARD):
            country, name, email = AWKWARD[awkward]
            organisation, ror = LANDS[country].employers[-1][0], ""
        else:
            country = chance.weighted(lands, "country", number)
            land = LANDS.get(country, LANDS[HOME])
            first, last = chance.among(land.first, "first", number), chance.among(land.last, "last", number)
            organisation, domain, ror = chance.among(land.employers, "employer", number)
            name, email = f"{first} {last}", _address(first, last, domain, taken)
        taken.add(email)
        made.append(
            Guest(
                email=email,
                name=name,
                organisation=organisation,
                ror=ror,
                country=country,
                timezone=chance.weighted(LANDS.get(country, LANDS[HOME]).zones, "zone", number),
                role=chance.weighted(_ROLES, "role", number),
                theme=chance.among(themes, "theme", number),
                program=chance.weighted((("gmail", 0.4), ("outlook", 0.4), ("thunderbird", 0.2)), "program", number),
            )
        )
    return made


def write_csv(guests: Iterable[Guest], path: Path) -> None:
    """The file that `events person import` would be given."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for one in guests:
            zone = "" if one.cast else one.timezone
            source = "cast" if one.cast else "rehearsal"
            rows.writerow((one.email, one.name, one.organisation, one.ror, one.country, zone, one.role, source))


def choose(chance: Chance, guests: Sequence[Guest], event: Occasion, share: float) -> list[Guest]:
    """Who of the others is invited to an event: `share` of all, those whom it is for rather than those it is not.

    Away from home go people from home and those who are there; to our own conferences come all, its markets first.
    """
    away = event.kind == "mission" or event.hosted_by == "joined"
    scored = []
    for guest in guests:
        there = guest.country in event.markets
        if guest.cast or (away and not there and guest.country != HOME):
            continue
        weight = (3.0 if guest.theme in event.themes else 1.0) * (2.0 if there else 1.0)
        # The k greatest of u^(1/w) are a draw of k without return, each as likely as its weight (Efraimidis, 2006).
        scored.append((chance.draw("invite", event.slug, guest.email) ** (1 / weight), guest.email, guest))
    scored.sort(reverse=True)
    wanted = max(round(share * len(guests)), 3)
    return sorted((guest for _, _, guest in scored[:wanted]), key=lambda guest: guest.email)


def _member(member: Member) -> Guest:
    land = LANDS.get(member.country, LANDS[HOME])
    return Guest(
        email=normalise_email(member.email),
        name=member.name,
        organisation=member.organisation,
        ror=member.ror,
        country=member.country,
        timezone=land.zones[0][0],
        role=member.role,
        theme="",
        program="gmail",
        cast=member.key,
    )


def _address(first: str, last: str, domain: str, taken: set[str]) -> str:
    local = ".".join(filter(None, (_plain(first), _plain(last))))
    number, found = 1, f"{local}@{domain}"
    while found in taken:
        number += 1
        found = f"{local}{number}@{domain}"
    return found


def _plain(name: str) -> str:
    """A name as addresses are made of it: letters and what stands within names, without accents."""
    folded = unicodedata.normalize("NFKD", name.translate(_LETTERS)).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(char if char.isalnum() or char == "'" else " " for char in folded).split())
