"""Addresses on the web that people or servers wrote: cut apart, and which of them a connection may go to. No I/O."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from events_service.errors import InputError

MAX_URL = 2_000
PORTS = {"http": 80, "https": 443}
_SCHEMES = {"webcal": "https", "webcals": "https"}
_SAFE = "/%:@!$&'()*+,;=~-._"
# Whoever lets one of these pass lets pass what is wrapped in it: compatible and mapped (RFC 4291 2.5.5), translated
# (RFC 7915), NAT64 (RFC 6052, 8215), Teredo (RFC 4380), 6to4 and its relay (RFC 3056, 3068). The last is site-local
# (RFC 3879).
_WRAPS = tuple(
    ip_network(network)
    for network in (
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "192.88.99.0/24",
        "fec0::/10",
    )
)

Address = IPv4Address | IPv6Address


class Target(NamedTuple):
    """Where to connect, and what to ask for there. `host` is ASCII, without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_field(self) -> str:
        """What the Host field says (RFC 9110 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a whole."""
        return f"{self.scheme}://{self.host_field}{self.path}"


def is_public(address: Address) -> bool:
    """Whether it is an address of the public network: no private, shared, loopback, link-local, multicast, reserved or
    unspecified one, and none that wraps another.
    """
    if any(network.version == address.version and address in network for network in _WRAPS):
        return False
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    return address.is_global and not (special or address.is_reserved or address.is_unspecified)


def is_web_address(text: str) -> bool:
    """Whether somebody means an address to fetch, and not a file."""
    return bool(re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE))


def target(url: str) -> Target:
    """An http, https or webcal address (webcal is https), cut apart; InputError with a clause that says why not."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError("is no web address") from error
    scheme = _SCHEMES.get(parts.scheme, parts.scheme)
    if scheme not in PORTS:
        raise InputError("is no http, https or webcal address")
    if not host or len(url) > MAX_URL or not url.isprintable():
        raise InputError("is no web address, such as https://example.org/events.ics")
    if parts.username is not None or parts.password is not None:
        raise InputError("carries a user name or password; none are sent anywhere")
    try:
        host = host.partition("%")[0] if ":" in host else host.encode("idna").decode()
    except UnicodeError as error:
        raise InputError("names no host") from error
    path, query = quote(parts.path or "/", safe=_SAFE), quote(parts.query, safe=_SAFE + "?")
    return Target(scheme, host, port or PORTS[scheme], f"{path}?{query}" if query else path)


def without_user(url: str) -> str:
    """The address without a user's name and password, as messages may repeat it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2][:MAX_URL]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))[:MAX_URL] if "@" in parts.netloc else url
