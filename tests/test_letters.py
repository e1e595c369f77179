"""From rows to messages: what is shared, what is frozen, what is whose own."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import Mailbox
from events_service.config import Settings, templates_dir
from events_service.db.session import Database
from events_service.db.tables import Attendee, Campaign, CampaignStep, Delivery, MessageContent, Person
from events_service.domain.delivery import delivery_key
from events_service.errors import InputError
from events_service.event_history import note_change
from events_service.feed_contents import calendar_event
from events_service.leases import Claimed
from events_service.letters import Draft, Letters, readable, reply_address
from events_service.mail.wire import Outgoing
from events_service.tokens import open_mail_token
from tests.attendance import ADDED, make_attendee, make_event
from tests.calendars.readers import instants, logical_lines, with_icalendar, with_icaljs, with_libical, with_vobject
from tests.mail.reading import AWKWARD, body, part, read

NOW = datetime(2023, 8, 7, 9, 0, tzinfo=UTC)
STEPS = {
    "save-the-date": (None, False), "invitation": (None, True), "reminder": (None, True), "joining": (None, False),
    "thanks": ("thanks", False), "outcomes": ("90", False),
}  # fmt: skip


class World:
    """A mission with a campaign; writes deliveries and what they say."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self.session, self.settings = session, settings
        self.event = make_event(
            session,
            venue="Universität der Bundeswehr",
            city="Munich",
            summary="Four days; visits, talks.",
            organiser_name="Büro für Veranstaltungen",
            organiser_email="organiser@example.org",
        )
        campaign = Campaign(event_id=self.event.id or 0, cadence="mission", started_at=ADDED)
        session.add(campaign)
        session.flush()
        self.steps: dict[str, CampaignStep] = {}
        for position, (key, (wave, calendar)) in enumerate(STEPS.items()):
            self.steps[key] = CampaignStep(
                campaign_id=campaign.id or 0,
                position=position,
                key=key,
                template=key,
                wave=wave,
                calendar=calendar,
                at_time=time(9),
                offset_days=90,
            )
            session.add(self.steps[key])
        session.flush()
        self.letters = Letters(settings)

    def person(self, email: str, reply: str = "none", **fields: str) -> Attendee:
        attendee = make_attendee(self.session, self.event, email, reply=reply)
        person = self.session.get_one(Person, attendee.person_id)
        for name, value in fields.items():
            setattr(person, name, value)
        self.session.flush()
        return attendee

    def row(self, attendee: Attendee, purpose: str) -> Delivery:
        """A claimed row of a step, or of an update or a cancellation."""
        step = self.steps.get(purpose)
        revision = 0 if step else self.event.sequence
        kind = "campaign" if step else purpose
        row = Delivery(
            key=delivery_key(kind, self.event.id or 0, purpose, attendee.person_id or 0, revision),
            purpose=kind,
            event_id=self.event.id,
            step_id=step.id if step else None,
            step=purpose,
            attendee_id=attendee.id,
            person_id=attendee.person_id,
            mandatory=step is None,
            state="sending",
            due_at=NOW,
            next_at=NOW,
            sequence=self.event.sequence,
            created_at=NOW,
            changed_at=NOW,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def drafts(self, *rows: Delivery) -> list[Draft]:
        drafts = self.letters.freeze(self.session, [as_claimed(row) for row in rows], NOW)
        for row in rows:
            self.session.refresh(row)
        return drafts

    def send(self, row: Delivery) -> Outgoing:
        (draft,) = self.drafts(row)
        return self.letters.fill(draft, NOW)

    def say(self, attendee: Attendee, purpose: str) -> EmailMessage:
        return read(self.send(self.row(attendee, purpose)).data)

    def contents(self) -> int:
        return self.session.scalar(sa.select(sa.func.count()).select_from(MessageContent)) or 0

    def change(self, action: str, **fields: object) -> None:
        before = {"starts": self.event.starts.isoformat(), "ends": self.event.ends.isoformat()}
        for name, value in fields.items():
            setattr(self.event, name, value)
        note_change(self.session, self.event, action, NOW, {"before": before}, anew=True)


def as_claimed(row: Delivery) -> Claimed:
    """The row as its worker has it."""
    return Claimed(**{name: getattr(row, name) for name in Claimed._fields})


@pytest.fixture
def world(sqlite_database: Database, settings: Settings) -> World:
    with sqlite_database.write() as session:
        yield World(session, settings)  # type: ignore[misc]


def calendar_of(message: EmailMessage) -> bytes:
    content = part(message, "text/calendar").get_payload(decode=True)
    assert isinstance(content, bytes)
    assert part(message, "application/ics").get_payload(decode=True) == content
    return content


def lines_of(message: EmailMessage, *names: str) -> list[str]:
    lines = logical_lines(calendar_of(message))
    return [line for name in names for line in lines if re.match(f"{name}[;:]", line)]


# -- what is shared


def test_people_who_read_the_same_share_one_row(database: Database, settings: Settings) -> None:
    with database.write() as session:
        world = World(session, settings)
        zones = ["Europe/London"] * 3 + ["Asia/Tokyo"] * 2
        people = [world.person(f"p{n}@example.org", timezone=zone) for n, zone in enumerate(zones)]
        drafts = world.drafts(*[world.row(attendee, "invitation") for attendee in people])
        assert world.contents() == 2
        assert [draft.row.content_id == drafts[0].row.content_id for draft in drafts] == [True] * 3 + [False] * 2
        assert len({id(draft.form) for draft in drafts}) == 2
        # Another process, which knows of nothing, finds the same rows.
        world.letters = Letters(settings)
        world.drafts(world.row(world.person("late@example.org", timezone="Europe/London"), "invitation"))
        assert world.contents() == 2
        world.drafts(world.row(people[0], "reminder"))
        assert world.contents() == 3


def test_a_language_makes_another_content(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "emails"
    shutil.copytree(templates_dir() / "emails", folder)
    shutil.copytree(folder / "invitation", tmp_path / "de")
    (tmp_path / "de").rename(folder / "invitation" / "de")
    (folder / "invitation" / "de" / "subject.txt").write_text("Einladung: {{ event.title }}\n")
    world.letters = Letters(world.settings, folder)
    people = [
        world.person(f"{locale.lower()}@example.org", locale=locale)
        for locale in ("en", "de", "de_AT", "fr", "en_GB", "tlh")
    ]
    drafts = world.drafts(*[world.row(attendee, "invitation") for attendee in people])
    subjects = [read(world.letters.fill(draft, NOW).data)["Subject"].split(":")[0] for draft in drafts]
    assert subjects == ["Invitation", "Einladung", "Einladung", "Invitation", "Invitation", "Invitation"]
    assert world.contents() == 2


# -- what is frozen


def test_a_retry_says_the_same_whatever_changed_but_the_event_s_time(world: World, tmp_path: Path) -> None:
    attendee = world.person("ada@example.org", name="Ada Müller")
    row = world.row(attendee, "invitation")
    first = world.send(row)
    world.event.title, world.event.summary, world.event.organiser_name = "Another title", "Other words", "Others"
    world.event.changed_at = NOW + timedelta(hours=1)
    world.session.get_one(Person, attendee.person_id).name = "Somebody else"
    folder = tmp_path / "emails"
    shutil.copytree(templates_dir() / "emails", folder)
    (folder / "invitation" / "subject.txt").write_text("Entirely new")
    world.letters = Letters(world.settings, folder)
    assert world.send(row) == first
    later = read(world.send(world.row(world.person("bob@example.org"), "invitation")).data)
    assert later["Subject"] == "Entirely new"


def test_only_the_date_tells_a_retry_from_the_first_attempt(world: World) -> None:
    (draft,) = world.drafts(world.row(world.person("ada@example.org"), "invitation"))
    first, second = (world.letters.fill(draft, NOW + timedelta(hours=hours)).data for hours in (0, 5))
    assert b"Date: Mon, 07 Aug 2023 14:00:00 +0000\r\n" in second
    assert first.replace(b" 09:00:00 +0000", b" 14:00:00 +0000") == second


def test_what_moved_before_it_went_says_when_it_is_now(world: World) -> None:
    row = world.row(world.person("ada@example.org"), "invitation")
    before = read(world.send(row).data)
    world.change("moved", starts=world.event.starts + timedelta(days=7), ends=world.event.ends + timedelta(days=7))
    row.content_id = None  # as the ledger puts aside a row whose event moved
    after = read(world.send(row).data)
    assert before["Message-ID"] == after["Message-ID"]
    assert (before["Subject"][-14:], after["Subject"][-15:]) == ("9 October 2023", "16 October 2023")
    assert [lines_of(one, "SEQUENCE") for one in (before, after)] == [["SEQUENCE:0"], ["SEQUENCE:1"]]
    assert row.sequence == 1


def test_a_content_that_was_rolled_back_is_never_taken_for_another(
    sqlite_database: Database, settings: Settings
) -> None:
    """SQLite gives a number that was rolled back to the next row."""
    letters = Letters(settings)
    with sqlite_database.write() as session:
        world = World(session, settings)
        ada = world.person("ada@example.org")
        rows = [world.row(ada, "invitation").id, world.row(ada, "thanks").id]
    numbers = []
    with sqlite_database.write(dry_run=True) as session:
        (draft,) = letters.freeze(session, [as_claimed(session.get_one(Delivery, rows[0]))], NOW)
        numbers.append(draft.row.content_id)
    with sqlite_database.write() as session:
        thanks, invitation = letters.freeze(
            session, [as_claimed(session.get_one(Delivery, id)) for id in reversed(rows)], NOW
        )
        numbers += [thanks.row.content_id, invitation.row.content_id]
        subjects = [read(letters.fill(draft, NOW).data)["Subject"] for draft in (thanks, invitation)]
    assert numbers == [1, 1, 2]
    assert [subject.split(":")[0] for subject in subjects] == ["Thank you", "Invitation"]


def test_threads_may_share_the_letters(world: World) -> None:
    rows = [world.row(world.person(f"p{n}@example.org"), "invitation") for n in range(40)]
    drafts = world.drafts(*rows)
    expected = [world.letters.fill(draft, NOW) for draft in drafts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda draft: world.letters.fill(draft, NOW), drafts)) == expected


# -- calendars


def test_the_calendar_is_the_event_and_one_attendee(world: World) -> None:
    attendee = world.person("ada@example.org", name="Ada Müller")
    message = world.say(attendee, "invitation")
    desk = Mailbox("Büro für Veranstaltungen", reply_address(world.settings, attendee.id or 0))
    template = InvitationTemplate(calendar_event(world.event), "REQUEST")
    content = calendar_of(message)
    assert content == template.fill(Mailbox("Ada Müller", "ada@example.org"), desk, sent_by="events@example.org")
    (event,) = with_icalendar(content).walk("VEVENT")
    assert event["ATTENDEE"] == "mailto:ada@example.org"
    assert event["ATTENDEE"].params["CN"] == "Ada Müller"
    assert (event["UID"], event["SUMMARY"], event["SEQUENCE"]) == (world.event.uid, world.event.title, 0)
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (world.event.starts, world.event.ends)
    assert event["DTSTAMP"].dt == world.event.changed_at
    assert {zone["TZID"] for zone in with_icalendar(content).walk("VTIMEZONE")} == {"Europe/Berlin"}


def test_replies_go_to_the_organiser_of_the_calendar(world: World) -> None:
    attendee = world.person("ada@example.org")
    message = world.say(attendee, "invitation")
    (organiser,) = lines_of(message, "ORGANIZER")
    assert organiser == (
        'ORGANIZER;CN="Büro für Veranstaltungen";SENT-BY="mailto:events@example.org"'
        f":mailto:{message['Reply-To'].addresses[0].addr_spec}"
    )
    token = message["Reply-To"].addresses[0].username.removeprefix("reply+")
    assert open_mail_token(world.settings.secret, "reply", token) == [str(attendee.id)]
    assert message["From"].addresses[0].addr_spec == "events@example.org"


def test_one_uid_and_a_sequence_that_rises_only_with_the_event(world: World) -> None:
    attendee = world.person("ada@example.org", reply="accepted")
    told = [world.say(attendee, "invitation"), world.say(attendee, "reminder")]
    world.change("moved", starts=world.event.starts + timedelta(days=7), ends=world.event.ends + timedelta(days=7))
    told.append(world.say(attendee, "update"))
    world.change("cancelled", state="cancelled", cancel_reason="The host withdrew.")
    told.append(world.say(attendee, "cancellation"))
    assert {tuple(lines_of(message, "UID")) for message in told} == {(f"UID:{world.event.uid}",)}
    assert {tuple(lines_of(message, "ORGANIZER")) for message in told} == {tuple(lines_of(told[0], "ORGANIZER"))}
    assert [lines_of(message, "SEQUENCE", "METHOD", "STATUS") for message in told] == [
        ["SEQUENCE:0", "METHOD:REQUEST", "STATUS:CONFIRMED"],
        ["SEQUENCE:0", "METHOD:REQUEST", "STATUS:CONFIRMED"],
        ["SEQUENCE:1", "METHOD:REQUEST", "STATUS:CONFIRMED"],
        ["SEQUENCE:2", "METHOD:CANCEL", "STATUS:CANCELLED"],
    ]
    methods = [part(message, "text/calendar")["Content-Type"].params["method"] for message in told]
    assert methods == ["REQUEST", "REQUEST", "REQUEST", "CANCEL"]
    assert len({message["Message-ID"] for message in told}) == 4
    assert "Was:   Monday 9 October, 09:00" in body(told[2], "text/plain")
    assert "Why: The host withdrew." in body(told[3], "text/plain")


@pytest.mark.parametrize(
    ("reply", "reminded", "updated"),
    [("none", "NEEDS-ACTION", "NEEDS-ACTION"), ("tentative", "TENTATIVE", "NEEDS-ACTION"),
     ("accepted", "ACCEPTED", "NEEDS-ACTION"), ("declined", "DECLINED", "NEEDS-ACTION")],
)  # fmt: skip
def test_a_reminder_keeps_the_answer_and_a_change_asks_again(
    world: World, reply: str, reminded: str, updated: str
) -> None:
    attendee = world.person("ada@example.org", reply=reply)
    for purpose, partstat in (("reminder", reminded), ("update", updated)):
        assert f";PARTSTAT={partstat};" in lines_of(world.say(attendee, purpose), "ATTENDEE")[0]


def test_other_readers_find_every_calendar_whole(world: World) -> None:
    contents = []
    for number, name in enumerate(name for name in AWKWARD if "\ud800" not in name and "\0" not in name):
        attendee = world.person(f"p{number}@example.org", name=name)
        contents += [calendar_of(world.say(attendee, purpose)) for purpose in ("invitation", "update", "cancellation")]
    expected = instants(contents[0])
    for content in contents:
        assert with_libical(content) == with_vobject(content) == expected
    for answer in with_icaljs(contents):
        (event,) = answer["events"]
        assert len(event["attendees"]) == 1
        assert event["uid"] == world.event.uid


# -- injection


@pytest.mark.parametrize("text", [text for text in AWKWARD if "\ud800" not in text and "\0" not in text])
def test_nothing_that_people_write_adds_a_line(world: World, text: str) -> None:
    plain = world.say(world.person("plain@example.org"), "invitation")
    world.event.title = world.event.summary = world.event.venue = world.event.city = text
    world.event.organiser_name, world.event.changed_at = text, NOW
    message = world.say(world.person("ada@example.org", name=text), "invitation")
    assert message.keys() == plain.keys()
    (event,) = with_icalendar(calendar_of(message)).walk("VEVENT")
    wanted = {"ATTENDEE", "ORGANIZER", "UID", "SUMMARY", "DTSTART", "DTEND", "DTSTAMP", "SEQUENCE"}
    always = {"CREATED", "LAST-MODIFIED", "STATUS", "TRANSP", "LOCATION", "CATEGORIES"}
    assert wanted | always <= set(event) <= wanted | always | {"DESCRIPTION", "URL"}
    assert event["ATTENDEE"] == "mailto:ada@example.org"
    for kind in ("text/plain", "text/html"):
        assert len(re.findall(r"/reply/", body(message, kind))) == len(re.findall(r"/reply/", body(plain, kind)))


def test_a_slug_cannot_add_a_header(world: World) -> None:
    world.event.slug = "munich\r\nBcc: everybody@evil.example"
    row = world.row(world.person("ada@example.org"), "invitation")
    with pytest.raises(InputError, match=r"List-Id: .* is not one word of printable ASCII"):
        world.send(row)


# -- links and the rest


@pytest.mark.parametrize("name", ["", "   ", "\t\r\n", "\u202e\ufeff"])
def test_whoever_has_no_name_is_greeted_all_the_same(world: World, name: str) -> None:
    message = world.say(world.person("ada@example.org", name=name), "invitation")
    assert body(message, "text/plain").startswith("Hello,\n\n")
    assert str(message["To"]) == "ada@example.org"
    assert ";CN=" not in lines_of(message, "ATTENDEE")[0]


def test_every_link_opens_what_it_is_for(world: World) -> None:
    attendee = world.person("ada@example.org")
    secret = world.settings.secret
    found: dict[str, list[str] | None] = {}
    for purpose in STEPS:
        text = body(world.say(attendee, purpose), "text/plain")
        for kind, token in re.findall(r"^http://localhost:8000/(\w+)/(\S+)$", text, re.MULTILINE):
            found[f"{purpose} {kind}"] = open_mail_token(secret, kind, token)
    id, person = str(attendee.id), str(attendee.person_id)
    stops = {f"{purpose} unsubscribe": [person] for purpose in STEPS}
    assert found == stops | {
        "invitation reply": [id],
        "reminder reply": [id],
        "joining reply": [id],
        "thanks survey": [id, "thanks"],
        "outcomes survey": [id, "90"],
    }


def test_unsubscribing_takes_one_click(world: World) -> None:
    message = world.say(world.person("ada@example.org"), "invitation")
    link = re.fullmatch(r"<http://localhost:8000/unsubscribe/(\S+)>", str(message["List-Unsubscribe"]))
    assert link
    assert open_mail_token(world.settings.secret, "unsubscribe", link[1])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert str(message["List-Id"]) == "<munich.example.org>"


def test_a_preview_is_what_will_be_sent(world: World) -> None:
    attendee = world.person("ada@example.org", name="Ada Müller", reply="tentative")
    for purpose, step in world.steps.items():
        preview = world.letters.preview(world.session, world.event, step, attendee, NOW)
        assert world.contents() == 0
        row = world.row(attendee, purpose)
        row.key = delivery_key("campaign", world.event.id or 0, step.key, attendee.person_id or 0)
        assert world.send(row) == preview
        world.session.delete(row)
        world.session.flush()
        world.session.execute(sa.delete(MessageContent))


def test_a_faulty_template_stops_the_writing(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "emails"
    shutil.copytree(templates_dir() / "emails", folder)
    (folder / "invitation" / "text.txt").write_text("{{ nothing }}")
    world.letters = Letters(world.settings, folder)
    with pytest.raises(InputError, match=r"invitation/text\.txt line 1: 'nothing' is undefined$"):
        world.send(world.row(world.person("ada@example.org"), "invitation"))
    assert world.contents() == 0


def test_a_message_as_a_person_reads_it(world: World) -> None:
    attendee = world.person("ada@example.org", name="Ada Müller")
    seen = readable(world.send(world.row(attendee, "invitation")))
    assert seen["to"] == "Ada Müller <ada@example.org>"
    assert seen["from"] == "Events desk <events@example.org>"
    assert (seen["text"] or "").startswith("Dear Ada Müller,")
    assert (seen["calendar"] or "").startswith("BEGIN:VCALENDAR")
    assert readable(world.send(world.row(attendee, "thanks")))["calendar"] is None


def test_rows_keep_the_names_and_no_token(world: World) -> None:
    row = world.row(world.person("ada@example.org", name="Ada Müller"), "invitation")
    message = world.send(row)
    assert row.fields == {"name": "Ada Müller", "organiser": "Büro für Veranstaltungen"}
    (content,) = world.session.exec(select(MessageContent)).all()
    kept = f"{content.subject}{content.text}{content.html}{(content.calendar or b'').decode()}{row.fields}"
    assert not set(re.findall(r"[a-z2-7]{32}", read(message.data).as_string())) & set(re.findall("[a-z2-7]{32}", kept))
    assert "ada@example.org" not in kept
