"""The threads of a worker: what somebody waits for waits for no campaign."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from events_service.postroom import Tally
from tests.processes import PATIENCE
from workers.actors import declare
from workers.broker import make_broker
from workers.lanes import Lanes


@pytest.mark.parametrize("kind", ["stub", "rabbitmq", "redis"])
def test_a_confirmation_and_the_chores_wait_for_no_campaign(kind: str, request: pytest.FixtureRequest) -> None:
    broker = make_broker("stub://" if kind == "stub" else request.getfixturevalue(f"{kind}_url"))
    busy, free = threading.Semaphore(0), threading.Event()
    urgent, looked, planned = threading.Event(), threading.Event(), threading.Event()

    def deliver(ids: Sequence[int]) -> Tally:
        if list(ids) == [0]:
            urgent.set()
        else:
            busy.release()
            free.wait(3 * PATIENCE)
        return Tally()

    bells = declare(broker, deliver, intake=looked.set, plan=planned.set)
    for chunk in range(20):
        bells.deliver([chunk + 1])
    lanes = Lanes(broker, 2)
    try:
        for _ in range(2):
            assert busy.acquire(timeout=PATIENCE)
        bells.urgent([0])
        bells.plan()
        bells.intake()
        assert urgent.wait(PATIENCE)
        assert looked.wait(PATIENCE)
        assert planned.wait(PATIENCE)
        # No third chunk has begun meanwhile: there are two threads for them.
        assert not busy.acquire(blocking=False)
    finally:
        free.set()
        lanes.stop(PATIENCE)
        broker.close()


def test_stopping_waits_no_longer_than_it_is_told() -> None:
    broker = make_broker("stub://")
    begun, free = threading.Event(), threading.Event()

    def deliver(ids: Sequence[int]) -> Tally:
        begun.set()
        free.wait(3 * PATIENCE)
        return Tally()

    bells = declare(broker, deliver)
    lanes = Lanes(broker, 1)
    bells.deliver([1])
    assert begun.wait(PATIENCE)
    # What does not end in time is left behind: the process ends, and its row is found when its lease is over.
    assert not lanes.stop(0.2)
    free.set()
    for thread in lanes.threads:
        thread.join(PATIENCE)
    # And where they come to an end, it says so.
    assert lanes.stop(PATIENCE)


def test_a_task_that_fails_leaves_no_dead_letter(capfd: pytest.CaptureFixture[str]) -> None:
    broker = make_broker("stub://")

    def fails() -> None:
        raise RuntimeError("ada@example.org\nis not there")

    bells = declare(broker, lambda ids: Tally(), plan=fails)
    lanes = Lanes(broker, 1)
    for _ in range(3):
        bells.plan()
    broker.join("plan")  # type: ignore[attr-defined]
    lanes.stop(PATIENCE)
    assert broker.dead_letters == []  # type: ignore[attr-defined]
    said = "".join(capfd.readouterr())
    assert "Traceback" not in said
    assert "<address> is not there" in said
