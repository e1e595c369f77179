"""What must hold whatever is done to the service, checked from the server's record and the ledger.

D0: no Message-ID is accepted twice under `hold`; under `resend` no oftener than its row was unknown.
L0: every message is received, or its row says unknown, failed or expired.
S: what the ledger calls sent was received.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from events_service.db.session import Database
from events_service.outbox import ROWS
from tests.faults.desk import Desk
from tests.ledger import run_out
from tests.processes import run

OVER = frozenset({"unknown", "failed", "expired"})
"""What a row may say of a message that was not received."""


def kept(
    database: Database, desk: Desk, *, policy: str = "hold", stopped: frozenset[str] = frozenset()
) -> Counter[str]:
    """Check D0, L0 and S; how many rows are in each state. `stopped` are further states that something asked for.

    Under `resend` a row that was unknown once has that spent: its policy is `hold` from then on.
    """
    with database.read() as session:
        rows = session.connection().execute(
            sa.select(ROWS.c.id, ROWS.c.state, ROWS.c.message_id, ROWS.c.unknown_policy)
        ).all()  # fmt: skip
    accepted = desk.ids
    spent = {row.message_id for row in rows if policy == "resend" and row.unknown_policy == "hold"}
    twice = {id: times for id, times in accepted.items() if times > (2 if id in spent else 1)}
    assert not twice, f"D0: accepted more than once: {twice}"
    lost = [tuple(row) for row in rows if row.message_id not in accepted and row.state not in OVER | stopped]
    assert not lost, f"L0: not received, and not said to be lost: {lost[:5]} and so on, {len(lost)} in all"
    false = [row.id for row in rows if row.state == "sent" and row.message_id not in accepted]
    assert not false, f"S: sent, says the ledger, but never received: {false[:5]}"
    strangers = set(accepted) - {row.message_id for row in rows}
    assert not strangers, f"received, but in no row: {list(strangers)[:5]}"
    assert len({(one.message_id, one.recipient) for one in list(desk.accepted)}) == len(accepted)
    return Counter(row.state for row in rows)


def undecided(database: Database) -> int:
    """How many rows are still to be sent, or on their way."""
    with database.read() as session:
        query = sa.select(sa.func.count()).where(ROWS.c.state.in_(("pending", "sending")))
        return int(session.connection().execute(query).scalar_one())


def finish(database: Database, folder: Path, settings: Mapping[str, object]) -> None:
    """Send what is left with `events work`, once every other process has ended.

    What these held then belongs to nobody: their leases are let run out, rather than waited for.
    """
    with database.write() as session:
        run_out(session)
        # Nor is a server that was away waited for.
        due = sa.update(ROWS).where(ROWS.c.state == "pending", ROWS.c.next_at > datetime.now(UTC))
        session.connection().execute(due.where(ROWS.c.due_at <= datetime.now(UTC)).values(next_at=ROWS.c.due_at))
    done = run(folder, "work", "--until-idle", **settings)
    assert done.returncode == 0, done.stderr
    assert undecided(database) == 0


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed, if it did what it was asked."""
    assert done.returncode == 0, done.stderr
    return done.stdout


def to_begin(database: Database) -> int:
    """How many rows are to be sent and not in DATA yet."""
    with database.read() as session:
        waiting = sa.or_(ROWS.c.state == "pending", sa.and_(ROWS.c.state == "sending", ROWS.c.in_data_at.is_(None)))
        return int(session.connection().execute(sa.select(sa.func.count()).where(waiting)).scalar_one())
