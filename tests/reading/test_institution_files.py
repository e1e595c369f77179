from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from events_service.errors import FileError, NotFoundError
from events_service.reading.institution_files import (
    BadRecord,
    InstitutionRecord,
    clean_domain,
    read_institutions,
    ror_id,
    website_host,
)

LANCASTER: dict[str, Any] = {
    "id": "https://ror.org/04f2nsd36",
    "names": [
        {"value": "Prifysgol Caerhirfryn", "types": ["label"], "lang": "cy"},
        {"value": "Lancaster University", "types": ["ror_display", "label"], "lang": "en"},
        {"value": "LU", "types": ["acronym"], "lang": None},
    ],
    "locations": [
        {"geonames_details": {"name": "Lancaster", "country_code": "GB", "country_subdivision_code": "ENG"}},
        {"geonames_details": {"name": "Leipzig", "country_code": "DE"}},
    ],
    "links": [{"type": "wikipedia", "value": "http://w"}, {"type": "website", "value": "https://www.lancaster.ac.uk/"}],
    "domains": ["lancs.ac.uk"],
    "types": ["education", "funder"],
    "status": "active",
    "established": 1964,
}


def dump(folder: Path, body: object, name: str = "ror.json") -> Path:
    path = folder / name
    text = json.dumps(body).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


@pytest.mark.parametrize("name", ["ror.json", "ror.json.gz"])
def test_a_record_of_ror(tmp_path: Path, name: str) -> None:
    assert list(read_institutions(dump(tmp_path, [LANCASTER], name))) == [
        InstitutionRecord(
            ror="04f2nsd36",
            name="Lancaster University",
            names=("Lancaster University", "Prifysgol Caerhirfryn", "LU"),
            country="GB",
            city="Lancaster",
            region="GB-ENG",
            types=("education", "funder"),
            website="https://www.lancaster.ac.uk/",
            status="active",
            domains=frozenset({"lancs.ac.uk", "lancaster.ac.uk"}),
        )
    ]


def test_a_gzipped_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = dump(tmp_path, [LANCASTER], "ror.json.gz").rename(tmp_path / "ror.json")
    assert len(list(read_institutions(path))) == 1


def test_a_record_with_only_what_it_must_have(tmp_path: Path) -> None:
    bare = {"id": "04f2nsd36", "names": [{"value": "Some\nplace\x07", "types": []}]}
    (record,) = read_institutions(dump(tmp_path, [bare]))
    assert isinstance(record, InstitutionRecord)
    assert (record.name, record.country, record.region, record.domains) == ("Some place", None, None, frozenset())


def test_bad_records_stop_only_themselves(tmp_path: Path) -> None:
    body = [LANCASTER, {**LANCASTER, "id": "https://ror.org/x"}, {**LANCASTER, "names": []}, 7, LANCASTER]
    found = list(read_institutions(dump(tmp_path, body)))
    assert [record.row for record in found if isinstance(record, BadRecord)] == [2, 3, 4]
    assert [record.field for record in found if isinstance(record, BadRecord)] == ["id", "names", ""]
    assert isinstance(found[4], InstitutionRecord)


def unreadable(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        list(read_institutions(path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value.why


def test_schema_1_is_named(tmp_path: Path) -> None:
    first = {"id": "https://ror.org/04f2nsd36", "name": "Lancaster University", "country": {"country_code": "GB"}}
    assert unreadable(dump(tmp_path, [first])) == (
        "is of ROR's schema 1; import the file whose name ends in schema_v2.json"
    )


def test_a_file_cut_in_half_says_where(tmp_path: Path) -> None:
    whole = json.dumps([LANCASTER] * 100).encode()
    plain = tmp_path / "cut.json"
    plain.write_bytes(whole[: len(whole) // 2 + 10])
    assert unreadable(plain) == "ends or breaks after record 50; fetch the file again"
    packed = tmp_path / "cut.json.gz"
    # Random ids keep gzip from packing all into one block.
    body = gzip.compress(json.dumps([{**LANCASTER, "x": str(n * 7919 % 10007) * 50} for n in range(3000)]).encode())
    packed.write_bytes(body[: len(body) // 2])
    assert unreadable(packed).startswith("is cut off after record ")
    packed.write_bytes(body[:5])
    assert unreadable(packed) == "is cut off or cannot be unpacked; fetch the file again"


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.json.gz"
    body = bytearray(gzip.compress(json.dumps([LANCASTER]).encode()))
    body[-6] ^= 0xFF
    path.write_bytes(body)
    assert "fetch the file again" in unreadable(path)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"[]", "holds no institutions"),
        (b'{"items": []}', "is not ROR's JSON list"),
        (b"name,country\nx,GB\n", "a table should be named .csv"),
        (b'[{"id": 1,}]', "breaks after record 0"),
        (b"PK\x03\x04....", "is a zip archive; unpack it"),
    ],
)
def test_other_files(tmp_path: Path, body: bytes, why: str) -> None:
    path = tmp_path / "ror.json"
    path.write_bytes(body)
    assert why in unreadable(path)


def test_a_missing_file(tmp_path: Path) -> None:
    assert unreadable(tmp_path / "none.json") == "cannot be read: no such file or directory"


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "ror.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([LANCASTER]).encode())
    assert len(list(read_institutions(path))) == 1


def test_a_table_of_institutions(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "Name;Country;Website;Types;ROR;City\n"
        "Acme GmbH;germany;acme.example;Company|Funder;;Ulm\n"
        ";GB;;;;\n"
        "X;Atlantis;;;;\n"
        "Y;;not a site;;;\n"
        "=1+1;;;;;\n"
        "Z;;;;12345;\n"
    )
    found = list(read_institutions(path))
    assert found[0] == InstitutionRecord(
        ror=None,
        name="Acme GmbH",
        names=("Acme GmbH",),
        country="DE",
        city="Ulm",
        region=None,
        types=("company", "funder"),
        website="acme.example",
        status="active",
        domains=frozenset({"acme.example"}),
        partial=True,
    )
    assert [(bad.row, bad.field) for bad in found[1:] if isinstance(bad, BadRecord)] == [
        (3, "name"),
        (4, "country"),
        (5, "website"),
        (6, "name"),
        (7, "ror"),
    ]


@pytest.mark.parametrize("text", ["04f2nsd36", "https://ror.org/04f2nsd36", "ror.org/04F2NSD36/", " 04f2nsd36 "])
def test_ror_id(text: str) -> None:
    assert ror_id(text) == "04f2nsd36"


@pytest.mark.parametrize("text", ["", "14f2nsd36", "04f2nsd3", "https://example.org/04f2nsd36", "04f2nsd36x"])
def test_ror_id_refuses(text: str) -> None:
    with pytest.raises(NotFoundError, match="no ROR id"):
        ror_id(text)


def test_website_host() -> None:
    assert website_host("https://www.lancaster.ac.uk/about") == "lancaster.ac.uk"
    assert website_host("www.Unibw.DE") == "unibw.de"
    assert website_host("https://bücher.example:8080/") == "xn--bcher-kva.example"
    assert website_host("http://[::1]/") is None
    assert website_host("http://[broken/") is None
    assert website_host("http://192.0.2.1/") is None
    assert website_host(None) is None
    assert clean_domain("no spaces.example") is None


def test_the_real_extract_is_read_whole(shared: Path) -> None:
    found = list(read_institutions(shared / "data" / "ror-institutions-gb-de-my-us.json.gz"))
    assert len(found) == 6634
    assert not [record for record in found if isinstance(record, BadRecord)]
    with_website = [record for record in found if isinstance(record, InstitutionRecord) and record.website]
    assert len(with_website) == 6613
    assert all(record.domains for record in with_website)
