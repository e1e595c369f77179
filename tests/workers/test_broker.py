from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from events_service.errors import BrokerError, SettingsError
from events_service.postroom import Tally
from tests import services
from workers.actors import declare
from workers.broker import QUEUES, check_broker, make_broker
from workers.lanes import Lanes


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "''"),
        ("kafka://localhost", "'kafka'"),
        ("amqp://localhost:port", "not an address"),
        ("redis://localhost:99999", "not an address"),
    ],
)
def test_an_address_that_names_no_broker_is_refused(url: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        make_broker(url)
    assert str(refused.value).startswith("EVENTS_BROKER_URL: ")
    assert why in str(refused.value)


def test_the_broker_in_this_process_is_always_there() -> None:
    broker = make_broker("stub://")
    assert check_broker(broker, "stub://") == "in this process"


@pytest.mark.parametrize(("query", "seconds"), [("", 10), ("?blocked_connection_timeout=3", 3)])
def test_a_broker_that_hangs_is_waited_for_some_seconds(query: str, seconds: float) -> None:
    rabbitmq: Any = make_broker(f"amqp://guest:guest@127.0.0.1:1/%2f{query}")
    assert rabbitmq.parameters.blocked_connection_timeout == seconds
    redis: Any = make_broker("redis://127.0.0.1:1/0")
    assert redis.client.connection_pool.make_connection().socket_timeout == 5


def test_no_broker_retries_or_delays() -> None:
    broker = make_broker("stub://")
    assert not {"TimeLimit", "Pipelines", "Prometheus"} & {type(one).__name__ for one in broker.middleware}
    declare(broker, lambda ids: Tally())
    assert {broker.get_actor(queue).options["max_retries"] for queue in QUEUES} == {0}
    assert broker.get_actor("urgent").priority < broker.get_actor("deliver").priority
    assert {name for name in broker.get_declared_queues() if not name.endswith(".DQ")} == set(QUEUES)
    assert set(services.QUEUES) == set(QUEUES)


def test_what_is_rung_for_is_delivered_and_told() -> None:
    broker, got, tallies = make_broker("stub://"), [], []

    def deliver(ids: Sequence[int]) -> Tally:
        got.append(list(ids))
        return Tally(sent=len(ids))

    ring = declare(broker, deliver, tallies.append).deliver
    worker = Lanes(broker, 1)
    ring((1, 2))
    ring([3])
    broker.join("deliver")  # type: ignore[attr-defined]
    worker.stop(20)
    assert got == [[1, 2], [3]]
    assert [tally.sent for tally in tallies] == [2, 1]


def test_dead_letters_do_not_pile_up() -> None:
    broker = make_broker("stub://")
    assert isinstance(broker, StubBroker)

    def deliver(ids: Sequence[int]) -> Tally:
        raise RuntimeError("on purpose")

    ring = declare(broker, deliver).deliver
    worker = Lanes(broker, 1)
    for _ in range(3):
        ring([1])
    broker.join("deliver", fail_fast=False)
    worker.stop(20)
    assert broker.dead_letters == []


@pytest.mark.parametrize("kind", ["rabbitmq", "redis"])
def test_a_real_broker_takes_and_gives(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    broker = make_broker(url)
    where = check_broker(broker, url)
    assert where.startswith(("amqp://127.0.0.1", "redis://127.0.0.1"))
    assert "guest" not in where
    got: list[int] = []

    def deliver(ids: Sequence[int]) -> Tally:
        got.extend(ids)
        return Tally()

    ring = declare(broker, deliver).deliver
    worker = Lanes(broker, 1)
    ring([1, 2, 3])
    broker.join("deliver", timeout=20_000)
    worker.stop(20)
    broker.close()
    assert got == [1, 2, 3]


@pytest.mark.parametrize("url", ["amqp://guest:secret@127.0.0.1:1", "redis://:secret@127.0.0.1:1/0"])
def test_a_broker_that_is_not_there_is_said_without_its_password(url: str) -> None:
    broker = make_broker(url)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1(/0)? does not answer \(\w+\); see that it runs$") as refused:
        check_broker(broker, url)
    assert "secret" not in str(refused.value)
    ring = declare(broker, lambda ids: Tally()).deliver
    with pytest.raises(BrokerError, match="rung for again later"):
        ring([1])
    assert isinstance(broker, dramatiq.Broker)
