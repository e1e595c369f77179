"""What guests answer when they are asked what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from schedules.rehearsal.chance import Chance
from schedules.rehearsal.people import Guest

_FIELDS = re.compile(r'<(?:input|select|textarea)[^>]*\bname="([a-z0-9-]+)"')
_PARTNERS = {
    "hannover": ("RWTH Aachen University", "Technical University of Munich"),
    "boston": ("Boston University", "Johns Hopkins University"),
    "munich": ("Universität der Bundeswehr München", "Fraunhofer Institute for Applied and Integrated Security"),
    "kuala": ("National University of Malaysia", "Universiti Putra Malaysia"),
    "blackpool": ("Karlsruhe Institute of Technology", "University of Malaya"),
}
_ELSEWHERE = ("a company we met there", "two institutes, jointly")
_FUNDERS = ("UKRI", "Innovate UK", "A charity", "Horizon partners")
_BETTER = (
    "More time between sessions.",
    "Fewer slides; more people.",
    "“Nothing” – it was <b>good</b> & well run.",
    "Das WLAN war langsam, alles andere großartig.",
    "The coffee ran out at ten.\nTwice.",
)
_STORIES = (
    "We now meet every second Thursday.",
    "A doctoral student of theirs spends the summer with us.",
    "Nothing yet, but we are talking.",
)


def questions_on(page: str) -> list[str]:
    """The names of the fields of a form, in order."""
    return list(dict.fromkeys(_FIELDS.findall(page)))


def answers_to(asked: Sequence[str], chance: Chance, guest: Guest, slug: str, wave: str) -> dict[str, str]:
    """What a guest writes into these fields; what they leave open is not in it."""
    draw = _Draw(chance, guest.email, slug, wave)
    given = {
        "useful": str(draw.number("useful", 2, 5)),
        "organisation": str(draw.number("organisation", 3, 5)),
        "programme": str(draw.number("programme", 2, 5)),
        "recommend": str(draw.number("recommend", 5, 10)),
    }
    if wave == "thanks":
        given |= {"contacts": str(draw.number("contacts", 0, 7)), "leads": draw.if_("leads", 0.4, "1", "0")}
        given["agreement"] = chance.weighted(
            (("signed", 0.015), ("agreed", 0.07), ("talking", 0.4), ("no", 0.5)), "agreement", *draw.about
        )
        given["stayed"] = draw.among("stayed", ("yes", "planned", "no"))
        given["again"] = draw.among("again", ("yes", "yes", "perhaps"))
        given["better"] = draw.if_("says", 0.3, draw.among("better", _BETTER), "")
    else:
        given |= {"contacts": str(draw.number("contacts", 0, 3)), "leads": draw.if_("leads", 0.18, "1", "0")}
        given["agreements"] = draw.if_("agreements", 0.02, "1", "0")
        given["publications"] = draw.if_("publications", 0.06, "1", "0")
        given["funding"] = draw.if_("funded", 0.06, f"{draw.number('funding', 2, 24) * 2500:,}", "")
        # Who won nothing says so more often than not; who leaves it open is not known.
        given["funding"] = given["funding"] or draw.if_("says no", 0.6, "0", "")
        given["funder"] = draw.among("funder", _FUNDERS) if given["funding"] not in ("", "0") else ""
        given["story"] = draw.if_("tells", 0.2, draw.among("story", _STORIES), "")
    if "signed" in given.values() or given.get("agreements") == "1":
        given["agreement-with"] = draw.among("with", _PARTNERS.get(slug.partition("-")[0], _ELSEWHERE))
    if guest.role in ("host", "speaker"):
        given["enquiries"] = str(draw.number("enquiries", 0, 12))
    return {name: given[name] for name in asked if given.get(name)}


class _Draw:
    """Draws about one guest, event and wave."""

    def __init__(self, chance: Chance, *about: str) -> None:
        self._chance, self.about = chance, about

    def number(self, what: str, least: int, most: int) -> int:
        return least + int(self._chance.draw(what, *self.about) * (most - least + 1))

    def among(self, what: str, choices: Sequence[str]) -> str:
        return self._chance.among(choices, what, *self.about)

    def if_(self, what: str, share: float, then: str, otherwise: str) -> str:
        return then if self._chance.draw(what, *self.about) < share else otherwise
