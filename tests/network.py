"""Keeps the tests off the network: nothing but loopback and the services named for the tests can be reached.

An audit hook sees every connection that Python makes in this process, whatever library makes it. It raises at the
attempt, and keeps it, so that a test whose code swallows the exception fails nevertheless.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

SERVICE_VARIABLES = ("EVENTS_TEST_POSTGRES_URL", "EVENTS_TEST_RABBITMQ_URL", "EVENTS_TEST_REDIS_URL")


class OutsideNetworkError(RuntimeError):
    """A test reached for an address beyond this machine."""


class NetworkGuard:
    """Refuses addresses beyond this machine. `attempts` are those refused since it was last cleared."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._allowed = {"", "localhost", socket.gethostname().lower()} | _service_hosts()

    def install(self) -> None:
        """Watch this process from now to its end; Python has no way to take an audit hook out."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            connection, address = arguments
            if connection.family in {socket.AF_INET, socket.AF_INET6} and address:
                self._require(event, address[0], resolving=False)
        elif event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
            self._require(event, arguments[0], resolving=True)

    def _require(self, event: str, host: str | bytes | None, *, resolving: bool) -> None:
        name = (host.decode() if isinstance(host, bytes) else host or "").lower().rstrip(".")
        if name in self._allowed or name.endswith(".localhost"):
            return
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            pass
        else:
            # To 'resolve' a numeric address reaches nobody; binding to one does so too.
            if resolving and event == "socket.getaddrinfo":
                return
            if address.is_loopback:
                return
        self.attempts.append(f"{event} {name}")
        raise OutsideNetworkError(f"a test reached beyond this machine: {event} {name}")


def _service_hosts() -> set[str]:
    """The hosts of the services named for the tests, with their addresses."""
    hosts: set[str] = set()
    for variable in SERVICE_VARIABLES:
        host = urlsplit(os.environ.get(variable, "")).hostname
        if host:
            hosts.add(host.lower())
            hosts.update(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    return hosts
