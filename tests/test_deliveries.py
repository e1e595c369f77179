from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events_service import deliveries, outbox
from events_service.outbox import ROWS
from tests.ledger import INVITED, started


def test_more_failed_deliveries_than_a_statement_takes_values_are_tried_again(
    rolled_back: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_BATCH", 2)
    event = started(rolled_back, "ada@example.org", "bob@example.org", "cem@example.org")
    total = sum(outbox.counts(rolled_back).values())
    rolled_back.execute(sa.update(ROWS).where(ROWS.c.step != "joining").values(state="failed", attempts=12))
    again = deliveries.retry_failed(rolled_back, event, INVITED)
    assert len(again) == total - 3 > 4
    assert [(one["due_at"], one["id"]) for one in again] == sorted((one["due_at"], one["id"]) for one in again)
    assert {(one["state"], one["attempts"]) for one in again} == {("pending", 0)}
    assert outbox.counts(rolled_back) == {"pending": total}
    assert deliveries.retry_failed(rolled_back, event, INVITED) == []
