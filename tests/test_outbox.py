from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events_service import claims, doorbell, leases, outbox
from events_service.db.session import Database, database_now
from events_service.db.tables import Delivery
from events_service.domain.delivery import HELD_FOR_REPLY, LOST_TOO_OFTEN, SUSPECT_FROM, delivery_key
from events_service.leases import Claimed
from events_service.outbox import ROWS
from events_service.verdict import Verdict
from tests.ledger import run_out

NOW = datetime(2023, 9, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def row(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A letter to nobody in particular, pending and due."""
    return {
        "key": delivery_key("letter", 1, "-", number),
        "purpose": "letter",
        "step": "letter",
        "address": f"{number}@example.org",
        "state": "pending",
        "unknown_policy": "hold",
        "mandatory": False,
        "fields": {},
        "attempts": 0,
        "due_at": NOW,
        "next_at": NOW,
        "created_at": NOW,
        "changed_at": NOW,
    } | fields


def post(session: Session, *rows: dict[str, Any]) -> list[int]:
    for one in rows:
        outbox.post(session, [one])
    keys = [one["key"] for one in rows]
    return list(
        session.connection().execute(sa.select(ROWS.c.id).where(ROWS.c.key.in_(keys)).order_by(ROWS.c.id)).scalars()
    )


def claim(session: Session, *ids: int, token: str = "a", now: datetime = NOW, lease: float = 120) -> list[int | None]:
    return [one.id for one in claims.claim(session, ids, token, now, lease)]


def fence(session: Session, id: int, token: str = "a", now: datetime = NOW) -> bool:
    return leases.fence(session, [id], token, now, {}, 660) == {id}


def seen(session: Session, id: int) -> Delivery:
    session.expire_all()
    return session.get_one(Delivery, id)


def held(session: Session, id: int) -> Claimed:
    """The row as its worker has it."""
    row = seen(session, id)
    return Claimed(**{name: getattr(row, name) for name in Claimed._fields})


@pytest.fixture
def session(rolled_back: Session) -> Session:
    return rolled_back


def test_a_key_is_written_once(session: Session) -> None:
    assert outbox.post(session, [row(1), row(2)]) == 2
    assert outbox.post(session, [row(2, address="other@example.org"), row(3)]) == 1
    addresses = session.connection().execute(sa.select(ROWS.c.address).order_by(ROWS.c.id)).scalars()
    assert list(addresses) == ["1@example.org", "2@example.org", "3@example.org"]


def test_more_rows_than_one_statement_holds(session: Session) -> None:
    assert outbox.post(session, [row(number) for number in range(1203)]) == 1203
    assert outbox.counts(session) == {"pending": 1203}


def test_a_claim_takes_what_is_pending_and_due_once(session: Session) -> None:
    states = ("held", "sending", "sent", "failed", "unknown", "bounced", "suppressed", "cancelled", "expired")
    ids = post(session, row(0), row(1, next_at=NOW + HOUR), *(row(n, state=s) for n, s in enumerate(states, 2)))
    assert claim(session, *ids) == [ids[0]]
    assert claim(session, *ids, token="b") == []
    taken = seen(session, ids[0])
    assert (taken.state, taken.lease_token, taken.attempts, taken.in_data_at) == ("sending", "a", 1, None)
    assert [seen(session, id).state for id in ids[2:]] == list(states)


def test_a_lease_goes_by_the_databases_clock(session: Session) -> None:
    [id] = post(session, row())
    claim(session, id, now=NOW + timedelta(days=9000), lease=30)
    with_lease = seen(session, id).lease_until
    there = session.connection().execute(sa.select(database_now(session.get_bind().dialect.name))).scalar_one()
    assert with_lease is not None and timedelta(seconds=20) < with_lease - there < timedelta(seconds=31)
    assert outbox.sweep(session, NOW + timedelta(days=9000)) == 0
    assert fence(session, id, now=NOW - timedelta(days=9000))


def test_the_fence_opens_once_for_who_holds_the_lease(session: Session) -> None:
    [id] = post(session, row())
    assert not fence(session, id)
    claim(session, id)
    assert not fence(session, id, token="b")
    assert fence(session, id)
    assert not fence(session, id)


def test_a_lease_that_ran_out_before_data_is_pending_again(session: Session) -> None:
    [id] = post(session, row())
    claim(session, id)
    run_out(session)
    assert not fence(session, id)
    assert outbox.sweep(session, NOW) == 1
    back = seen(session, id)
    assert (back.state, back.lease_token, back.rung_at, back.attempts) == ("pending", None, None, 0)
    assert not leases.settle_sent(session, [id], "a", NOW)
    assert claim(session, id, token="b") == [id]


@pytest.mark.parametrize("policy", ["hold", "resend"])
def test_a_lease_that_ran_out_in_data_is_unknown_or_sent_once_more(session: Session, policy: str) -> None:
    [id] = post(session, row(unknown_policy=policy))
    claim(session, id)
    assert fence(session, id)
    run_out(session)
    assert outbox.sweep(session, NOW) == 1
    if policy == "resend":
        assert seen(session, id).state == "pending"
        assert claim(session, id, token="b") == [id]
        assert fence(session, id, token="b")
        run_out(session)
        assert outbox.sweep(session, NOW) == 1
    assert seen(session, id).state == "unknown"
    assert claim(session, id, token="c") == []


@pytest.mark.parametrize("policy", ["hold", "resend"])
def test_a_connection_lost_in_data_is_unknown_or_sent_once_more(session: Session, policy: str) -> None:
    [id] = post(session, row(unknown_policy=policy))
    for token in ("a", "b")[: 2 if policy == "resend" else 1]:
        claim(session, id, token=token)
        assert fence(session, id, token=token)
        assert not leases.settle_unknown(session, id, "somebody else", "lost", NOW)
        assert leases.settle_unknown(session, id, token, "lost", NOW)
    assert (seen(session, id).state, seen(session, id).last_error) == ("unknown", "lost")


def test_the_servers_word_settles_what_was_thought_unknown(session: Session) -> None:
    ids = post(session, row(1), row(2), row(3))
    claim(session, *ids)
    assert all(fence(session, id) for id in ids)
    run_out(session)
    outbox.sweep(session, NOW)
    assert outbox.counts(session) == {"unknown": 3}
    assert leases.settle_sent(session, [ids[0]], "a", NOW)
    assert leases.settle_failed(session, ids[1], "a", 554, "no", NOW)
    assert leases.settle_transient(session, held(session, ids[2]), "a", 451, "later", NOW, 60, 12)
    assert [seen(session, id).state for id in ids] == ["sent", "failed", "pending"]


def test_an_organisers_word_stands_against_a_late_one(session: Session) -> None:
    [id] = post(session, row())
    claim(session, id)
    fence(session, id)
    run_out(session)
    outbox.sweep(session, NOW)
    assert outbox.settle_by_hand(session, id, False, NOW)
    assert not leases.settle_sent(session, [id], "a", NOW)
    assert seen(session, id).state == "pending"


def test_a_transient_refusal_waits_longer_each_time_and_then_fails(session: Session) -> None:
    [id] = post(session, row())
    now, waits = NOW, []
    for attempt in range(4):
        assert claim(session, id, token=str(attempt), now=now) == [id]
        assert fence(session, id, token=str(attempt), now=now)
        assert leases.settle_transient(session, held(session, id), str(attempt), 451, "busy", now, 60, 4)
        waits.append((seen(session, id).next_at - now).total_seconds())
        now = seen(session, id).next_at
    last = seen(session, id)
    assert (last.state, last.last_code, last.last_error) == ("failed", 451, "busy (after 4 attempts)")
    assert all(60 * 2**n <= wait <= 75 * 2**n for n, wait in enumerate(waits[:3]))


def test_a_transient_refusal_waits_for_six_hours_at_most(session: Session) -> None:
    [id] = post(session, row(attempts=400))
    claim(session, id)
    assert leases.settle_transient(session, held(session, id), "a", 0, "nobody there", NOW, 60, 999)
    back = seen(session, id)
    assert back.state == "pending"
    assert timedelta(hours=6) <= back.next_at - NOW <= timedelta(hours=7.5)


def test_what_could_not_be_tried_keeps_its_attempts(session: Session) -> None:
    ids = post(session, row(1, attempts=11, rung_at=NOW), row(2))
    claim(session, *ids)
    assert leases.settle_untried(session, held(session, ids[0]), "a", 0, "nobody there", NOW, 60)
    assert not leases.settle_untried(session, held(session, ids[1]), "b", 0, "nobody there", NOW, 60)
    back = seen(session, ids[0])
    assert (back.state, back.attempts, back.last_code, back.last_error) == ("pending", 11, 0, "nobody there")
    assert NOW + HOUR / 60 <= back.next_at <= NOW + 1.25 * HOUR / 60 and back.rung_at is None
    assert seen(session, ids[1]).state == "sending"


def test_what_was_not_tried_is_not_counted(session: Session) -> None:
    ids = post(session, *(row(n) for n in range(5)))
    claim(session, *ids)
    leases.put_aside(session, ids[:1], "a", Verdict("held", "organiser"), NOW)
    leases.put_aside(session, ids[1:2], "a", Verdict("cancelled", "declined"), NOW)
    leases.postpone(session, ids[2], "a", NOW + HOUR, NOW)
    assert fence(session, ids[4])
    leases.put_aside(session, ids[4:], "a", Verdict("held", "organiser"), NOW)
    assert leases.give_back(session, ids, "a", NOW) == 1
    found = [seen(session, id) for id in ids]
    assert [one.state for one in found] == ["held", "cancelled", "pending", "pending", "sending"]
    assert [one.attempts for one in found] == [0, 0, 0, 0, 1]
    assert (found[0].hold_reason, found[1].last_error, found[2].next_at) == ("organiser", "declined", NOW + HOUR)
    assert leases.give_back(session, ids, "a", NOW) == 0


def test_what_is_past_its_time_expires_held_or_not(session: Session) -> None:
    late = {"expires_at": NOW}
    states = ("pending", "held", "sending", "failed", "unknown", "sent")
    ids = post(session, *(row(n, state=s, hold_reason="organiser", **late) for n, s in enumerate(states)), row(9))
    assert outbox.expire(session, NOW - timedelta(microseconds=1)) == 0
    assert outbox.expire(session, NOW) == 2
    found = [seen(session, id) for id in ids]
    assert [one.state for one in found] == ["expired", "expired", "sending", "failed", "unknown", "sent", "pending"]
    assert [one.hold_reason for one in found[:2]] == [None, None]


def test_workers_that_are_lost_before_data_use_up_no_attempt(session: Session) -> None:
    [id] = post(session, row(attempts=3))
    for token in "abc":
        assert claim(session, id, token=token) == [id]
        run_out(session)
        assert outbox.sweep(session, NOW) == 1
    assert seen(session, id).attempts == 3


def test_a_message_that_kills_every_worker_fails_and_may_be_tried_again(session: Session) -> None:
    [id] = post(session, row(attempts=3))
    for lost in range(LOST_TOO_OFTEN):
        assert (seen(session, id).state, seen(session, id).lost_leases) == ("pending", lost)
        assert claim(session, id, token=str(lost)) == [id]
        run_out(session)
        assert outbox.sweep(session, NOW) == 1
    failed = seen(session, id)
    assert (failed.state, failed.attempts, failed.lease_token, failed.lease_until) == ("failed", 3, None, None)
    assert (failed.last_error or "").startswith("its worker was lost 5 times in a row before DATA")
    assert not fence(session, id, token=str(LOST_TOO_OFTEN - 1))
    assert outbox.retry(session, NOW) == [id]
    assert (seen(session, id).state, seen(session, id).lost_leases) == ("pending", 0)


def test_what_comes_to_its_fence_is_no_suspect_any_more(session: Session) -> None:
    [id] = post(session, row(lost_leases=LOST_TOO_OFTEN - 1))
    claim(session, id)
    assert fence(session, id)
    assert leases.settle_transient(session, held(session, id), "a", 451, "later", NOW, 60, 12)
    assert (seen(session, id).state, seen(session, id).lost_leases) == ("pending", 0)


def test_suspects_are_claimed_apart_a_few_at_a_time_and_the_rest_is_rung_for_again(session: Session) -> None:
    lost = [0] * 5 + [1] * 5 + [SUSPECT_FROM] * 12 + [SUSPECT_FROM + 1] * 2
    ids = post(session, *(row(n, lost_leases=lost[n], rung_at=NOW) for n in range(len(lost))))
    plain, few, alone = ids[:10], ids[10:22], ids[22:]
    # While some are under a lease, no others are.
    assert claim(session, *ids, token="a") == few[:10]
    assert [id for id in ids if seen(session, id).rung_at] == few[:10]
    assert claim(session, *ids, token="b") == plain
    assert claim(session, *ids, token="c") == []
    assert all(fence(session, id) for id in few[:10])
    assert claim(session, *ids, token="d") == few[10:]
    assert [fence(session, id, token="d") for id in few[10:]] == [True, True]
    for one, token in zip(alone, "ef", strict=True):
        assert claim(session, *ids, token=token) == [one]
        assert fence(session, one, token=token)


def test_two_workers_at_the_same_moment_do_not_both_claim_suspects(postgres_database: Database) -> None:
    with postgres_database.write() as session:
        ids = post(session, *(row(n, lost_leases=SUSPECT_FROM + 1) for n in range(2)))
    with postgres_database.write() as one, postgres_database.write() as other:
        assert claim(one, ids[0]) == ids[:1]
        assert claim(other, ids[1], token="b") == []
    with postgres_database.write() as session:
        assert claim(session, ids[1], token="c") == []
        assert fence(session, ids[0])
        assert claim(session, ids[1], token="c") == ids[1:]


@pytest.mark.parametrize("poisons", [{0}, {57}, {119}, {40, 41, 100}])
def test_one_that_kills_its_process_takes_nobody_else_with_it(database: Database, poisons: set[int]) -> None:
    """Four threads with a chunk each are lost at once, again and again."""
    with database.write() as session:
        ids = post(session, *(row(n) for n in range(120)))
    fatal = {ids[number] for number in poisons}
    lives = 0
    while live_once(database, fatal, str(lives)):
        lives += 1
    with database.read() as session:
        states = {id: seen(session, id).state for id in ids}
    assert states == {id: "failed" if id in fatal else "sent" for id in ids}
    assert lives <= LOST_TOO_OFTEN * len(poisons)


def live_once(database: Database, fatal: set[int], name: str, threads: int = 4, size: int = 15) -> bool:
    """A process with so many threads that works until nothing is left to do, or dies: whether it died."""
    again = None
    while True:
        with database.write() as session:
            outbox.sweep(session, NOW)
            rung = doorbell.ring_due(session, NOW, limit=1000, again_after=again)
        if not rung:
            return False
        again = HOUR
        chunks = [rung[start : start + size] for start in range(0, len(rung), size)]
        for first in range(0, len(chunks), threads):
            at_once: list[tuple[str, list[int | None]]] = []
            for number, chunk in enumerate(chunks[first : first + threads]):
                token = f"{name}/{first + number}"
                with database.write() as session:
                    at_once.append((token, claim(session, *chunk, token=token)))
            for place in range(size):
                for token, mine in at_once:
                    if place >= len(mine):
                        continue
                    with database.write() as session:
                        if mine[place] in fatal:
                            run_out(session)
                            return True
                        assert fence(session, mine[place] or 0, token=token)
                        assert leases.settle_sent(session, [mine[place] or 0], token, NOW)


def test_what_is_too_late_is_found_without_reading_all_that_waits(sqlite_database: Database) -> None:
    said: list[tuple[str, Any]] = []
    sa.event.listen(sqlite_database.engine, "before_cursor_execute", lambda *words: said.append((words[2], words[3])))
    with sqlite_database.write() as session:
        outbox.expire(session, NOW)
        [(statement, values)] = [one for one in said if one[0].startswith("UPDATE delivery")]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert len(plan) == 1 and plan[0][-1].endswith("INDEX ix_delivery_state_expires_at (state=? AND expires_at<?)")


def test_of_what_is_too_late_what_waited_for_a_yes_was_for_nobody(session: Session) -> None:
    late = {"expires_at": NOW, "state": "held"}
    ids = post(session, row(1, hold_reason=HELD_FOR_REPLY, **late), row(2, hold_reason="organiser", **late))
    assert outbox.expire(session, NOW) == 1
    assert [(seen(session, id).state, seen(session, id).last_error, seen(session, id).hold_reason) for id in ids] == [
        ("cancelled", "not in the step's audience", None),
        ("expired", "its time had passed", None),
    ]


def test_a_bounce_settles_what_was_sent_or_doubtful(session: Session) -> None:
    states = ("sent", "unknown", "pending", "sending", "failed", "bounced")
    ids = post(session, *(row(n, state=state) for n, state in enumerate(states)))
    assert [outbox.bounced(session, id, "no such user", NOW) for id in ids] == [True, True, False, False, False, False]


def test_only_what_failed_is_tried_again_and_only_what_is_unknown_is_settled(session: Session) -> None:
    ids = post(session, row(1, state="failed", attempts=12), row(2, state="unknown"), row(3, state="sent"))
    assert outbox.retry(session, NOW, ROWS.c.id == ids[1]) == []
    assert outbox.retry(session, NOW) == ids[:1]
    assert (seen(session, ids[0]).state, seen(session, ids[0]).attempts) == ("pending", 0)
    assert [outbox.settle_by_hand(session, id, True, NOW) for id in ids] == [False, True, False]
    assert (seen(session, ids[1]).state, seen(session, ids[1]).sent_at) == ("sent", NOW)


def test_threads_never_claim_the_same_row(database: Database) -> None:
    with database.write() as session:
        ids = post(session, *(row(n) for n in range(200)))
    taken: dict[str, Sequence[int | None]] = {}
    barrier = threading.Barrier(4)

    def worker(token: str) -> None:
        barrier.wait()
        mine: list[int | None] = []
        for start in range(0, len(ids), 20):
            with database.write() as session:
                mine += claim(session, *ids[start : start + 20], token=f"{token}{start}")
        taken[token] = mine

    threads = [threading.Thread(target=worker, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(id for mine in taken.values() for id in mine if id) == ids
