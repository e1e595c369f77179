"""The broker that `EVENTS_BROKER_URL` names. Whichever it is, it is only a doorbell: the database knows what is due.

So nothing is retried and nothing is delayed here, and losing every message loses nothing.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import xq_name
from dramatiq.middleware import AgeLimit, Middleware, Retries, ShutdownNotifications

from events_service.errors import BrokerError, SettingsError

QUEUES = ("deliver", "urgent", "intake", "plan")
_NAMESPACE = "events"
_DEAD_WORKER_MS = 10_000
"""Redis: a worker that was not heard of for so long is dead, and what it had fetched is fetched by others."""
_BLOCKED_SECONDS = 10.0
"""RabbitMQ that is out of memory or disk takes no message and says so; it is waited for so long, not for ever."""
_DEAD_LETTERS_MS = 24 * 3600 * 1000
_DEAD_LETTERS = 1000


class BoundedDeadLetters(Middleware):
    """Keeps the in-process broker from holding on to every message that failed: it would for ever."""

    def after_nack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        """Forget the dead letters of that queue."""
        if isinstance(broker, StubBroker):
            broker.dead_letters_by_queue[message.queue_name].clear()


def make_broker(url: str) -> dramatiq.Broker:
    """The broker at `url`: stub://, amqp://… or redis://…; SettingsError for anything else.

    RabbitMQ confirms each publication, so that a message to a deleted queue is not lost silently. Redis is asked to
    look for the messages of dead workers at every fetch; by default it would take an hour to do so. Dead letters, which
    only a message for another version's actor becomes, are bounded and kept for a day.
    """
    scheme = _scheme(url)
    middleware: list[Middleware] = [AgeLimit(), ShutdownNotifications(), Retries(max_retries=0)]
    if scheme == "stub":
        return StubBroker(middleware=[*middleware, BoundedDeadLetters()])
    try:
        if scheme in ("amqp", "amqps"):
            from dramatiq.brokers.rabbitmq import RabbitmqBroker

            # It tells each failure several times, one of them as a traceback; ours are one line.
            logging.getLogger("pika").setLevel(logging.CRITICAL)

            class BoundedRabbitmqBroker(RabbitmqBroker):
                def _declare_xq_queue(self, queue_name: str) -> Any:
                    bounds = {"x-message-ttl": _DEAD_LETTERS_MS, "x-max-length": _DEAD_LETTERS}
                    return self.channel.queue_declare(queue=xq_name(queue_name), durable=True, arguments=bounds)

            rabbitmq = BoundedRabbitmqBroker(url=url, confirm_delivery=True, middleware=middleware)
            parameters = rabbitmq.parameters
            for one in parameters if isinstance(parameters, list) else [parameters]:
                if one.blocked_connection_timeout is None:
                    one.blocked_connection_timeout = _BLOCKED_SECONDS
            return rabbitmq
        if scheme in ("redis", "rediss"):
            from dramatiq.brokers.redis import RedisBroker

            class ClosingRedisBroker(RedisBroker):
                def close(self) -> None:
                    self.client.connection_pool.disconnect()

            return ClosingRedisBroker(  # type: ignore[no-untyped-call]
                url=url, middleware=middleware, maintenance_chance=1_000_000, heartbeat_timeout=_DEAD_WORKER_MS,
                dead_message_ttl=_DEAD_LETTERS_MS, namespace=_NAMESPACE,
            )  # fmt: skip
    except ImportError as error:
        raise SettingsError(f"EVENTS_BROKER_URL: {scheme}:// needs the packages that `make prod` installs") from error
    raise SettingsError(f"EVENTS_BROKER_URL: {scheme or url!r}: not supported; use stub://, amqp://… or redis://…")


def waiting(broker: dramatiq.Broker, queue: str) -> int:
    """How many messages of a declared queue no worker has taken yet; BrokerError where the broker is not to be had.

    What a worker has fetched and not begun is not among them.
    """
    try:
        if isinstance(broker, StubBroker):
            return int(broker.queues[queue].qsize())
        if hasattr(broker, "client"):
            return int(broker.client.llen(f"{_NAMESPACE}:{queue}"))
        return _rabbitmq_waiting(broker, queue)
    except Exception as error:
        raise BrokerError(f"the broker does not say how long its queues are ({type(error).__name__})") from error


def _rabbitmq_waiting(broker: Any, queue: str) -> int:
    """Asked by declaring it, which makes a queue that somebody deleted; once more on a connection that was closed."""
    import pika

    try:
        return int(broker.get_queue_message_counts(queue)[0])
    except (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError):
        del broker.connection
    try:
        return int(broker.get_queue_message_counts(queue)[0])
    except (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError):
        # The next one to ask makes another connection.
        del broker.connection
        raise


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        # What it says may be a part of the password.
        raise SettingsError(
            "EVENTS_BROKER_URL: not an address; write it like amqp://USER:PASSWORD@HOST:5672"
        ) from error
    return parts.scheme


def check_broker(broker: dramatiq.Broker, url: str) -> str:
    """See that the broker answers, and say what it is; BrokerError if it does not."""
    if isinstance(broker, StubBroker):
        return "in this process"
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "") + parts.path
    try:
        if parts.scheme.startswith("redis"):
            broker.client.ping()  # type: ignore[attr-defined]
        else:
            import pika

            # A connection of its own: one that was kept says nothing of whether the server is still there.
            pika.BlockingConnection(broker.parameters).close()  # type: ignore[attr-defined]
    except Exception as error:
        raise BrokerError(f"{where} does not answer ({type(error).__name__}); see that it runs") from error
    return where
