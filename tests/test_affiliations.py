from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from events_service import institutions
from events_service.affiliations import Affiliations
from events_service.db.session import Database
from events_service.reading.institution_files import InstitutionRecord, read_institutions

NOW = datetime(2023, 5, 1, 9, tzinfo=UTC)


def record(ror: str, website: str | None, *domains: str, **changes: Any) -> InstitutionRecord:
    values: dict[str, Any] = {"name": ror, "names": (ror,), "country": "GB", "city": None, "region": None, "types": ()}
    values |= {"website": website, "status": "active", "domains": frozenset(domains)}
    return InstitutionRecord(ror=ror, **(values | changes))


def match(session: Session, email: str) -> str | None:
    affiliations = Affiliations(session)
    affiliations.fetch([], [email])
    id = affiliations.by_email(email)
    return None if id is None else institutions.find(session, str(id)).ror


def test_by_ror(database: Database) -> None:
    with database.write() as session:
        institutions.import_records(session, [record("04f2nsd36", None)], NOW)
        affiliations = Affiliations(session)
        affiliations.fetch(["04f2nsd36", "000000001", ""], [])
        assert affiliations.by_ror("04f2nsd36") == institutions.find(session, "04f2nsd36").id
        assert affiliations.by_ror("000000001") is None


RECORDS = [
    record("0whole001", "https://www.uni.ac.uk/en/", "uni.ac.uk"),
    record("0part0001", "https://www.uni.ac.uk/medicine", "uni.ac.uk"),
    record("0lab00001", "https://lab.uni.ac.uk", "lab.uni.ac.uk"),
    record("0only0001", "https://sub.example/about/us.html", "sub.example"),
    record("0first001", "https://one.shared.example", "shared.example"),
    record("0second01", "https://two.shared.example", "shared.example"),
    record("0gov00001", "https://www.gov.uk/", "gov.uk"),
    record("0mail0001", "https://gmail.com", "gmail.com"),
    record("0gone0001", "https://gone.example", "gone.example", status="withdrawn"),
]


@pytest.mark.parametrize(
    ("email", "ror"),
    [
        ("a@uni.ac.uk", "0whole001"),
        ("a@cs.uni.ac.uk", "0whole001"),
        ("a@lab.uni.ac.uk", "0lab00001"),
        ("a@x.lab.uni.ac.uk", "0lab00001"),
        ("a@sub.example", "0only0001"),
        ("a@shared.example", None),
        ("a@other.ac.uk", None),
        ("a@hm.gov.uk", None),
        ("a@gmail.com", None),
        ("a@gone.example", None),
        ("a@notuni.ac.uk", None),
    ],
)
def test_by_email(sqlite_database: Database, email: str, ror: str | None) -> None:
    with sqlite_database.write() as session:
        institutions.import_records(session, RECORDS, NOW)
        assert match(session, email) == ror


def test_the_real_extract(sqlite_database: Database, shared: Path) -> None:
    with sqlite_database.write() as session:
        path = shared / "data" / "ror-institutions-gb-de-my-us.json.gz"
        institutions.import_records(session, read_institutions(path), NOW)
        assert match(session, "x@cs.lancaster.ac.uk") == "04f2nsd36"
        assert match(session, "x@ucl.ac.uk") == "02jx3x895"
        assert match(session, "x@unibw.de") == "05kkv3f82"
        assert match(session, "x@transport.gov.uk") is None
        assert match(session, "x@example.org") is None
