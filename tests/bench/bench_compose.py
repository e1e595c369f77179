"""Composing an invitation for one person, calendar and all.

`compose` is the median time from a claimed row to bytes. Its yardstick is the long way in the same run: rendering the
templates for that person, inlining the styles and building the message with Python's EmailMessage. A ratio below 1 is
what rendering once for all saves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import Mailbox
from events_service.config import Settings, templates_dir
from events_service.db.schema import open_database
from events_service.db.tables import Person
from events_service.feed_contents import calendar_event
from events_service.letter_subjects import subject_of
from events_service.letters import Draft, Letters
from events_service.mail.marks import mark
from events_service.mail.render import Occasion, Renderer
from tests.bench.harness import Figure, bench
from tests.test_letters import World

PEOPLE = 500
LONG_WAY = 50
NOW = datetime(2023, 8, 7, 9, 0, tzinfo=UTC)


@bench("compose", unit="ms")
def compose(folder: Path) -> Figure:
    """One of 500 invitations to a mission, beside the long way."""
    database = open_database(f"sqlite:///{folder / 'events.db'}")
    settings = Settings(data_dir=folder, secret_key="a key for a benchmark", mail_from="Desk <desk@example.org>")
    with database.write() as session:
        world = World(session, settings)
        attendees = [world.person(f"p{n}@example.org", name=f"Person {n} Müller") for n in range(PEOPLE)]
        drafts = world.drafts(*[world.row(attendee, "invitation") for attendee in attendees])
        letters = Letters(settings)
        value = _median([_filling(letters, draft) for draft in drafts])
        person = session.get_one(Person, attendees[0].person_id)
        yardstick = _median([_long_way(world, person, draft) for draft in drafts[:LONG_WAY]])
    database.dispose()
    return Figure(value, yardstick, value / yardstick)


def _filling(letters: Letters, draft: Draft) -> Callable[[], bytes]:
    return lambda: letters.fill(draft, NOW).data


def _long_way(world: World, person: Person, draft: Draft) -> Callable[[], bytes]:
    renderer = Renderer(templates_dir() / "emails")
    renderer.names()

    def build() -> bytes:
        subject = subject_of(world.session, world.event, "campaign")
        said = renderer.render("invitation", subject, person.locale, person.timezone, Occasion("Desk"))
        greeting = f"Dear {person.name},"
        message = EmailMessage(policy=SMTP)
        message["From"] = world.settings.resolved_mail_from
        message["To"] = draft.email
        message["Subject"] = said.subject
        message["Date"] = format_datetime(NOW)
        message["Message-ID"] = draft.row.message_id
        message.set_content(said.text.replace(mark("greeting"), greeting))
        message.add_alternative(said.html.replace(mark("greeting"), greeting), subtype="html")
        template = InvitationTemplate(calendar_event(world.event), "REQUEST")
        calendar = template.fill(Mailbox(person.name, draft.email), Mailbox("Desk", "reply@example.org"))
        message.add_attachment(calendar, maintype="application", subtype="ics", filename="invite.ics")
        return message.as_bytes()

    return build


def _median(builders: list[Callable[[], bytes]]) -> float:
    """Milliseconds; the first goes unmeasured, as it warms what is kept."""
    builders[0]()
    times = []
    for build in builders:
        began = time.perf_counter()
        content = build()
        times.append(time.perf_counter() - began)
        if len(content) < 5000:
            raise RuntimeError("that is no whole message")
    return statistics.median(times) * 1000
