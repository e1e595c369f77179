"""Guests: they read their mail, and answer by the links and addresses that they find in it, or do not.

What a guest does follows from the seed; those of the cast do what the script says. They know nothing but what is in
the mail and on the pages: a link that does not work is a reply that does not come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from schedules.rehearsal import answers, opinions
from schedules.rehearsal.answers import Invitation, Writer
from schedules.rehearsal.browser import Browser
from schedules.rehearsal.chance import Chance
from schedules.rehearsal.people import Guest
from schedules.rehearsal.postbag import Mail
from schedules.rehearsal.script import Act, Member

Deed = Callable[[datetime], None]
Plan = tuple[datetime, Deed]
"""When a guest will do something, and what."""

NOTES = ("", "", "", "", "Vegetarian, please.", "I arrive on the evening before.", "May I bring a colleague?")
_REPLY_SHARE = {"invitation": 0.6, "reminder": 0.34}
_SURVEY_SHARE = {"thanks": 0.4, "90": 0.26, "180": 0.22, "365": 0.18}
_CHASED_SHARE = 0.16
_KEENNESS = {"host": 1.3, "speaker": 1.4, "champion": 1.3, "student": 0.9, "funder": 0.7}
_COLLEAGUE = Writer("Karsten Kollega", "karsten@region.example")


@dataclass
class _Known:
    """What a guest knows of one event: how often they were asked, in which version, and what they answered."""

    asked: int = 0
    joining: int = 0
    sequence: int = -1
    surveys: Counter[str] = field(default_factory=Counter)
    invitation: Invitation | None = None
    reply_link: str = ""
    answer: str = ""
    answered_surveys: set[str] = field(default_factory=set)


@dataclass
class Told:
    """What came of what guests did: how many pages took it, how many refused, and mails taken in, by what they were."""

    pages: Counter[int] = field(default_factory=Counter)
    mails: Counter[str] = field(default_factory=Counter)


class Guests:
    """All guests of a rehearsal. `take_in` gives a mail of theirs to the service, and says what it was taken for."""

    def __init__(
        self,
        chance: Chance,
        guests: Iterable[Guest],
        cast: Sequence[Member],
        browser: Browser,
        take_in: Callable[[bytes, datetime], str],
        desk: str,
    ) -> None:
        self._chance, self._browser, self._take_in, self._desk = chance, browser, take_in, desk
        self._guests = {guest.email: guest for guest in guests}
        self._acts = {member.key: member.acts for member in cast}
        self._known: dict[tuple[str, str], _Known] = {}
        self.told = Told()

    def read(self, mail: Mail, now: datetime) -> list[Plan]:
        """What the recipient of a mail will do about it; nothing, where it confirms what they did themselves."""
        if not mail.event:
            return []
        guest = self._guests[mail.recipient]
        known = self._known.setdefault((guest.email, mail.event), _Known())
        kind = _kind(mail, known)
        if guest.cast:
            return [
                (now + timedelta(hours=act.hours), self._deed(act, mail, guest, known))
                for act in self._acts[guest.cast]
                if act.event == mail.event and act.on == kind
            ]
        if kind in _SURVEY_SHARE:
            return self._survey_plan(guest, mail, known, kind, now)
        if kind == "invitation" or kind.startswith("reminder"):
            return self._reply_plan(guest, mail, known, kind.partition("-")[0], now)
        if kind == "update" and known.answer in ("accepted", "tentative"):
            return self._update_plan(guest, mail, known, now)
        return []

    def _reply_plan(self, guest: Guest, mail: Mail, known: _Known, kind: str, now: datetime) -> list[Plan]:
        about = (guest.email, mail.event, known.asked)
        share = min(_REPLY_SHARE[kind] * _KEENNESS.get(guest.role, 1.0), 0.97)
        if known.answer in ("accepted", "declined") or self._chance.draw("replies", *about) >= share:
            return []
        likely = (("accepted", 0.66), ("declined", 0.24), ("tentative", 0.1 if not known.answer else 0.0))
        known.answer = self._chance.weighted(likely, "answer", *about)
        return [(self._later(now, 130, *about), self._reply(guest, known, known.answer, *about))]

    def _update_plan(self, guest: Guest, mail: Mail, known: _Known, now: datetime) -> list[Plan]:
        about = (guest.email, mail.event, "update", known.sequence)
        if self._chance.draw("replies", *about) >= 0.4:
            return []
        known.answer = self._chance.weighted((("accepted", 0.7), ("declined", 0.3)), "answer", *about)
        return [(self._later(now, 60, *about), self._reply(guest, known, known.answer, *about))]

    def _survey_plan(self, guest: Guest, mail: Mail, known: _Known, wave: str, now: datetime) -> list[Plan]:
        if wave in known.answered_surveys:
            return []
        about = (guest.email, mail.event, wave, known.surveys[wave])
        share = _SURVEY_SHARE[wave] if known.surveys[wave] == 1 else _CHASED_SHARE
        if self._chance.draw("responds", *about) >= share:
            return []
        known.answered_surveys.add(wave)
        return [(self._later(now, 90, *about), partial(self._fill_in, mail.link("survey"), guest, mail.event, wave))]

    def _reply(self, guest: Guest, known: _Known, answer: str, *about: object) -> Deed:
        if known.invitation is not None and self._chance.draw("by calendar", *about) < 0.4:
            return partial(
                self._answer_by_mail, guest.program, known.invitation, Writer(guest.name, guest.email), answer
            )
        note = self._chance.among(NOTES, "note", *about)
        return partial(self._press, known.reply_link, {"reply": answer, "note": note})

    def _deed(self, act: Act, mail: Mail, guest: Guest, known: _Known) -> Deed:
        """What one of the cast does: the script says."""
        writer = Writer(guest.name, guest.email)
        invitation = known.invitation
        if act.do == "link":
            return partial(self._press, known.reply_link, {"reply": act.answer, "note": act.note})
        if act.do == "survey":
            return partial(self._press, mail.link("survey"), act.answers)
        if act.do == "unsubscribe":
            return partial(self._press, mail.unsubscribe_url, {"List-Unsubscribe": "One-Click"})
        if act.do == "bounce":
            return partial(self._send_back, mail, act.status)
        if act.do == "vacation":
            return lambda at: self._send(answers.vacation(mail, writer, at), at)
        if invitation is None:
            raise ValueError(f"{act.event}: {guest.cast} has no invitation to answer by calendar on {act.on}")
        if act.do == "forge":
            return partial(
                self._answer_by_mail, act.program, invitation, Writer(guest.name, guest.email, self._desk), act.answer
            )
        if act.do == "forward":
            return partial(self._answer_by_mail, act.program, invitation, _COLLEAGUE, act.answer)
        return partial(self._answer_by_mail, act.program, invitation, writer, act.answer)

    def _send_back(self, mail: Mail, status: str, at: datetime) -> None:
        """The guest's mail server has no such mailbox: it says so, and the message is in nobody's."""
        self._send(answers.bounce(mail, status, at), at)
        mail.path.unlink()

    def _press(self, url: str, fields: dict[str, str], _at: datetime) -> None:
        self.told.pages[self._browser.post(url, fields).status] += 1

    def _fill_in(self, url: str, guest: Guest, slug: str, wave: str, _at: datetime) -> None:
        """Open a survey's page, answer what it asks, and send it."""
        asked = opinions.questions_on(self._browser.get(url).text)
        given = opinions.answers_to(asked, self._chance, guest, slug, wave)
        self.told.pages[self._browser.post(url, given).status] += 1

    def _answer_by_mail(self, program: str, invitation: Invitation, writer: Writer, answer: str, at: datetime) -> None:
        self._send(answers.calendar_reply(program, invitation, writer, answer, at), at)

    def _send(self, message: bytes, at: datetime) -> None:
        self.told.mails[self._take_in(message, at)] += 1

    def _later(self, now: datetime, hours: float, *about: object) -> datetime:
        """A moment within so many hours, sooner rather than later, on a whole minute."""
        return now + timedelta(minutes=round(5 + hours * 60 * self._chance.draw("later", *about) ** 2))


def _kind(mail: Mail, known: _Known) -> str:
    """What a mail is, as a guest can tell in any language: by its calendar, its links, and how often it came."""
    if mail.method == "CANCEL":
        return "cancellation"
    if mail.method == "REQUEST":
        known.invitation, known.reply_link = Invitation.read(mail), mail.link("reply")
        newer, known.sequence = known.invitation.sequence > known.sequence, known.invitation.sequence
        known.asked += 1
        if known.asked == 1:
            return "invitation"
        return "update" if newer else f"reminder-{known.asked - 1}"
    survey = mail.link("survey")
    if survey:
        wave = survey.rpartition("/")[2].partition(".")[0].partition("-")[2]
        known.surveys[wave] += 1
        return wave
    if not known.asked:
        return "save-the-date"
    known.joining += 1
    return "joining" if known.joining == 1 else "itinerary"
