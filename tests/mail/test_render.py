from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from events_service.errors import InputError
from events_service.mail.marks import mark
from events_service.mail.moments import Span
from events_service.mail.prose import WIDTH
from events_service.mail.render import Occasion, Rendered, Renderer, Subject
from tests.mail.given import MESSAGES, MUNICH, TEMPLATES, munich, occasion
from tests.mail.reading import AWKWARD, elements

RENDERER = Renderer(TEMPLATES)
DESK = Occasion("Events desk")


def say(template: str, subject: Subject = MUNICH, timezone: str = "Europe/London", locale: str = "en") -> Rendered:
    return RENDERER.render(template, subject, locale, timezone, occasion(template))


def tags(html: str) -> set[str]:
    return {str(one[0]) for one in elements(html) if isinstance(one, tuple)}


def test_an_invitation_as_a_person_reads_it() -> None:
    said = say("invitation")
    assert said.subject == "Invitation: Cyber resilience mission to Munich, 9 October 2023"
    assert (
        said.text
        == f"""{mark("greeting")}

You are warmly invited to Cyber resilience mission to Munich. We would be
glad to see you there.

When:  Monday 9 October, 09:00 to Thursday 12 October 2023, 17:00 (Berlin
       time, UTC+2)
       Monday 9 October, 08:00 to Thursday 12 October 2023, 16:00 (London
       time, UTC+1), where you are
Where: Universität der Bundeswehr, Munich, Germany

Four days with the cyber research institute and the companies around it.

Travel is booked for you.

More about it:
https://example.org/munich?a=1&b=2

Programme, in local time:

- Visit: cyber range
  Tuesday 10 October 2023, 09:30 to 12:00
  Munich

- Call home
  Wednesday 11 October 2023, 09:00 to 10:00 (London time, UTC+1)

Time to enjoy the place:

- A day in the Alps
  Friday 13 October 2023, 09:00 to 17:00
  Garmisch-Partenkirchen
  Bavaria Trails, €95
  https://example.org/alps

Will you come? Answer yes, no or maybe in your calendar, or here:
{mark("reply_url")}

--{" "}
You receive this because you are on the guest list of Cyber resilience
mission to Munich.

Questions? Write to Events desk: events@example.org

To stop these e-mails:
{mark("unsubscribe_url")}
You will still be told if an event you were invited to is moved or
cancelled.
"""
    )


def test_there_are_these_messages() -> None:
    assert RENDERER.names() == sorted(MESSAGES)
    assert RENDERER.check() == len(MESSAGES)


@pytest.mark.parametrize("template", MESSAGES)
@pytest.mark.parametrize("hosted_by", ["us", "joined"])
def test_every_message_is_well_made(template: str, hosted_by: str) -> None:
    bare = munich(agenda=(), summary="", url="", place="", organiser_name="", organiser_email="", hosted_by=hosted_by)
    full = munich(was=Span(MUNICH.span.starts, MUNICH.span.ends, "UTC"), reason="A fire.", hosted_by=hosted_by)
    for subject in (bare, full):
        said = say(template, subject)
        assert "\n\n\n" not in said.text
        assert all(len(line) <= WIDTH or mark("")[0] in line for line in said.text.splitlines())
        assert MUNICH.title in said.subject
        assert said.html.startswith("<!DOCTYPE html>")
        assert not re.search(r'src=|url\(|@import|<link|<img|<script|background="', said.html), "nothing remote"
        targets = set(re.findall(r'href="([^"]*)"', said.html))
        assert all(re.match(r"https://example\.org/|mailto:events@|\ue000[a-z_]+_url\ue001$", one) for one in targets)


@pytest.mark.parametrize("template", [template for template, mandatory in MESSAGES.items() if mandatory])
def test_what_must_be_told_offers_no_way_to_stop_it(template: str) -> None:
    said = say(template)
    for words in (said.text, said.html):
        assert mark("unsubscribe_url") not in words
        assert "top these e-mails" not in words
        assert "guest list" in words


@pytest.mark.parametrize("template", [template for template, mandatory in MESSAGES.items() if not mandatory])
def test_everything_else_does(template: str) -> None:
    said = say(template)
    assert f"To stop these e-mails:\n{mark('unsubscribe_url')}\n" in said.text
    assert f'href="{mark("unsubscribe_url")}"' in said.html


@pytest.mark.parametrize(("template", "field"), [
    ("invitation", "reply_url"), ("reminder", "reply_url"), ("joining", "reply_url"), ("update", "reply_url"),
    ("thanks", "survey_url"), ("chase", "survey_url"), ("outcomes", "survey_url"),
])  # fmt: skip
def test_each_message_leads_where_it_should(template: str, field: str) -> None:
    said = say(template)
    assert f"\n{mark(field)}\n" in said.text
    assert f'href="{mark(field)}"' in said.html


@pytest.mark.parametrize("template", ["save-the-date", "invitation"])
def test_an_event_of_others_is_called_so(template: str) -> None:
    ours, theirs = (" ".join(say(template, munich(hosted_by=by)).text.split()) for by in ("us", "joined"))
    assert "We are joining Cyber resilience mission to Munich. It is run by others, and we " in theirs
    assert "joining" not in ours
    html = str(elements(say(template, munich(hosted_by="joined")).html))
    assert "We are joining" in html


def test_a_change_shows_what_was_and_a_cancellation_why() -> None:
    was = Span(MUNICH.span.starts.replace(day=2), MUNICH.span.ends.replace(day=5), "Europe/Berlin")
    said = say("update", munich(was=was))
    assert (
        "Was:   Monday 2 October, 09:00 to Thursday 5 October 2023, 17:00 (Berlin\n       time, UTC+2)\n" in said.text
    )
    assert '<span class="was"' in said.html
    said = say("cancellation", munich(reason="The host\nwithdrew."))
    assert "\nWhy: The host withdrew.\n" in said.text
    assert "Please do not travel" in said.html.replace("\n", " ")
    assert "Why" not in say("cancellation").text


def test_one_clock_where_both_show_the_same() -> None:
    assert "where you are" not in say("invitation", timezone="Europe/Paris").text
    assert "By the clock where you are" in say("invitation", timezone="Europe/London").html


@pytest.mark.parametrize("text", AWKWARD)
def test_nothing_that_people_write_becomes_markup_or_a_mark(text: str) -> None:
    plain = say("invitation")
    said = say(
        "invitation", munich(title=text, summary=text, place=text, organiser_name=text, reason=text, url=MUNICH.url)
    )
    assert re.findall("\ue000([a-z_]+)\ue001", said.text) == re.findall("\ue000([a-z_]+)\ue001", plain.text)
    assert re.findall("\ue000([a-z_]+)\ue001", said.html) == re.findall("\ue000([a-z_]+)\ue001", plain.html)
    assert set(re.findall("<([a-z0-9]+)", said.html)) <= set(re.findall("<([a-z0-9]+)", plain.html))
    assert tags(said.html) <= tags(plain.html)
    assert "\n" not in said.subject


# -- templates of one's own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the templates, to be changed."""
    return Path(shutil.copytree(TEMPLATES, tmp_path / "emails"))


def translate(folder: Path, language: str) -> None:
    there = folder / "invitation" / language
    there.mkdir()
    (there / "subject.txt").write_text("Einladung: {{ event.title }}, {{ event.date }}\n", encoding="utf-8")
    (there / "text.txt").write_text(
        "Guten Tag {{ me.name }},\n\n{{ event.when }}\n\n{{ me.reply_url }}\n", encoding="utf-8"
    )
    (there / "html.html").write_text(
        '{% extends "_frame.html" %}{% block body %}<p>{{ event.when }}</p>{% endblock %}', encoding="utf-8"
    )


def test_a_translation_is_a_folder(folder: Path) -> None:
    translate(folder, "de")
    renderer = Renderer(folder)
    said = renderer.render("invitation", MUNICH, "de_AT", "Europe/Vienna", DESK)
    assert (said.language, said.subject) == ("de", "Einladung: Cyber resilience mission to Munich, 9. Oktober 2023")
    assert said.text.startswith(f"Guten Tag {mark('name')},\n\nMontag, 9. Oktober 2023, 09:00 – Donnerstag,")
    assert '<html lang="de"' in said.html
    assert renderer.render("reminder", MUNICH, "de", "Europe/Vienna", DESK).language == "en"
    assert renderer.check() == len(MESSAGES) + 1


@pytest.mark.parametrize("locale", ["tlh", "", "en_GB", "fr-FR", "../joining", "de/../../x", "DE", "x" * 200])
def test_a_locale_without_a_translation_is_told_in_english(folder: Path, locale: str) -> None:
    translate(folder, "de")
    assert Renderer(folder).language("invitation", locale) == "en"


@pytest.mark.parametrize("locale", ["de", "de_DE", "de-DE", "de_CH_1901"])
def test_a_locale_with_one_is_not(folder: Path, locale: str) -> None:
    translate(folder, "de")
    assert Renderer(folder).language("invitation", locale) == "de"


def test_a_folder_that_is_no_language(folder: Path) -> None:
    translate(folder, "xx")
    with pytest.raises(InputError, match=r"invitation/xx: 'xx' is no language; use de, say$"):
        Renderer(folder).render("invitation", MUNICH, "xx", "UTC", DESK)


FAULTS: dict[str, tuple[str, str]] = {
    "an undefined name": ("{{ event.titel }}", "has no attribute 'titel'"),
    "an undefined root": ("{{ events }}", "'events' is undefined"),
    "a syntax error": ("{% if %}", "Expected an expression"),
    "a missing file": ('{% include "_nothing.txt" %}', "is missing"),
    "an unknown filter": ("{{ event.title|shout }}", "No filter named 'shout'"),
    "a wrong type": ("{{ event.title + 1 }}", "can only concatenate str"),
    "a division by zero": ("{{ 1 / 0 }}", "division by zero"),
    "a bomb of loops": ("{% for one in range(999999999) %}x{% endfor %}", "Range too big"),
    "a look behind the curtain": ("{{ event.__class__.__mro__ }}", "attribute '__class__' of 'dict' object is unsafe"),
    "a change of a list": ("{{ event.agenda.append(1) }}", "attribute 'append' of 'list' object is unsafe"),
    "a change of a dict": ("{{ event.update({'title': 'x'}) }}", "attribute 'update' of 'dict' object is unsafe"),
    "no end of itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
}


@pytest.mark.parametrize("part", ["subject.txt", "text.txt", "html.html"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_template_is_named_in_one_line(folder: Path, part: str, fault: str) -> None:
    source, why = FAULTS[fault]
    (folder / "invitation" / part).write_text(f"one\ntwo\n{source}\n")
    with pytest.raises(InputError) as caught:
        Renderer(folder).render("invitation", MUNICH, "en", "UTC", DESK)
    said = str(caught.value)
    assert why in said
    assert "\n" not in said
    named = "_nothing.txt" if fault == "a missing file" else f"invitation/{part} line 3"
    assert said.startswith(f"e-mail template {folder}/{named}: ")


def test_a_fault_in_the_frame_names_the_frame(folder: Path) -> None:
    (folder / "_facts.txt").write_text("{{ nothing }}")
    with pytest.raises(InputError, match=r"emails/_facts\.txt line 1: 'nothing' is undefined$"):
        Renderer(folder).check()


@pytest.mark.parametrize("part", ["subject.txt", "text.txt", "html.html"])
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    (folder / "invitation" / part).unlink()
    with pytest.raises(
        InputError, match=rf"emails/invitation/{re.escape(part)}: (is missing|No such file or directory)$"
    ):
        Renderer(folder).render("invitation", MUNICH, "en", "UTC", DESK)


def test_a_template_that_is_no_text(folder: Path) -> None:
    (folder / "invitation" / "text.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"emails/invitation: 'utf-8' codec can't decode"):
        Renderer(folder).render("invitation", MUNICH, "en", "UTC", DESK)


def test_no_such_message() -> None:
    with pytest.raises(InputError, match=r"emails/farewell/subject\.txt: is missing$"):
        RENDERER.render("farewell", MUNICH, "en", "UTC", DESK)


def test_templates_are_read_once_and_their_version_says_which(folder: Path) -> None:
    before = Renderer(folder)
    said = before.render("invitation", MUNICH, "en", "UTC", DESK)
    (folder / "invitation" / "subject.txt").write_text("Come: {{ event.title }}")
    assert before.render("invitation", MUNICH, "en", "UTC", DESK) == said
    after = Renderer(folder).render("invitation", MUNICH, "en", "UTC", DESK)
    assert after.subject == "Come: Cyber resilience mission to Munich"
    assert after.version != said.version
    assert Renderer(folder).version("reminder", "en") == before.version("reminder", "en")
