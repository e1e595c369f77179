"""Fetching what others publish, by an address that anybody may have written.

Such an address must not lead into our own network. So a name is resolved once, what it resolves to is checked, and the
connection goes to that very address; each redirect is an address like the first. Everything is bounded: bytes as they
come and unpacked, redirects, and the time for all of it together, whatever a server sends and however slowly.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin

from events_service.errors import FileError, InputError
from events_service.reading.web_addresses import Address, Target, is_public, target, without_user

MAX_BYTES = 10_000_000
MAX_SECONDS = 20.0
MAX_REDIRECTS = 5
MAX_OVERHEAD = 1_000_000
"""Bytes that may come beside the body: headers, chunk marks, redirects."""
_TRIES = 4
_CONNECT_SECONDS = 5.0
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


def fetch(
    url: str,
    allowed: Callable[[Address], bool] = is_public,
    tls: ssl.SSLContext | None = None,
    seconds: float = MAX_SECONDS,
) -> bytes:
    """The body at an http, https or webcal address (webcal is https), unpacked; at most MAX_BYTES.

    `allowed` says to which addresses a connection may go, `tls` whose certificates are trusted (the system's by
    default). FileError, which says why, for anything but a whole answer of status 200 within `seconds`.
    """
    return _Fetch(url, allowed, tls, seconds).body()


class _Fetch:
    """One fetch, through its redirects."""

    def __init__(
        self, url: str, allowed: Callable[[Address], bool], tls: ssl.SSLContext | None, seconds: float
    ) -> None:
        self._shown = without_user(url)
        self._url, self._allowed, self._tls, self._seconds = url, allowed, tls, seconds
        self._deadline = time.monotonic() + seconds
        self._bytes_left = MAX_BYTES + MAX_OVERHEAD

    def body(self) -> bytes:
        to = self._target(self._url)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                found = self._ask(to)
            except TimeoutError as error:
                raise self._fault(f"did not answer in full within {self._seconds:g} seconds") from error
            except ssl.SSLCertVerificationError as error:
                raise self._fault(f"its certificate is not accepted: {error.verify_message}") from error
            except (OSError, http.client.HTTPException, zlib.error) as error:
                raise self._fault(f"cannot be fetched: {_said(error)}") from error
            if isinstance(found, bytes):
                return found
            to = self._following(to, found)
        raise self._fault(f"leads on more than {MAX_REDIRECTS} times")

    def _following(self, to: Target, location: str) -> Target:
        try:
            following = urljoin(to.url, location)
        except ValueError:
            following = location
        leads = self._target(following)
        if to.scheme == "https" and leads.scheme == "http":
            raise self._fault("leads from an encrypted connection to one that is not")
        return leads

    def _fault(self, why: str) -> FileError:
        return FileError(self._shown, why)

    def _target(self, url: str) -> Target:
        try:
            return target(url)
        except InputError as error:
            redirected = "" if url == self._url else f"leads to {without_user(url)[:200]!r}, which "
            raise self._fault(f"{redirected}{error}") from error

    def _ask(self, to: Target) -> bytes | str:
        """The body, or where a redirect leads."""
        with self._connect(to) as sock:
            connection = http.client.HTTPConnection(to.host, to.port)
            connection.sock = _Line(sock, self)
            headers = {
                "Host": to.host_field,
                "User-Agent": "events-service",
                "Accept": "text/calendar, */*;q=0.5",
                "Accept-Encoding": "gzip, deflate",
                "Connection": "close",
            }
            connection.request("GET", to.path, headers=headers)
            answer = connection.getresponse()
            if answer.status in _REDIRECTS:
                location = answer.getheader("Location", "")
                if not location:
                    raise self._fault(f"answers {answer.status} without saying where it leads")
                # Header fields come as Latin-1, whatever they are.
                return location.encode("latin-1", "replace").decode("utf-8", "replace").strip()
            if answer.status != http.client.OK:
                raise self._fault(f"answers {answer.status}, not with a calendar")
            return self._read(answer)

    def _connect(self, to: Target) -> socket.socket:
        addresses = self._resolve(to)
        chosen = [address for address in addresses if self._allowed(address)][:_TRIES]
        if not chosen:
            raise self._fault(f"{to.host} is not on the public network ({addresses[0]}), so it is not asked")
        problem: OSError | None = None
        for address in chosen:
            left = self.left()
            try:
                timeout = left if len(chosen) == 1 else min(left, _CONNECT_SECONDS)
                sock = socket.create_connection((str(address), to.port), timeout=timeout)
            except OSError as error:
                problem = error
                continue
            if to.scheme == "http":
                return sock
            try:
                sock.settimeout(self.left())
                tls = self._tls or ssl.create_default_context()
                return tls.wrap_socket(sock, server_hostname=to.host)
            except BaseException:
                sock.close()
                raise
        raise problem or OSError("no address")

    def _resolve(self, to: Target) -> list[Address]:
        """What the name means, each address once. A resolver may take as long as it likes, so it is not waited for."""
        try:
            return [ip_address(to.host)]
        except ValueError:
            pass
        answer: list[list[Address] | OSError] = []

        def ask() -> None:
            try:
                found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
                answer.append(list(dict.fromkeys(ip_address(str(each[4][0]).partition("%")[0]) for each in found)))
            except OSError as error:
                answer.append(error)

        thread = threading.Thread(target=ask, name="resolver", daemon=True)
        thread.start()
        thread.join(self.left())
        if not answer:
            raise TimeoutError
        found = answer[0]
        if isinstance(found, OSError) or not found:
            raise self._fault(f"the name {to.host} is not known") from None
        return found

    def left(self) -> float:
        """Seconds that are left; TimeoutError where none are."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def count(self, received: int) -> None:
        """Take note of bytes that came, whatever they are part of."""
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise self._too_much()

    def _too_much(self) -> FileError:
        return self._fault(f"is larger than {MAX_BYTES // 1_000_000} MB; no calendar is")

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        coding = answer.getheader("Content-Encoding", "").strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise self._fault(f"comes packed as {coding[:40]!r}, which nobody asked for")
        length = answer.length
        if length is not None and length > MAX_BYTES:
            raise self._too_much()
        body = bytearray()
        while piece := answer.read(65_536):
            body += piece
            if len(body) > MAX_BYTES:
                raise self._too_much()
        if length is not None and len(body) < length:
            raise self._fault(f"broke off after {len(body):,} of {length:,} bytes; try again")
        return bytes(body) if coding in ("", "identity") else self._unpacked(bytes(body), coding)

    def _unpacked(self, body: bytes, coding: str) -> bytes:
        if coding == "deflate":
            # Meant is zlib's format (RFC 9110 8.4.1.2); some servers send it bare.
            zlib_header = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            unpacker = zlib.decompressobj(15 if zlib_header else -15)
        else:
            unpacker = zlib.decompressobj(16 + 15)
        whole = unpacker.decompress(body, MAX_BYTES + 1)
        if len(whole) > MAX_BYTES:
            raise self._fault(f"unpacks to more than {MAX_BYTES // 1_000_000} MB; no calendar does")
        if not unpacker.eof or unpacker.unused_data.strip(b"\0"):
            raise self._fault("is not packed as it says it is; try again")
        return whole


class _Line:
    """What http.client takes for a socket: each wait on it ends at the deadline, and each byte is counted."""

    def __init__(self, sock: socket.socket, fetch: _Fetch) -> None:
        self._sock, self._fetch = sock, fetch

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._fetch.left())
        self._sock.sendall(data)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._sock, self._fetch))

    def close(self) -> None:
        """Nothing: the client lets go before it has read the body, and whoever connected closes."""


class _Incoming(io.RawIOBase):
    def __init__(self, sock: socket.socket, fetch: _Fetch) -> None:
        self._sock, self._fetch = sock, fetch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._fetch.left())
        received = self._sock.recv_into(buffer)
        self._fetch.count(received)
        return received


def _said(error: Exception) -> str:
    if isinstance(error, http.client.HTTPException):
        return "what answers there is no web server, or broke off"
    if isinstance(error, zlib.error):
        return "it is not packed as it says it is"
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection comes about ({error.reason or 'unknown reason'})"
    return str(getattr(error, "strerror", "") or "unknown reason").lower()
