"""Fetching over real connections to servers of this machine, which the rule for addresses lets pass only here."""

from __future__ import annotations

import gzip
import ssl
import zlib
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address

import pytest

from events_service.errors import FileError
from events_service.reading.fetch import MAX_BYTES, fetch
from events_service.reading.web_addresses import Address
from tests.mail.servers import certificate, server_tls
from tests.reading.web_servers import Web, answer, web

BODY = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


def here(address: Address) -> bool:
    """The one address that these tests may connect to."""
    return address == IPv4Address("127.0.0.1")


def get(url: str, seconds: float = 20) -> bytes:
    return fetch(url, here, seconds=seconds)


def why(url: str, seconds: float = 20) -> str:
    """The line that a refused fetch gives, without its address."""
    with pytest.raises(FileError) as raised:
        get(url, seconds)
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith(f"{url}: ")
    return line.removeprefix(f"{url}: ")


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    "said",
    [
        answer(BODY, f"Content-Length: {len(BODY)}"),
        answer(BODY),
        answer(
            b"5\r\nBEGIN\r\n1;x=y\r\n:\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 6, BODY[6:]),
            "Transfer-Encoding: chunked",
        ),
        answer(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip"),
        answer(gzip.compress(BODY, mtime=0) + b"\0\0", "Content-Encoding: X-GZIP"),
        answer(zlib.compress(BODY), "Content-Encoding: deflate"),
        answer(bare_deflate(BODY), "Content-Encoding: deflate"),
        answer(BODY, "Content-Encoding: identity", "Content-Type: text/html"),
        answer(status="100 Continue") + answer(BODY),
    ],
    ids=range(9),
)
def test_a_body_is_fetched_however_it_is_sent(said: bytes) -> None:
    with web(lambda server, path: [said]) as server:
        assert get(server.url("/a b?c=d")) == BODY
    [request] = server.asked
    assert request.startswith(f"GET /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n")
    assert "cookie" not in request.lower()
    assert "authorization" not in request.lower()


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (answer(status="404 Not Found"), "answers 404, not with a calendar"),
        (answer(BODY, status="206 Partial Content"), "answers 206, not with a calendar"),
        (answer(status="302 Found"), "answers 302 without saying where it leads"),
        (
            answer(BODY, f"Content-Length: {len(BODY) + 5}"),
            f"broke off after {len(BODY)} of {len(BODY) + 5} bytes; try again",
        ),
        (answer(b"fff\r\nBEGIN", "Transfer-Encoding: chunked"), "what answers there is no web server, or broke off"),
        (answer(b"", "Content-Length: 99999999999"), "is larger than 10 MB; no calendar is"),
        (answer(BODY, "Content-Encoding: br"), "comes packed as 'br', which nobody asked for"),
        (answer(BODY, "Content-Encoding: gzip, gzip"), "comes packed as 'gzip, gzip', which nobody asked for"),
        (answer(BODY, "Content-Encoding: gzip"), "it is not packed as it says it is"),
        (
            answer(gzip.compress(BODY, mtime=0)[:-9], "Content-Encoding: gzip"),
            "is not packed as it says it is; try again",
        ),
        (
            answer(gzip.compress(BODY, mtime=0) * 2, "Content-Encoding: gzip"),
            "is not packed as it says it is; try again",
        ),
        (answer(gzip.compress(bytes(MAX_BYTES + 1), mtime=0), "Content-Encoding: gzip"), "unpacks to more than 10 MB"),
        (answer(zlib.compress(bytes(3 * MAX_BYTES)), "Content-Encoding: deflate"), "unpacks to more than 10 MB"),
        (b"220 mail.example.org ESMTP\r\n", "what answers there is no web server"),
        (b"", "what answers there is no web server"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 200, "what answers there is no web server"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "what answers there is no web server"),
    ],
    ids=range(17),
)
def test_an_answer_that_is_no_calendar_is_one_clear_line(said: bytes, line: str) -> None:
    with web(lambda server, path: [said]) as server:
        assert line in why(server.url())


def test_more_than_anybody_reads_ends_early() -> None:
    def endless(server: Web, path: str) -> Iterable[bytes]:
        yield answer(b"", *(("Transfer-Encoding: chunked",) if path == "/chunks" else ()))
        while not server.closing.is_set():
            yield b"10000\r\n" + b"x" * 65_536 + b"\r\n" if path == "/chunks" else b"x" * 65_536

    with web(endless) as server:
        assert why(server.url("/")) == "is larger than 10 MB; no calendar is"
        assert why(server.url("/chunks")) == "is larger than 10 MB; no calendar is"


def test_what_stands_around_a_body_is_counted_too() -> None:
    def endless(server: Web, path: str) -> Iterable[bytes]:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" if path == "/100" else answer(b"0\r\n", "Transfer-Encoding: chunked")
        while not server.closing.is_set():
            yield (b"HTTP/1.1 100 Continue\r\n\r\n" if path == "/100" else b"X-Trailer: 1\r\n") * 5_000

    with web(endless) as server:
        assert why(server.url("/100")) == "is larger than 10 MB; no calendar is"
        assert why(server.url("/trailers")) == "is larger than 10 MB; no calendar is"


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b""),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"x"),
        (answer(b"", "Content-Length: 1000000"), b"x"),
        (answer(b"", "Transfer-Encoding: chunked"), b"0"),
    ],
    ids=range(5),
)
def test_a_server_that_drips_or_says_nothing_is_left_in_time(first: bytes, piece: bytes) -> None:
    def dripping(server: Web, path: str) -> Iterable[bytes]:
        yield first
        yield from server.drip(piece)

    with web(dripping) as server:
        assert why(server.url(), seconds=0.3) == "did not answer in full within 0.3 seconds"


def test_the_time_is_for_all_redirects_together() -> None:
    def leading(server: Web, path: str) -> Iterable[bytes]:
        server.closing.wait(0.2)
        yield answer(b"", "Location: /again", status="302 Found")

    with web(leading) as server:
        assert why(server.url(), seconds=0.3) == "did not answer in full within 0.3 seconds"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_followed(status: str) -> None:
    def script(server: Web, path: str) -> Iterable[bytes]:
        steps = {"/a/b": "../c?d=é", "/c?d=%C3%A9": f"//127.0.0.1:{server.port}/e", "/e": "?f"}
        return [
            answer(b"", f"Location: {steps[path]}".encode().decode("latin-1"), status=status)
            if path in steps
            else answer(BODY)
        ]

    with web(script) as server:
        assert get(server.url("/a/b")) == BODY
        assert [request.split(" ")[1] for request in server.asked] == ["/a/b", "/c?d=%C3%A9", "/e", "/e?f"]


def test_five_redirects_are_followed_and_no_more() -> None:
    def script(server: Web, path: str) -> Iterable[bytes]:
        left = int(path[1:])
        return [answer(b"", f"Location: /{left - 1}", status="302 Found") if left else answer(BODY)]

    with web(script) as server:
        assert get(server.url("/5")) == BODY
        assert why(server.url("/6")) == "leads on more than 5 times"


@pytest.mark.parametrize(
    ("location", "line"),
    [
        ("http://127.0.0.2:{port}/", "127.0.0.2 is not on the public network (127.0.0.2), so it is not asked"),
        ("http://[::1]:{port}/", "::1 is not on the public network (::1), so it is not asked"),
        (
            "http://[::ffff:127.0.0.1]/",
            "::ffff:127.0.0.1 is not on the public network (::ffff:7f00:1), so it is not asked",
        ),
        ("http://169.254.169.254/latest", "169.254.169.254 is not on the public network (169.254.169.254)"),
        ("file:///etc/passwd", "leads to 'file:///etc/passwd', which is no http, https or webcal address"),
        ("gopher://127.0.0.1:25/x", "leads to 'gopher://127.0.0.1:25/x', which is no http, https or webcal address"),
        ("http://anna:secret@127.0.0.1:{port}/", "leads to 'http://127.0.0.1:{port}/', which carries a user name or"),
        ("http://[", "leads to 'http://[', which is no web address"),
    ],
)
def test_every_redirect_is_an_address_like_the_first(location: str, line: str) -> None:
    with web(
        lambda server, path: [answer(b"", "Location: " + location.format(port=server.port), status="302 Found")]
    ) as server:
        assert why(server.url()).startswith(line.format(port=server.port))
        assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_by_default_nothing_of_our_own_network_is_asked(host: str) -> None:
    with web(lambda server, path: [answer(BODY)]) as server:
        with pytest.raises(FileError, match="is not on the public network"):
            fetch(server.url(host=host))
        assert server.asked == []


def test_a_name_is_resolved_once_and_what_is_connected_to_is_what_was_checked() -> None:
    judged: list[Address] = []

    def judge(address: Address) -> bool:
        judged.append(address)
        return here(address)

    with web(lambda server, path: [answer(BODY)]) as server:
        assert fetch(server.url(host="localhost"), judge) == BODY
        assert judged.count(ip_address("127.0.0.1")) == 1
        assert server.asked[0].split("\r\n")[1] == f"Host: localhost:{server.port}"


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        web(lambda server, path: [answer(b"the proxy's")]) as proxy,
        web(lambda server, path: [answer(BODY)]) as server,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        monkeypatch.delenv("no_proxy", raising=False)
        assert get(server.url()) == BODY
        assert proxy.asked == []


def test_a_certificate_must_be_of_the_name_that_was_asked_for() -> None:
    trusting = ssl.create_default_context(cafile=str(certificate("localhost")))
    with web(lambda server, path: [answer(BODY)], server_tls("localhost")) as server:
        assert fetch(server.url(host="localhost", scheme="https"), here, trusting) == BODY
        assert fetch(server.url(host="localhost", scheme="webcal"), here, trusting) == BODY
        assert why(server.url(host="localhost", scheme="https")).startswith("its certificate is not accepted: ")
        # Plain words to a server that wants an encrypted connection.
        assert "cannot be fetched" in why(server.url())
    for name in ("elsewhere", "expired"):
        trusting = ssl.create_default_context(cafile=str(certificate(name)))
        with web(lambda server, path: [answer(BODY)], server_tls(name)) as server:
            with pytest.raises(FileError, match="its certificate is not accepted: "):
                fetch(server.url(host="localhost", scheme="https"), here, trusting)
            assert server.asked == []


def test_an_encrypted_connection_does_not_lead_to_one_that_is_not() -> None:
    trusting = ssl.create_default_context(cafile=str(certificate("localhost")))
    with (
        web(lambda server, path: [answer(BODY)]) as plain,
        web(
            lambda server, path: [answer(b"", f"Location: {plain.url()}", status="302 Found")], server_tls("localhost")
        ) as server,
    ):
        with pytest.raises(FileError, match="leads from an encrypted connection to one that is not"):
            fetch(server.url(host="localhost", scheme="https"), here, trusting)
        assert plain.asked == []


def test_nobody_there_and_no_such_name() -> None:
    with web(lambda server, path: []) as server:
        url = server.url()
        assert "cannot be fetched" in why(url)
    assert why(url) == "cannot be fetched: connection refused"
    assert why("https://anna.invalid..example/") == "names no host"
    # One that does not know what an encrypted connection is, and waits for more.
    with web(lambda server, path: []) as server, pytest.raises(FileError, match="did not answer in full"):
        fetch(server.url(host="localhost", scheme="https"), here, seconds=0.3)
