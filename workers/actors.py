"""The actors: load, call, record. They have no retries of their own, and a repeated message does nothing twice.

Each kind of work has a queue and threads of its own (`workers.process`), so that a reply's confirmation waits neither
behind a campaign's chunks nor behind a look into a mailbox. Where they share threads, the lower priority goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dramatiq
import structlog

from events_service.errors import BrokerError
from events_service.mail.words import without_addresses
from events_service.postroom import Tally
from workers.broker import waiting

Ring = Callable[[Sequence[int]], None]
"""Tells a worker of due deliveries by their ids."""
Task = Callable[[], object]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bells:
    """What rings the workers on one broker: each raises BrokerError where the broker is not to be had.

    `urgent` is for deliveries that somebody waits for. `intake` asks for a look into the mailbox, `plan` for the chores
    that need not hold up a tick. `waiting` says how many messages of a queue nobody has taken yet.
    """

    deliver: Ring
    urgent: Ring
    intake: Task
    plan: Task
    waiting: Callable[[str], int]


def declare(
    broker: dramatiq.Broker,
    deliver: Callable[[Sequence[int]], Tally],
    done: Callable[[Tally], None] | None = None,
    *,
    urgent: Callable[[], Tally] | None = None,
    intake: Task = lambda: None,
    plan: Task = lambda: None,
) -> Bells:
    """Declare the actors on a broker, and return what rings them. `done` is told what each chunk came to.

    `urgent` sends whatever somebody waits for just then, whichever ids the bell names; without it those are sent.
    """

    def _deliver(ids: list[int]) -> None:
        tally = deliver(ids)
        if done is not None:
            done(tally)

    def _urgent(ids: list[int]) -> None:
        if urgent is None:
            _deliver(ids)
        else:
            urgent()

    def actor(name: str, act: Callable[..., object], priority: int) -> Callable[..., None]:
        def guarded(*words: Any) -> None:
            try:
                act(*words)
            except Exception as error:  # noqa: BLE001  (whatever it is: the message has done its work, which is to ring)
                why = without_addresses(" ".join(str(error).split()))[:300]
                log.error("a task failed", task=name, error=type(error).__name__, why=why)

        made = dramatiq.actor(
            actor_name=name, queue_name=name, priority=priority, broker=broker, max_retries=0
        )(guarded)  # fmt: skip

        def send(*words: Any) -> None:
            try:
                made.send(*words)
            except Exception as error:
                raise BrokerError(
                    f"the broker takes no message ({type(error).__name__}); what is due is rung for again later"
                ) from error

        return send

    waited_for = actor("urgent", _urgent, 0)
    rung = actor("deliver", _deliver, 10)
    return Bells(
        deliver=lambda ids: rung(list(ids)),
        urgent=lambda ids: waited_for(list(ids)),
        intake=actor("intake", intake, 20),
        plan=actor("plan", plan, 20),
        waiting=lambda queue: waiting(broker, queue),
    )
