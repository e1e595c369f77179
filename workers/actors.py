"""The actors: load, call, record. They have no retries of their own, and a repeated message does nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dramatiq

from events_service.errors import BrokerError
from events_service.postroom import Tally

Ring = Callable[[Sequence[int]], None]
"""Tells a worker of due deliveries by their ids."""


def declare(
    broker: dramatiq.Broker, deliver: Callable[[Sequence[int]], Tally], done: Callable[[Tally], None] | None = None
) -> Ring:
    """Declare the actors on a broker, and return what rings them. `done` is told what each chunk came to.

    Ringing raises BrokerError where the broker is not to be had.
    """

    def _deliver(ids: list[int]) -> None:
        tally = deliver(ids)
        if done is not None:
            done(tally)

    on_queue = dramatiq.actor(actor_name="deliver", queue_name="deliver", broker=broker, max_retries=0)
    actor = on_queue(_deliver)

    def ring(ids: Sequence[int]) -> None:
        try:
            actor.send(list(ids))
        except Exception as error:
            raise BrokerError(
                f"the broker takes no message ({type(error).__name__}); due deliveries are rung for again later"
            ) from error

    return ring
