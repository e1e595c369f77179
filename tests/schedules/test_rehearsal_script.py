"""The shipped script, with nobody there but its cast: what each of them must get, worked out by hand.

Days are those on which a message went, where its recipient's clock is in the programme's zone or near it. The cadences
say how many days before or after an event a step is due; the review that was due on 1 October 2023 and held on the 26th
at 15:00 UTC gates, in between, every event that begins on 2 October or later.
"""

from __future__ import annotations

import email
import mailbox
import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from schedules.rehearsal.command import rehearse
from schedules.rehearsal.runner import Rehearsed
from schedules.rehearsal.summary import Summary

ADA, NURUL, OBRIEN = "ada.lovelock@lancaster.example", "nurul.ain@um.example", "sean.o'brien@fylde.example"
GONE, SIGNE, WALTER = "gwen.gone@closed.example", "signe@region.example", "walt@knox.example"
KAETHE, JEAN, MADS = "kaethe@werkzeug.example", "jf.daubigne@atome.example", "mads@vind.example"
OLIVIA, TOM = "olivia@discovery.example", "t.postgrad@students.example"
LATER_WAVES = ("outcomes-90", "outcomes-180", "outcomes-365")
REMINDERS, CHASES = ("reminder-1", "reminder-2"), ("chase-1", "chase-2")

Steps = dict[str, str]


def each(keys: tuple[str, ...], said: str) -> Steps:
    return dict.fromkeys(keys, said)


DECLINED_AFTERWARDS = each(("joining", "thanks", *CHASES, *LATER_WAVES), "cancelled: not in the step's audience")
"""What is meant for those who accepted, of somebody who did not."""
ACCEPTED_BEFORE = each(REMINDERS, "cancelled: not in the step's audience")
CALLED_OFF = each(("joining", "thanks", *CHASES, *LATER_WAVES), "cancelled: the event was cancelled")

EXPECTED: dict[tuple[str, str], Steps] = {
    # 18-20 April 2023. She accepts on the day of the invitation, and declines by calendar ten days later.
    (KAETHE, "hannover-2023-04"): {
        "save-the-date": "2023-02-02",  # -75
        "invitation": "2023-02-28",  # -49
        "confirmation": "2023-02-28",  # six hours later, of the yes by link; a no by calendar needs none
        **ACCEPTED_BEFORE,  # declined is no answer to be reminded of either
        **DECLINED_AFTERWARDS,
    },
    # Her mailbox is no more: the first message comes back, and nothing else is sent.
    (GONE, "paris-2023-06"): {
        "save-the-date": "bounced",
        **each(("invitation", *REMINDERS, *DECLINED_AFTERWARDS), "suppressed: the address gets no mail"),
    },
    # 14-16 June 2023. He never answers this one.
    (JEAN, "paris-2023-06"): {
        "save-the-date": "2023-03-31",  # -75
        "invitation": "2023-04-26",  # -49
        "reminder-1": "2023-05-17",  # -28
        "reminder-2": "2023-05-27",  # ten days on
        **DECLINED_AFTERWARDS,
    },
    # 4-7 September 2023. Neither the forged no nor the colleague's counts; she answers no survey, so she is chased.
    (SIGNE, "copenhagen-2023-09"): {
        "save-the-date": "2023-05-29",  # -98
        "invitation": "2023-07-03",  # -63
        "confirmation": "2023-07-03",
        **ACCEPTED_BEFORE,
        "joining": "2023-08-28",  # -7
        "thanks": "2023-09-09",  # +2
        "chase-1": "2023-09-16",  # +9
        "chase-2": "2023-09-26",  # ten days on
        "outcomes-90": "2023-12-06",
        "outcomes-180": "2024-03-05",
        "outcomes-365": "2024-09-06",
    },
    # 9-12 October 2023, behind the gate. What prepares for it is of no use once it began. Thanks were due on the 14th
    # and go when the review is held; the first chase was due on the 21st at 09:00 UTC, its grace of five days is over
    # six hours before that; by the second she has answered.
    (ADA, "munich-2023-10"): {
        "save-the-date": "2023-07-03",
        "invitation": "2023-08-07",
        "confirmation": "2023-08-07",
        **ACCEPTED_BEFORE,
        "joining": "expired: its time had passed",
        "thanks": "2023-10-26",
        "chase-1": "expired: its time had passed",
        "chase-2": "cancelled: has answered",
        "outcomes-90": "2024-01-10",
        "outcomes-180": "2024-04-09",
        "outcomes-365": "2024-10-11",
    },
    # 20-23 November 2023. Both reminders (9 and 23 October) lose their three days of grace behind the gate.
    (NURUL, "kuala-lumpur-2023-11"): {
        "save-the-date": "2023-08-14",
        "invitation": "2023-09-18",
        **each(REMINDERS, "expired: its time had passed"),
        "joining": "2023-11-13",
        "thanks": "2023-11-25",
        "chase-1": "2023-12-02",
        "chase-2": "2023-12-12",
        "outcomes-90": "2024-02-21",
        "outcomes-180": "2024-05-21",
        "outcomes-365": "2024-11-22",
    },
    # 28-30 November 2023. The invitation, due on 10 October, goes when the review is held. The first reminder is due
    # five days later, on the 31st, and must keep six days' distance. He accepts after the second.
    (JEAN, "paris-2023-11"): {
        "save-the-date": "2023-09-14",
        "invitation": "2023-10-26",
        "reminder-1": "2023-11-01",
        "reminder-2": "2023-11-10",
        "joining": "2023-11-21",
        "thanks": "2023-12-02",
        "chase-1": "2023-12-09",
        "chase-2": "2023-12-19",
        "outcomes-90": "2024-02-28",
        "outcomes-180": "2024-05-28",
        "outcomes-365": "2024-11-29",
    },
    # 22-25 January 2024, called off on the 8th. The save-the-date, due on 16 October, had ten days: they end on the
    # 26th at 08:00 UTC for him (13:00 for Walter), before the review is held. He unsubscribes; that it is cancelled,
    # he is told nevertheless.
    (OBRIEN, "knoxville-2024-01"): {
        "save-the-date": "expired: its time had passed",
        "invitation": "2023-11-20",
        **each(REMINDERS, "suppressed: the address gets no mail"),
        **CALLED_OFF,
        "cancellation": "2024-01-08",
    },
    (WALTER, "knoxville-2024-01"): {
        "save-the-date": "expired: its time had passed",
        "invitation": "2023-11-20",
        "reminder-1": "2023-12-11",
        "reminder-2": "2023-12-25",
        **CALLED_OFF,
        "cancellation": "2024-01-08",
    },
    # 5-8 February 2024. Her out-of-office note is no answer; a hundred hours later she gives one.
    (OLIVIA, "toronto-2024-02"): {
        "save-the-date": "2023-10-30",
        "invitation": "2023-12-04",
        **ACCEPTED_BEFORE,
        "joining": "2024-01-29",
        "thanks": "2024-02-10",
        "chase-1": "2024-02-17",
        "chase-2": "2024-02-27",
        "outcomes-90": "2024-05-08",
        "outcomes-180": "2024-08-06",
        "outcomes-365": "2025-02-07",
    },
    # 12-14 March 2024, moved on 2 February to 19-21. What was sent before is counted from the old dates, the reminders
    # from the new ones. He says nothing, ever.
    (MADS, "copenhagen-2024-03"): {
        "save-the-date": "2023-12-28",
        "invitation": "2024-01-23",
        "update": "2024-02-02",
        "reminder-1": "2024-02-20",
        "reminder-2": "2024-03-01",
        **DECLINED_AFTERWARDS,
    },
    # 25-26 June 2024. He is put on the list on 1 May, when the save-the-date is out of date and the invitation is not.
    (TOM, "preston-health-2024-06"): {
        "save-the-date": "expired: its time had passed",
        "invitation": "2024-05-01",
        "confirmation": "2024-05-01",
        **ACCEPTED_BEFORE,
        "joining": "2024-06-18",
        "thanks": "2024-06-27",
        "chase-1": "2024-07-04",
        "chase-2": "2024-07-14",
        "outcomes-90": "2024-09-24",
        "outcomes-180": "2024-12-23",
        "outcomes-365": "pending",  # 26 June 2025 is after month 36
    },
    # 18-19 March 2025: the programme ends on the 31st.
    (ADA, "blackpool-closing-2025-03"): {
        "save-the-date": "2024-11-18",
        "invitation": "2025-01-07",
        **ACCEPTED_BEFORE,
        "joining": "2025-03-11",
        "thanks": "2025-03-20",
        "chase-1": "2025-03-27",
        "chase-2": "pending",
        **each(LATER_WAVES, "pending"),
    },
}

TOTALS = {
    # Days in the table above.
    "sent": 77,
    # chase-2 and three waves of Ada's, one wave of Tom's.
    "pending": 5,
    "bounced": 1,
    # Ten of Gwen's, two of Seán's.
    "suppressed": 12,
    "expired": 7,
    "cancelled": 48,
    "held": 0, "sending": 0, "failed": 0, "unknown": 0,
}  # fmt: skip


class Result:
    """A rehearsal that is over, and its database."""

    def __init__(self, out: Path, summary: Summary, done: Rehearsed) -> None:
        self.out, self.summary, self.done = out, summary, done

    def rows(self, sql: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.out / "events.db")) as database:
            return database.execute(sql, values).fetchall()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    out = tmp_path_factory.mktemp("rehearsal") / "out"
    summary, done, _ = rehearse("lancashire-2022-2025", 11, 1, out, lambda _months: nullcontext(lambda _step: None))
    yield Result(out, summary, done)


def test_everybody_gets_what_they_must_on_the_day(result: Result) -> None:
    found: dict[tuple[str, str], Steps] = {}
    for address, slug, step, state, day, why in result.rows(
        "SELECT p.email, e.slug, d.step, d.state, date(d.sent_at), d.last_error FROM delivery d"
        " JOIN person p ON p.id = d.person_id JOIN event e ON e.id = d.event_id"
    ):
        said = day if state == "sent" else (state if state in ("pending", "bounced") else f"{state}: {why}")
        found.setdefault((address, slug), {})[step] = said
    assert found == EXPECTED


def test_the_counts_are_those_of_the_table(result: Result) -> None:
    assert result.summary.deliveries == TOTALS
    said = [said for steps in EXPECTED.values() for said in steps.values()]
    assert len(said) == sum(TOTALS.values())
    assert len([one for one in said if one[:2] == "20"]) == TOTALS["sent"]


def test_a_file_lies_in_the_maildir_for_each_message_that_went(result: Result) -> None:
    kept = mailbox.Maildir(result.out / "mail", factory=None, create=False)
    found: dict[tuple[str, str], list[str]] = {}
    for content in (kept.get_bytes(key) for key in kept.iterkeys()):
        message = email.message_from_bytes(content, policy=default)
        [(slug,)] = result.rows(
            "SELECT e.slug FROM delivery d JOIN event e ON e.id = d.event_id WHERE d.message_id = ?",
            message["Message-ID"],
        )
        # A confirmation is no mail of a list.
        assert message["List-Id"] in (None, f"<{slug}.lancashire.example.org>")
        address = message["To"].addresses[0].addr_spec
        found.setdefault((address, slug), []).append(message["Date"].datetime.date().isoformat())
    sent = {
        key: sorted(day for day in steps.values() if day[:2] == "20")
        for key, steps in EXPECTED.items()
        if key != (GONE, "paris-2023-06")
    }
    # Gwen's only message went, and came back: it lies in nobody's mailbox.
    assert {key: sorted(days) for key, days in found.items()} == sent
    assert not list((result.out / "mail" / "tmp").iterdir())


@pytest.mark.parametrize(
    ("address", "slug", "reply", "via", "came", "note"),
    [
        (KAETHE, "hannover-2023-04", "declined", "mail", None, ""),
        (GONE, "paris-2023-06", "none", None, None, ""),
        (SIGNE, "copenhagen-2023-09", "accepted", "link", 1, ""),
        (ADA, "munich-2023-10", "accepted", "link", 1, "Vegetarian, please."),
        (NURUL, "kuala-lumpur-2023-11", "accepted", "mail", 1, ""),
        (JEAN, "paris-2023-11", "accepted", "mail", 1, ""),
        (OBRIEN, "knoxville-2024-01", "none", None, None, ""),
        (WALTER, "knoxville-2024-01", "none", None, None, ""),
        (OLIVIA, "toronto-2024-02", "accepted", "mail", 1, ""),
        (MADS, "copenhagen-2024-03", "none", None, None, ""),
        (TOM, "preston-health-2024-06", "accepted", "link", 1, ""),
        (ADA, "blackpool-closing-2025-03", "accepted", "mail", 1, ""),
    ],
)
def test_what_they_answered_and_whether_they_came(
    result: Result, address: str, slug: str, reply: str, via: str | None, came: int | None, note: str
) -> None:
    rows = result.rows(
        "SELECT a.reply, a.reply_via, a.attended, a.reply_note FROM attendee a JOIN person p ON p.id = a.person_id"
        " JOIN event e ON e.id = a.event_id WHERE p.email = ? AND e.slug = ?",
        address,
        slug,
    )
    assert rows == [(reply, via, came, note)]


def test_mail_that_came_in_was_taken_for_what_it_is(result: Result) -> None:
    rows = result.rows("SELECT kind, applied, substr(why, 1, 30), datetime(received_at) FROM intake ORDER BY id")
    assert rows == [
        ("reply", 1, "now declined", "2023-03-10 08:00:00"),
        ("bounce", 1, "save-the-date: bounced 5.1.1 s", "2023-03-31 08:06:00"),
        ("reply", 0, "not sent to the attendee's own", "2023-07-04 13:00:00"),
        ("reply", 0, "its ATTENDEE is not whom this ", "2023-07-05 09:00:00"),
        ("reply", 1, "now accepted", "2023-09-18 06:00:00"),
        ("reply", 1, "now tentative", "2023-10-26 23:00:00"),
        ("reply", 1, "now accepted", "2023-11-10 18:30:00"),
        ("auto", 0, "an automatic message; left alo", "2023-12-04 14:03:00"),
        ("reply", 1, "now accepted", "2023-12-08 18:00:00"),
        ("reply", 0, "knoxville-2024-01 was cancelle", "2024-01-08 12:30:00"),
        ("reply", 1, "now accepted", "2025-01-07 10:00:00"),
    ]


def test_the_page_of_a_cancelled_event_takes_no_reply(result: Result) -> None:
    # Five replies, two surveys and an unsubscribing were taken; Walter's yes was not.
    assert result.done.told.pages == {200: 7, 409: 1}


def test_what_the_rules_refused(result: Result) -> None:
    assert [(one.at.date().isoformat(), one.event, one.codes) for one in result.done.refusals] == [
        ("2023-06-07", "tokyo-2023-11", ("market-not-targeted",)),
        ("2023-10-10", "copenhagen-2024-03", ("review-overdue",)),
        ("2023-11-07", "lancaster-2024-03", ("outside-window",)),
    ]
    assert not [entry for entry in result.done.log if entry.kind == "failed"]


def test_the_waiver_is_on_record(result: Result) -> None:
    rows = result.rows("SELECT e.slug, w.code, w.reason FROM waiver w JOIN event e ON e.id = w.event_id")
    reason = "The hall is free a week before month 24 and not again until autumn; the board agreed on 9 November."
    assert rows == [("lancaster-2024-03", "outside-window", reason)]


def test_every_event_ends_as_it_must(result: Result) -> None:
    states = {event["slug"]: event["state"] for event in result.summary.events}
    odd = {"tokyo-2023-11": "draft", "knoxville-2024-01": "cancelled"}
    assert states == {slug: odd.get(slug, "done") for slug in states}
    assert len(states) == 18


def test_reviews_are_held_and_the_late_one_says_what_waited(result: Result) -> None:
    assert result.summary.reviews == {"held": 4, "overdue": 0}
    rows = result.rows("SELECT review_id, held_on, decision FROM review_record ORDER BY id")
    assert rows == [
        ("review-12", "2023-03-22", "continue"),
        ("progress-18", "2023-10-26", "refresh"),
        ("review-24", "2024-03-27", "continue"),
        ("progress-36", "2025-03-28", "refresh"),
    ]
    (late,) = (entry.text for entry in result.done.log if "progress-18" in entry.text and entry.kind == "review")
    # Held then: of Munich the thanks, the second chase and three waves (its joining instructions and first chase are
    # expired); of Kuala Lumpur seven (both reminders are expired); of Paris ten (its save-the-date went); of Knoxville
    # ten each (the save-the-dates are expired); of Toronto all eleven.
    assert f"25 days late; {5 + 7 + 10 + 2 * 10 + 11} messages were waiting" in late


def test_a_cancellation_says_how_many_it_tells_and_what_will_not_go(result: Result) -> None:
    (entry,) = (entry for entry in result.done.log if entry.kind == "cancelled")
    # Both are told. Seven messages each were to come: joining instructions, thanks, two chases and three waves.
    assert entry.text.endswith("spring. 2 people are told; 14 messages will not go")


def test_ada_s_answers_are_outcomes_with_what_organisers_recorded(result: Result) -> None:
    rows = result.rows(
        "SELECT e.slug, o.kind, o.value, o.source, i.country FROM outcome o JOIN event e ON e.id = o.event_id"
        " LEFT JOIN institution i ON i.id = o.institution_id ORDER BY o.id"
    )
    assert rows == [
        ("munich-2023-10", "contact", 3, "survey", None),
        ("munich-2023-10", "lead", 1, "survey", None),
        ("munich-2023-10", "agreement", 1, "survey", "DE"),
        ("munich-2023-10", "agreement", 1, "organiser", "DE"),
        ("munich-2023-10", "funding", 25000, "survey", None),
        ("munich-2023-10", "publication", 1, "survey", None),
        ("toronto-2024-02", "funding", 48000, "organiser", None),
    ]
    assert (result.summary.responses, result.summary.outcomes_recorded) == (2, 7)
    targets = {target["key"]: target["actual"] for target in result.summary.report["targets"]}
    # No baseline; one market; recorded by hand; no event had ten people; one theme.
    assert targets == {"funding": None, "partnerships": 1, "roadmap": None, "events": 0, "leads": 1}


def test_a_moved_event_is_the_same_one_at_a_later_sequence(result: Result) -> None:
    first, *_, update = [calendar for calendar in _calendars(result, MADS) if "METHOD:REQUEST" in calendar][:2]
    assert _line(first, "UID") == _line(update, "UID")
    assert (_line(first, "SEQUENCE"), _line(update, "SEQUENCE")) == ("SEQUENCE:1", "SEQUENCE:2")
    assert _line(first, "DTSTART;") == "DTSTART;TZID=Europe/Copenhagen:20240312T090000"
    assert _line(update, "DTSTART;") == "DTSTART;TZID=Europe/Copenhagen:20240319T090000"


def test_a_cancellation_takes_the_event_out_of_the_calendar(result: Result) -> None:
    invited, cancelled = _calendars(result, OBRIEN)
    assert "METHOD:CANCEL" in cancelled
    assert _line(cancelled, "UID") == _line(invited, "UID")
    assert (_line(invited, "SEQUENCE"), _line(cancelled, "SEQUENCE")) == ("SEQUENCE:1", "SEQUENCE:2")
    assert _line(cancelled, "STATUS") == "STATUS:CANCELLED"


def test_calendars_show_what_their_subscribers_may_see(result: Result) -> None:
    feeds = {path.name: path.read_text(encoding="utf-8") for path in (result.out / "feeds").iterdir()}
    assert set(feeds) == {
        "public.ics", "organiser.ics", "person-ada.ics", *(f"theme-{key}.ics" for key in
        ("cyber", "energy", "health", "mobility")), *(f"market-{code}.ics" for code in
        ("CA", "DE", "DK", "FR", "MY", "US")),
    }  # fmt: skip
    assert "Cyber resilience mission to Munich" in feeds["person-ada.ics"]
    assert "Secure Systems Showcase" not in feeds["person-ada.ics"]
    assert "North West Cyber Corridor Conference" in feeds["public.ics"]
    assert "Munich" not in feeds["public.ics"]
    assert "Review progress" in feeds["organiser.ics"]
    assert "Robotics mission to Tokyo" in feeds["organiser.ics"]
    assert not [name for name, text in feeds.items() if name != "organiser.ics" and "Tokyo" in text]
    # It was cancelled more than 30 days before the end.
    assert not [name for name, text in feeds.items() if name != "organiser.ics" and "Knoxville" in text]
    assert not [name for name, text in feeds.items() if "ATTENDEE" in text]


def _calendars(result: Result, address: str) -> list[str]:
    """The calendar objects that somebody got, oldest first, unfolded."""
    kept = mailbox.Maildir(result.out / "mail", factory=None, create=False)
    messages = [email.message_from_bytes(kept.get_bytes(key), policy=default) for key in kept.iterkeys()]
    mine = [one for one in messages if one["To"].addresses[0].addr_spec == address]
    return [
        part.get_content().replace("\r\n", "\n").replace("\n ", "")
        for one in sorted(mine, key=lambda one: one["Date"].datetime)
        for part in one.walk()
        if part.get_content_type() == "text/calendar"
    ]


def _line(calendar: str, name: str) -> str:
    event = calendar.partition("BEGIN:VEVENT")[2]
    return next(line for line in event.splitlines() if line.startswith(name))
