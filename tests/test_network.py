from __future__ import annotations

import socket
import urllib.request

import pytest

from tests.network import NetworkGuard, OutsideNetworkError


# 192.0.2.0/24 and 2001:db8::/32 are reserved for examples (RFC 5737, RFC 3849): nobody is there even without the guard.
@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1"])
def test_an_address_beyond_this_machine_is_refused(address: str, network_guard: NetworkGuard) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as connection, pytest.raises(OutsideNetworkError, match=address):
        connection.connect((address, 80))
    assert network_guard.attempts == [f"socket.connect {address}"]
    network_guard.attempts.clear()


def test_a_name_beyond_this_machine_is_not_even_resolved(network_guard: NetworkGuard) -> None:
    with pytest.raises(OutsideNetworkError, match="www"):
        urllib.request.urlopen("http://www.example.org/")
    assert network_guard.attempts == ["socket.getaddrinfo www.example.org"]
    network_guard.attempts.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_reached(host: str, network_guard: NetworkGuard) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1]), timeout=5) as connection,
    ):
        assert connection.getpeername() == server.getsockname()
    assert network_guard.attempts == []
