"""The way to an open SMTP connection: connect, EHLO, STARTTLS, AUTH, by Python's smtplib over bounded replies.

Certificates are checked against the system's store (or the file that SSL_CERT_FILE names) before any credentials are
sent.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from functools import cached_property

from events_service.errors import TransientMailError
from events_service.mail.conversations import alone
from events_service.mail.smtp_line import LOST, Line, Timeouts, why
from events_service.mail.smtp_replies import NonsenseError, Reply, Talk


@dataclass(frozen=True)
class Server:
    """A mail server and how to get into it. `scheme` is smtp, smtp+starttls or smtps."""

    host: str
    port: int
    scheme: str
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"SMTP {self.host}:{self.port}"

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Reading the system's certificates takes tens of milliseconds."""
        return ssl.create_default_context()

    @cached_property
    def hello(self) -> str:
        """Our name in EHLO. Finding it asks the resolver."""
        return smtplib.SMTP().local_hostname

    def open(self, timeouts: Timeouts) -> Line:
        """Connect, secure and log in; TransientMailError where the server is not to be had or refuses us."""
        if not (self.user + self.password).isascii():
            raise TransientMailError(
                f"{self}: the user name or password of EVENTS_SMTP_URL is not ASCII, and Python's mail client"
                " sends no other; choose one of plain letters, digits and signs"
            )
        client: _Client | None = None
        try:
            client = self._greeted(timeouts.command)
            if self.scheme == "smtp+starttls":
                client.starttls(context=self.tls)
                client.ehlo_or_helo_if_needed()
            if self.user:
                client.login(self.user, self.password)
            return client.line(timeouts)
        except LOST as error:
            if client is not None:
                client.close()
            raise self._not_to_be_had(error) from error

    def _greeted(self, seconds: float) -> _Client:
        words = (self.host, self.port, self.hello)
        client = (
            _TlsClient(*words, timeout=seconds, context=self.tls)
            if self.scheme == "smtps"
            else _Client(*words, timeout=seconds)
        )
        try:
            client.ehlo_or_helo_if_needed()
        except LOST:
            client.close()
            raise
        return client

    def _not_to_be_had(self, error: BaseException) -> TransientMailError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return TransientMailError(
                f"{self}: its certificate is not trusted ({error.verify_message}); nothing was sent to it"
            )
        if isinstance(error, ssl.SSLError) and error.reason:
            reason = error.reason.lower().replace("_", " ")
            return TransientMailError(
                f"{self}: TLS cannot be begun ({reason}); see that scheme and port of EVENTS_SMTP_URL belong together"
            )
        if isinstance(error, smtplib.SMTPNotSupportedError):
            offers = "AUTH" if "AUTH" in str(error) else "STARTTLS"
            return TransientMailError(f"{self}: the server does not offer {offers}; nothing was sent to it")
        if isinstance(error, smtplib.SMTPResponseException):
            text = error.smtp_error
            answer = Reply(error.smtp_code, text if isinstance(text, bytes) else text.encode())
            said = answer.said
            if isinstance(error, smtplib.SMTPAuthenticationError) and answer.kind == 5:
                said = f"refused the user name or password of EVENTS_SMTP_URL: {said}"
            return TransientMailError(f"{self}: {said}", answer.code, answer.enhanced)
        return TransientMailError(f"{self}: {why(error)}")


class _Client(smtplib.SMTP):
    """smtplib, whose own way to read replies has no bound to their length or to their time.

    All that comes before the first message has one deadline, `timeout` seconds after it began.
    """

    _talk: Talk | None = None
    _until = 0.0

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._until = time.monotonic() + timeout
        why: OSError = OSError(f"{host}: no address")
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return super()._get_socket(str(address[0]), port, self._left())  # type: ignore[misc, no-any-return]
            except ssl.SSLError:
                raise
            except OSError as error:
                why = error
        raise why

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def getreply(self) -> tuple[int, bytes]:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        if self._talk is None or self._talk.sock is not self.sock:
            self._talk = Talk(self.sock)
        # smtplib's own sending, and a handshake, wait for the socket.
        self.sock.setblocking(False)
        try:
            answer = alone(self._talk.read(self._left()))
            self.sock.settimeout(self._left())
        except LOST:
            self.close()
            raise
        return answer

    def ehlo(self, name: str = "") -> tuple[int, bytes]:
        code, text = super().ehlo(name)
        if code // 100 == 4:
            # smtplib would say HELO next. That is for servers that do not know EHLO.
            self.close()
            raise smtplib.SMTPHeloError(code, text)
        return code, text

    def docmd(self, cmd: str, args: str = "") -> tuple[int, bytes]:
        answer = super().docmd(cmd, args)
        if cmd.upper() == "STARTTLS" and self._talk is not None and self._talk.more:
            # Whoever put it there in the clear wants it read as if it had come over TLS.
            self.close()
            raise NonsenseError("more was said in the clear after STARTTLS; nothing was sent to it")
        return answer

    def line(self, timeouts: Timeouts) -> Line:
        """The connection, to send over."""
        if self.sock is None or self._talk is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        if self._talk.more:
            # Before anything was asked: most likely 421.
            raise smtplib.SMTPResponseException(*alone(self._talk.read(0.0)))
        # The last piece of a message must not wait until those before it are acknowledged.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.sock.setblocking(False)
        return Line(self._talk, self.esmtp_features, timeouts)


class _TlsClient(_Client, smtplib.SMTP_SSL):
    pass
