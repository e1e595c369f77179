"""Institutions: universities, research organisations and companies, and which of them are targets for a theme."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import programmes
from events_service.db.tables import Institution, InstitutionDomain, InstitutionTarget
from events_service.errors import InputError, NotFoundError
from events_service.reading.folding import fold
from events_service.reading.institution_files import BadRecord, InstitutionRecord, ror_id

BATCH = 1000
_FIELDS = ("ror", "name", "names", "folded", "country", "city", "region", "types", "website", "status")


def import_records(
    session: Session, records: Iterable[InstitutionRecord | BadRecord], now: datetime, country: str | None = None
) -> dict[str, Any]:
    """Add or update institutions, by ROR id, or by name and country where they have none; `country` keeps only its own.

    Gives `{created, updated, unchanged, bad: [{row, field, why}]}`. Importing a file a second time changes nothing.
    """
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    bad: list[dict[str, Any]] = []
    wanted = _wanted(records, bad, country)
    while batch := list(islice(wanted, BATCH)):
        for what in _store(session, batch, now):
            counts[what] += 1
    return {**counts, "bad": bad}


def find(session: Session, ref: str) -> Institution:
    """The institution with that ROR id, bare or as its address, or with that number of ours; NotFoundError."""
    ref = ref.strip()
    # A ROR id of digits alone has nine of them and begins with 0, which no number of ours does.
    if ref.isdecimal() and not ref.startswith("0") and len(ref) <= 18:
        found = session.get(Institution, int(ref))
    else:
        try:
            found = session.exec(select(Institution).where(Institution.ror == ror_id(ref))).first()
        except NotFoundError:
            found = None
    if found is None:
        raise NotFoundError(
            "institution", ref[:60], "`events institution list --search NAME` finds its number and ROR id"
        )
    return found


def target(session: Session, ref: str, theme: str, now: datetime, *, remove: bool = False) -> dict[str, Any]:
    """Mark an institution as one to approach for a theme of the programme in force, or take the mark away.

    Gives its row as `listing` does. NotFoundError for an unknown institution, InputError for an unknown theme.
    """
    institution = find(session, ref)
    programme = programmes.current(session)
    if programme.theme(theme) is None:
        keys = ", ".join(known.key for known in programme.themes)
        raise InputError(f"theme {theme[:60]!r} is not in programme {programme.key}; use one of {keys}")
    mark = session.get(InstitutionTarget, (institution.id, theme))
    if remove and mark is not None:
        session.delete(mark)
    elif not remove and mark is None:
        session.add(InstitutionTarget(institution_id=_id(institution), theme=theme, marked_at=now))
    session.flush()
    return _as_json(institution, targets(session, [_id(institution)]).get(_id(institution), []))


def targets(session: Session, ids: Iterable[int] | None = None) -> dict[int, list[str]]:
    """The themes each institution is a target for, by its number; of all institutions unless `ids` are given."""
    query = select(InstitutionTarget).order_by(col(InstitutionTarget.theme))
    if ids is not None:
        query = query.where(col(InstitutionTarget.institution_id).in_(list(ids)))
    found: dict[int, list[str]] = {}
    for mark in session.exec(query):
        found.setdefault(mark.institution_id, []).append(mark.theme)
    return found


def listing(
    session: Session, country: str | None = None, search: str | None = None, *, targeted: bool = False
) -> list[dict[str, Any]]:
    """Institutions by name, as JSON values `{id, ror, name, country, city, types, website, targets}`.

    `search` is looked for in every name and the city, without regard to case and accents; each of its words must occur.
    """
    marks = targets(session)
    columns = (col(getattr(Institution, name)) for name in ("id", "ror", "name", "country", "city", "types", "website"))
    query = sa.select(*columns).order_by(col(Institution.name), col(Institution.id))
    if country:
        query = query.where(col(Institution.country) == country)
    for word in fold(search or "").split():
        query = query.where(col(Institution.folded).contains(word, autoescape=True))
    if targeted:
        query = query.where(col(Institution.id).in_(sa.select(col(InstitutionTarget.institution_id))))
    return [{**row, "targets": marks.get(row["id"], [])} for row in session.execute(query).mappings()]


def _wanted(
    records: Iterable[InstitutionRecord | BadRecord], bad: list[dict[str, Any]], country: str | None
) -> Iterator[InstitutionRecord]:
    for record in records:
        if isinstance(record, BadRecord):
            bad.append({"row": record.row, "field": record.field, "why": record.why})
        elif country is None or record.country == country:
            yield record


def _store(session: Session, batch: list[InstitutionRecord], now: datetime) -> list[str]:
    """Write one batch; what became of each of its institutions. The last record of an institution is the one kept."""
    there = _existing(session, batch)
    domains = _domains(session, [row["id"] for row in there.values()])
    creating: dict[tuple[str, ...], InstitutionRecord] = {}
    changing: dict[int, InstitutionRecord] = {}
    unchanged = set()
    for record in batch:
        row = there.get(_identity(record))
        if row is None:
            creating[_identity(record)] = record
            continue
        known = domains.get(row["id"], frozenset())
        if record.partial:
            record = _completed(record, row, known)
        if _same(row, record) and known == record.domains:
            unchanged.add(row["id"])
        else:
            changing[row["id"]] = record
    connection = session.connection()
    made: dict[int, InstitutionRecord] = {}
    if creating:
        values = [{**_values(record), "changed_at": now} for record in creating.values()]
        insert = sa.insert(Institution).returning(col(Institution.id), sort_by_parameter_order=True)
        ids = connection.execute(insert, values).scalars().all()
        made = {id: record for id, record in zip(ids, creating.values(), strict=True) if id is not None}
    if changing:
        update = sa.update(Institution).where(col(Institution.id) == sa.bindparam("of"))
        values = [{**_values(record), "changed_at": now, "of": id} for id, record in changing.items()]
        connection.execute(update.values({name: sa.bindparam(name) for name in (*_FIELDS, "changed_at")}), values)
        connection.execute(
            sa.delete(InstitutionDomain).where(col(InstitutionDomain.institution_id).in_(list(changing)))
        )
    belonging = [
        {"domain": domain, "institution_id": id}
        for id, record in (made | changing).items()
        for domain in sorted(record.domains)
    ]
    if belonging:
        connection.execute(sa.insert(InstitutionDomain), belonging)
    return ["created"] * len(made) + ["updated"] * len(changing) + ["unchanged"] * len(unchanged - set(changing))


def _existing(session: Session, batch: list[InstitutionRecord]) -> dict[tuple[str, ...], dict[str, Any]]:
    """The rows that are there already, by what identifies the records of `batch`."""
    columns = [col(Institution.id), *(col(getattr(Institution, name)) for name in _FIELDS)]
    rors = [record.ror for record in batch if record.ror]
    names = [record.name for record in batch if not record.ror]
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    if rors:
        for row in session.execute(sa.select(*columns).where(col(Institution.ror).in_(rors))).mappings():
            found[(row["ror"],)] = dict(row)
    if names:
        # Of several that share a name and country, the one that was there first.
        same = sa.select(*columns).where(col(Institution.name).in_(names)).order_by(col(Institution.id).desc())
        for row in session.execute(same).mappings():
            found[(row["name"], row["country"] or "")] = dict(row)
    return found


def _domains(session: Session, ids: list[int]) -> dict[int, frozenset[str]]:
    query = select(InstitutionDomain).where(col(InstitutionDomain.institution_id).in_(ids))
    found: dict[int, set[str]] = {}
    for row in session.exec(query):
        found.setdefault(row.institution_id, set()).add(row.domain)
    return {id: frozenset(domains) for id, domains in found.items()}


def _completed(record: InstitutionRecord, row: dict[str, Any], domains: frozenset[str]) -> InstitutionRecord:
    """What a partial record makes of a row that is there: it adds and changes, and takes nothing away."""
    others = tuple(name for name in row["names"] if name != record.name)
    kept = {name: row[name] for name in ("ror", "country", "city", "region", "website") if not getattr(record, name)}
    return replace(
        record,
        **kept,
        names=(record.name, *others),
        types=record.types or tuple(row["types"]),
        status=row["status"],
        domains=record.domains | domains,
    )


def _identity(record: InstitutionRecord) -> tuple[str, ...]:
    return (record.ror,) if record.ror else (record.name, record.country or "")


def _values(record: InstitutionRecord) -> dict[str, Any]:
    folded = fold("\n".join([*record.names, record.city or ""]))
    values = {name: getattr(record, name) for name in _FIELDS if name != "folded"}
    return {**values, "names": list(record.names), "types": list(record.types), "folded": folded}


def _same(row: dict[str, Any], record: InstitutionRecord) -> bool:
    return all(row[name] == value for name, value in _values(record).items())


def _as_json(institution: Institution, themes: list[str]) -> dict[str, Any]:
    names = ("id", "ror", "name", "country", "city", "types", "website")
    return {**{name: getattr(institution, name) for name in names}, "targets": themes}


def _id(institution: Institution) -> int:
    if institution.id is None:
        raise ValueError("the institution has no number yet; flush it first")
    return institution.id
