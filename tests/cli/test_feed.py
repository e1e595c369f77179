"""`events feed`: addresses made once, listed without their token, and closed."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command

AT = ("--at", "2023-04-02T09:00Z")


def test_an_address_is_printed_once_with_its_webcal_form(planned: Command) -> None:
    done = planned("feed", "create", "--kind", "public", *AT)
    assert done.code == 0
    url, webcal, page = done.out.splitlines()
    assert url.startswith("http://localhost:8000/feeds/") and url.endswith(".ics")
    assert webcal == "webcal" + url.removeprefix("http")
    assert page == url.removesuffix(".ics")
    assert "shown this once" in done.err
    listed = planned("feed", "list", "--json", *AT)
    assert url.removeprefix("http://localhost:8000/feeds/").removesuffix(".ics") not in listed.out
    assert listed.json == [
        {
            "id": 1,
            "kind": "public",
            "of": None,
            "all_day": False,
            "created_at": "2023-04-02T09:00:00+00:00",
            "revoked_at": None,
            "last_used": None,
        }
    ]


def test_json_has_the_url_and_the_kind(planned: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_PUBLIC_URL", "https://events.example.org/")
    made = planned("feed", "create", "--kind", "market", "--of", "de", "--json", *AT).json
    assert (made["kind"], made["of"]) == ("market", "DE")
    assert made["url"].startswith("https://events.example.org/feeds/")
    assert made["page"] + ".ics" == made["url"]
    people = planned("feed", "create", "--kind", "theme", "--of", "cyber", *AT).out.splitlines()
    assert people[1].startswith("webcal://events.example.org/feeds/")


def test_whole_days_are_a_choice_of_each_feed(planned: Command) -> None:
    assert planned("feed", "create", "--kind", "public", "--all-day", "--json", *AT).json["all_day"] is True
    planned("feed", "create", "--kind", "public", *AT)
    assert [row["all_day"] for row in planned("feed", "list", "--json").json] == [True, False]
    listed = planned("feed", "list").out
    assert "all day" in listed and listed.count("yes") == 1


def test_a_dry_run_makes_nothing(planned: Command) -> None:
    done = planned("feed", "create", "--kind", "public", "--dry-run", "--json", *AT)
    assert done.code == 0 and "leads nowhere" in done.err
    assert planned("feed", "list", "--json").json == []


def test_revoking(planned: Command) -> None:
    planned("feed", "create", "--kind", "organiser", *AT)
    assert planned("feed", "revoke", 1, "--dry-run", "--json", *AT).json["revoked_at"] == "2023-04-02T09:00:00+00:00"
    assert planned("feed", "list", "--json").json[0]["revoked_at"] is None
    assert planned("feed", "revoke", 1, *AT).code == 0
    assert "2023-04-02 09:00" in planned("feed", "list").out
    gone = planned("feed", "revoke", 2, *AT)
    assert (gone.code, gone.err) == (1, "error: no feed '2'; `events feed list` has their ids\n")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--kind", "everything"), 2, "--kind 'everything': use one of public, theme"),
        (("--kind", "person"), 2, "--of: person needs it"),
        (("--kind", "public", "--of", "DE"), 2, "--of: public is of everything; leave it out"),
        (("--kind", "theme", "--of", "cybr"), 1, "no theme 'cybr'; the programme has cyber, "),
        (("--kind", "person", "--of", "nobody@example.org"), 1, "no person 'nobody@example.org'"),
        ((), 2, "--kind"),
    ],
)
def test_what_cannot_be_made_is_one_line(planned: Command, words: tuple[str, ...], code: int, why: str) -> None:
    done = planned("feed", "create", *words, *AT)
    assert (done.code, done.out) == (code, "") and why in done.err
    assert planned("feed", "list", "--json").json == []
