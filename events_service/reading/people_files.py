"""Files of people: every row read, checked and put into the form in which it is kept, rows of one address made one."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from events_service.domain.cadence import ROLES
from events_service.errors import InputError, NotFoundError
from events_service.reading.addresses import normalise_email
from events_service.reading.countries import country_code, locale_tag, zone_name
from events_service.reading.institution_files import ror_id
from events_service.reading.spreadsheets import FORMULA, read_sheet

LIMITS = {"name": 200, "organisation": 300, "source": 200}
"""The longest text of a column, in characters."""


class PersonRow(NamedTuple):
    """One person as a file gives them; an empty text means that the file does not say. `row` is their first row."""

    row: int
    email: str
    name: str = ""
    organisation: str = ""
    ror: str = ""
    country: str = ""
    locale: str = ""
    timezone: str = ""
    role: str = ""
    source: str = ""


COLUMNS = PersonRow._fields[1:]


@dataclass(frozen=True)
class BadRow:
    """One row that cannot be used: the first field at fault, and why; further faults of the row are in `why` too."""

    row: int
    field: str
    why: str


@dataclass
class PeopleFile:
    """A whole file: its people by address, the bad rows, the unknown columns, how many rows repeated an address."""

    people: dict[str, PersonRow] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    merged: int = 0


def read_people(path: Path) -> PeopleFile:
    """Read a CSV or XLSX file with the columns `COLUMNS`, of which only `email` must be there.

    Rows of one address become one person: what a later row says wins over an earlier one, what it leaves empty does
    not. FileError for a file that cannot be used as a whole.
    """
    sheet = read_sheet(path, COLUMNS, ("email",))
    found = PeopleFile(unknown_columns=sheet.unknown)
    places = [(name, sheet.columns[name]) for name in COLUMNS if name in sheet.columns]
    for number, cells in sheet.rows:
        faults: list[tuple[str, str]] = []
        values = {}
        for name, place in places:
            try:
                text = _clean(cells[place])
                values[name] = _READ[name](text) if text or name == "email" else ""
            except InputError as error:
                faults.append((name, str(error)))
            except NotFoundError as error:
                faults.append((name, str(error)))
        if len(cells) > sheet.width and any(cells[sheet.width :]):
            faults.append(
                ("", f"has {len(cells)} cells, the first row {sheet.width}; put quotes around commas in a cell")
            )
        if faults:
            first, *others = faults
            why = "; ".join([first[1], *(f"{name}: {why}" for name, why in others)])
            found.bad.append(BadRow(number, first[0], why))
            continue
        person = PersonRow(number, **values)
        before = found.people.get(person.email)
        if before is not None:
            found.merged += 1
            person = PersonRow(before.row, *(new or old for old, new in zip(before[1:], person[1:], strict=True)))
        found.people[person.email] = person
    return found


def _clean(cell: str) -> str:
    """A cell's text on one line, in NFC. InputError for a formula and for control characters."""
    text = cell.strip()
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", " ".join(text.split()))
        for char in text:
            if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn"):
                raise InputError(f"has a control character (U+{ord(char):04X}); remove it")
    if text.startswith(FORMULA):
        raise InputError("is a formula; write its value instead")
    return text


def _email(text: str) -> str:
    if not text:
        raise InputError("is empty")
    # Spreadsheets run these as formulas, and nobody's address begins with them.
    if text[0] in "+-@":
        raise InputError(f"begins with {text[0]!r}, as a formula does; write the address alone")
    return normalise_email(text)


def _role(text: str) -> str:
    role = text.lower()
    if role not in ROLES:
        raise InputError(f"{text[:40]!r} is no role; use one of {', '.join(ROLES)}")
    return role


def _short(name: str) -> Callable[[str], str]:
    limit = LIMITS[name]

    def read(text: str) -> str:
        if len(text) > limit:
            raise InputError(f"has {len(text):,} characters; the limit is {limit}")
        return text

    return read


_READ: dict[str, Callable[[str], str]] = {
    "email": _email,
    "name": _short("name"),
    "organisation": _short("organisation"),
    "ror": ror_id,
    "country": country_code,
    "locale": locale_tag,
    "timezone": zone_name,
    "role": _role,
    "source": _short("source"),
}
