"""Files of institutions: ROR's dump (schema 2, JSON, plain or gzipped) read as a stream, or a CSV of a few columns."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from events_service.errors import FileError, InputError, NotFoundError
from events_service.reading.countries import country_code
from events_service.reading.spreadsheets import FORMULA, read_sheet

CSV_COLUMNS = ("name", "country", "city", "ror", "website", "types")
# ROR names its 9 characters 0, six of Crockford's base32 and a checksum; the checksum is ROR's business.
_ROR = re.compile(r"(?:(?:https?://)?(?:www\.)?ror\.org/)?(0[0-9a-z]{8})/?")
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_MAX_NAME = 500


@dataclass(frozen=True, slots=True)
class InstitutionRecord:
    """One institution as a file gives it. `names` begins with the one to display; `domains` are in ASCII.

    A `partial` one says nothing where it is empty: what is already known of the institution stays.
    """

    ror: str | None
    name: str
    names: tuple[str, ...]
    country: str | None
    city: str | None
    region: str | None
    types: tuple[str, ...]
    website: str | None
    status: str
    domains: frozenset[str]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class BadRecord:
    """One record that could not be used: its number in the file (a row, or the how-manieth), the field, and why."""

    row: int
    field: str
    why: str


def read_institutions(path: Path) -> Iterator[InstitutionRecord | BadRecord]:
    """Every institution of a file, one at a time; FileError where it stops being readable, which may be late."""
    if path.suffix.lower() in (".csv", ".xlsx"):
        return _csv_records(path)
    return _ror_records(path)


def ror_id(text: str) -> str:
    """The bare ROR id of an id or its address, `https://ror.org/04f2nsd36`; NotFoundError if it has not that shape."""
    found = _ROR.fullmatch(text.strip().lower())
    if found is None:
        raise NotFoundError("ROR id", text[:60], "it has nine characters and begins with 0, such as 04f2nsd36")
    return found[1]


def website_host(website: str | None) -> str | None:
    """The host of a website without `www.`, in ASCII; None where there is none that could be a mail domain."""
    if not website:
        return None
    try:
        host = urlsplit(website if "//" in website else f"//{website}").hostname or ""
    except ValueError:
        return None
    return clean_domain(host.removeprefix("www."))


def clean_domain(domain: str) -> str | None:
    """A domain in lower-case ASCII, or None where it is none."""
    domain = domain.strip().rstrip(".").lower()
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return domain if _DOMAIN.fullmatch(domain) else None


def _ror_records(path: Path) -> Iterator[InstitutionRecord | BadRecord]:
    import ijson

    number = 0
    with _opened(path) as file:
        try:
            for record in ijson.items(file, "item", use_float=True):
                number += 1
                yield _from_ror(path, number, record)
        except ijson.IncompleteJSONError as error:
            raise FileError(path, f"ends or breaks after record {number:,}; fetch the file again") from error
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
            raise FileError(path, f"is not JSON after record {number:,}; fetch the file again") from error
        except EOFError as error:
            raise FileError(path, f"is cut off after record {number:,}; fetch the file again") from error
        except (OSError, zlib.error) as error:
            raise FileError(path, f"cannot be unpacked after record {number:,}; fetch the file again") from error
    if number == 0:
        raise FileError(path, "holds no institutions")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, unpacked if it is gzipped, once its first bytes have shown that it may be a JSON list."""
    try:
        with path.open("rb") as raw:
            start = raw.peek(4)[:4]
            if not start:
                raise FileError(path, "is empty")
            if start.startswith(b"PK"):
                raise FileError(path, "is a zip archive; unpack it, and import the …_schema_v2.json in it")
            file: Any = gzip.GzipFile(fileobj=raw) if start.startswith(b"\x1f\x8b") else raw
            try:
                head = bytes(file.peek(1024))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise FileError(path, "is cut off or cannot be unpacked; fetch the file again") from error
            if head.startswith(codecs.BOM_UTF8):
                file.read(len(codecs.BOM_UTF8))
            if not head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
                raise FileError(path, "is not ROR's JSON list of institutions; a table should be named .csv")
            yield file
    except OSError as error:
        raise FileError(path, f"cannot be read: {(error.strerror or 'unknown reason').lower()}") from error


def _from_ror(path: Path, number: int, record: Any) -> InstitutionRecord | BadRecord:
    if not isinstance(record, dict):
        return BadRecord(number, "", "is not an object")
    if "names" not in record and "name" in record:
        raise FileError(path, "is of ROR's schema 1; import the file whose name ends in schema_v2.json")
    try:
        ror = ror_id(_text(record.get("id")))
    except NotFoundError as error:
        return BadRecord(number, "id", str(error))
    names = _names(record)
    if not names:
        return BadRecord(number, "names", "has no name")
    place = _place(record)
    website = next((_text(link.get("value")) for link in _dicts(record, "links") if link.get("type") == "website"), "")
    domains = {clean_domain(domain) for domain in _texts(record, "domains")} | {website_host(website)}
    country = _text(place.get("country_code")).upper() or None
    return InstitutionRecord(
        ror=ror,
        name=names[0],
        names=names,
        country=country,
        city=_clean(_text(place.get("name"))) or None,
        region=_region(country, _text(place.get("country_subdivision_code"))),
        types=tuple(_texts(record, "types")),
        website=_clean(website) or None,
        status=_text(record.get("status")) or "active",
        domains=frozenset(domain for domain in domains if domain),
    )


def _names(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The names without repeats, the one that ROR displays first."""
    found = []
    for name in _dicts(record, "names"):
        text = _clean(_text(name.get("value")))
        if text:
            found.append(("ror_display" not in (name.get("types") or ()), text))
    return tuple(dict.fromkeys(text for _, text in sorted(found, key=lambda pair: pair[0])))


def _place(record: Mapping[str, Any]) -> Mapping[str, Any]:
    for location in _dicts(record, "locations"):
        details = location.get("geonames_details")
        if isinstance(details, dict):
            return details
    return {}


def _region(country: str | None, subdivision: str) -> str | None:
    """The ISO 3166-2 code, `GB-ENG`, of a country and the part after the hyphen."""
    if not country or not subdivision:
        return None
    return subdivision if subdivision.startswith(f"{country}-") else f"{country}-{subdivision}"


def _csv_records(path: Path) -> Iterator[InstitutionRecord | BadRecord]:
    sheet = read_sheet(path, CSV_COLUMNS, ("name",))
    for row, cells in sheet.rows:
        values = {name: _clean(cells[place]) for name, place in sheet.columns.items()}
        try:
            yield _from_row(values)
        except _BadFieldError as bad:
            yield BadRecord(row, bad.field, bad.why)


class _BadFieldError(Exception):
    def __init__(self, field: str, why: str) -> None:
        self.field, self.why = field, why


def _from_row(values: Mapping[str, str]) -> InstitutionRecord:
    for field, value in values.items():
        if value.startswith(FORMULA):
            raise _BadFieldError(field, "is a formula; write its value instead")
    if not values["name"]:
        raise _BadFieldError("name", "is empty")
    country, ror = values.get("country") or None, values.get("ror") or None
    try:
        country = country_code(country) if country else None
    except InputError as error:
        raise _BadFieldError("country", str(error)) from error
    try:
        ror = ror_id(ror) if ror else None
    except NotFoundError as error:
        raise _BadFieldError("ror", str(error)) from error
    website = values.get("website") or None
    host = website_host(website)
    if website and host is None:
        raise _BadFieldError("website", f"{website[:60]!r} is no web address; write it like https://www.example.org")
    return InstitutionRecord(
        ror=ror,
        name=values["name"],
        names=(values["name"],),
        country=country,
        city=values.get("city") or None,
        region=None,
        types=tuple(kind.strip().lower() for kind in re.split("[,;|]", values.get("types", "")) if kind.strip()),
        website=website,
        status="active",
        domains=frozenset((host,)) if host else frozenset(),
        partial=True,
    )


def _clean(text: str) -> str:
    """Text on one line, without control characters, of a bounded length."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_MAX_NAME]


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _texts(record: Mapping[str, Any], field: str) -> list[str]:
    values = record.get(field)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _dicts(record: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    values = record.get(field)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
