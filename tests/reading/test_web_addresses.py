"""Which addresses a connection may go to, and how an address is cut apart."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from events_service.errors import InputError
from events_service.reading.web_addresses import Target, is_public, is_web_address, target, without_user


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.1.1", "2606:4700::1111", "2a00:1450:4009::200e"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "192.0.0.1",
        "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::808:808",
        "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "100::1",
        "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_addresses_that_lead_elsewhere(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "cut", "host_field"),
    [
        ("https://example.org/a.ics", Target("https", "example.org", 443, "/a.ics"), "example.org"),
        ("webcal://example.org", Target("https", "example.org", 443, "/"), "example.org"),
        ("WebCal://Example.org:8443/x?y=1#z", Target("https", "example.org", 8443, "/x?y=1"), "example.org:8443"),
        ("http://[2606:4700::1]:80/", Target("http", "2606:4700::1", 80, "/"), "[2606:4700::1]"),
        ("http://bücher.example/ü ?q=ä b", Target("http", "xn--bcher-kva.example", 80, "/%C3%BC%20?q=%C3%A4%20b"),
         "xn--bcher-kva.example"),
        ("https://example.org/a%20b%2Fc", Target("https", "example.org", 443, "/a%20b%2Fc"), "example.org"),
    ],
)  # fmt: skip
def test_an_address_is_cut_apart(url: str, cut: Target, host_field: str) -> None:
    assert target(url) == cut
    assert cut.host_field == host_field
    assert target(cut.url) == cut


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "is no http, https or webcal address"),
        ("file:///etc/passwd", "is no http, https or webcal address"),
        ("gopher://example.org:25/", "is no http, https or webcal address"),
        ("events.ics", "is no http, https or webcal address"),
        ("https://", "is no web address, such as"),
        ("https:///path", "is no web address, such as"),
        ("https://[::1", "is no web address"),
        ("https://example.org:99999/", "is no web address"),
        ("https://example.org/\x00", "is no web address, such as"),
        ("https://example.org/" + "x" * 2_000, "is no web address, such as"),
        ("https://anna:secret@example.org/", "carries a user name or password"),
        ("https://anna@example.org/", "carries a user name or password"),
        ("https://a..b/", "names no host"),
        (f"https://{'x' * 70}.example/", "names no host"),
    ],
)
def test_an_address_that_is_none_says_why(url: str, why: str) -> None:
    with pytest.raises(InputError) as raised:
        target(url)
    assert str(raised.value).startswith(why)


def test_lines_cannot_be_smuggled_into_a_request() -> None:
    with pytest.raises(InputError):
        target("https://example.org/a\r\nX-Evil: 1")
    assert not set(target("https://example.org/%0d%0aX-Evil").path) & {"\r", "\n"}


def test_no_message_repeats_a_password() -> None:
    assert without_user("https://anna:secret@example.org/a?b=c") == "https://example.org/a?b=c"
    assert without_user("https://anna:secret@[::1/") == "[::1/"
    assert without_user("https://example.org/@anna") == "https://example.org/@anna"


def test_what_somebody_means_as_an_address() -> None:
    assert is_web_address("webcal://example.org/")
    assert is_web_address("HTTPS://example.org/")
    assert not is_web_address("C:/events.ics")
    assert not is_web_address("events/2023.ics")
