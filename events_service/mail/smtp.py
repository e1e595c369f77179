"""SMTP (RFC 5321): one connection, many messages, one recipient each. No retry, no logging: the caller decides.

Certificates are checked against the system's store (or the file that SSL_CERT_FILE names) before any credentials are
sent. After the final dot the server is given ten minutes (RFC 5321 4.5.3.2.6): one that is asked again too soon may
send twice.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from events_service.errors import (
    MailError,
    PermanentMailError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.mail.wire import Fence, Outgoing

FINAL_DOT_SECONDS = 600.0
_LOGIN_WANTED = (530, 534, 535, 538)
"""RFC 4954 section 6. At MAIL any refusal is about us; another connection may help where this one is closing."""
_CLOSING = 421


class Smtp:
    """A server. `scheme` is smtp, smtp+starttls or smtps.

    `timeout` is how many seconds each step may take, `final_timeout` how many the word on a whole message.
    """

    def __init__(
        self,
        host: str,
        port: int,
        scheme: str,
        user: str = "",
        password: str = "",
        *,
        timeout: float,
        final_timeout: float = FINAL_DOT_SECONDS,
    ) -> None:
        self.host, self.port, self.scheme = host, port, scheme
        self.user, self._password = user, password
        self.timeout, self.final_timeout = timeout, final_timeout

    @property
    def longest_seconds(self) -> float:
        """The word on DATA, the message's own bytes, and the word on the whole of it."""
        return 2 * self.timeout + self.final_timeout

    @contextmanager
    def connect(self) -> Iterator[SmtpConnection]:
        """Connect, secure and log in; TransientMailError where the server is not to be had or refuses us."""
        client = self._open()
        try:
            yield SmtpConnection(client, self.timeout, self.final_timeout)
        finally:
            with suppress(smtplib.SMTPException, OSError):
                client.quit()
            client.close()

    def check(self) -> str:
        """Connect once and say to what."""
        try:
            with self.connect():
                return f"{self.scheme}://{self.host}:{self.port}"
        except TransientMailError as error:
            raise MailError(str(error), error.code) from error

    def _open(self) -> smtplib.SMTP:
        where = f"SMTP {self.host}:{self.port}"
        if not (self.user + self._password).isascii():
            raise TransientMailError(
                f"{where}: the user name or password of EVENTS_SMTP_URL is not ASCII, and Python's mail client"
                " sends no other; choose one of plain letters, digits and signs"
            )
        client: smtplib.SMTP | None = None
        try:
            if self.scheme == "smtps":
                client = smtplib.SMTP_SSL(
                    self.host, self.port, timeout=self.timeout, context=ssl.create_default_context()
                )
            else:
                client = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
            client.ehlo_or_helo_if_needed()
            if self.scheme == "smtp+starttls":
                client.starttls(context=ssl.create_default_context())
                client.ehlo()
            if self.user:
                client.login(self.user, self._password)
        except ssl.SSLCertVerificationError as error:
            _drop(client)
            raise TransientMailError(
                f"{where}: its certificate is not trusted ({error.verify_message}); nothing was sent to it"
            ) from error
        except smtplib.SMTPAuthenticationError as error:
            _drop(client)
            why = f"refused the user name or password of EVENTS_SMTP_URL: {_said(error.smtp_code, error.smtp_error)}"
            raise TransientMailError(f"{where}: {why}", error.smtp_code) from error
        except smtplib.SMTPResponseException as error:
            _drop(client)
            raise TransientMailError(f"{where}: {_said(error.smtp_code, error.smtp_error)}", error.smtp_code) from error
        except (smtplib.SMTPException, OSError) as error:
            _drop(client)
            raise TransientMailError(f"{where}: {_why(error)}") from error
        return client


class SmtpConnection:
    """An open connection. After an error that lost it, every send fails with TransientMailError."""

    def __init__(self, client: smtplib.SMTP, timeout: float, final_timeout: float) -> None:
        self._client, self._timeout, self._final_timeout = client, timeout, final_timeout

    def send(self, message: Outgoing, fence: Fence) -> bool:
        """MAIL, RCPT, the fence, DATA. See `wire.Connection.send`."""
        client = self._client
        try:
            self._expect(client.mail(message.sender), "MAIL")
            self._expect(client.rcpt(message.recipient), "RCPT")
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise TransientMailError(f"lost the connection before DATA: {_why(error)}") from error
        if not fence():
            with suppress(smtplib.SMTPException, OSError):
                client.rset()
            return False
        try:
            self._expect(client.docmd("DATA"), "DATA", ok=3)
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise TransientMailError(f"lost the connection at DATA: {_why(error)}") from error
        try:
            client.send(_dotted(message.data))
            if client.sock is not None:
                client.sock.settimeout(self._final_timeout)
            answer = client.getreply()
            if client.sock is not None:
                client.sock.settimeout(self._timeout)
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            client.close()
            raise UnknownMailError(f"lost the connection before the server's word: {_why(error)}") from error
        if answer[0] // 100 not in (2, 4, 5):
            client.close()
            raise UnknownMailError(f"the server's word cannot be understood: {_said(*answer)}")
        self._expect(answer, "end of DATA")
        return True

    def _expect(self, answer: tuple[int, bytes], phase: str, ok: int = 2) -> None:
        """The first digit of a code says all that a client needs (RFC 5321 4.2.1)."""
        code, text = answer
        if code // 100 == ok:
            return
        if phase != "end of DATA":
            with suppress(smtplib.SMTPException, OSError):
                self._client.rset()
        if code in _LOGIN_WANTED or (phase == "MAIL" and code != _CLOSING):
            raise SenderRefusedError(f"{phase}: {_said(code, text)}", code)
        kind = PermanentMailError if code // 100 == 5 else TransientMailError
        raise kind(f"{phase}: {_said(code, text)}", code)


def _dotted(data: bytes) -> bytes:
    """The message with its dots doubled (RFC 5321 4.5.2) and the final dot."""
    body = data.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body + (b".\r\n" if body.endswith(b"\r\n") else b"\r\n.\r\n")


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())[:300]}"


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


def _drop(client: smtplib.SMTP | None) -> None:
    if client is not None:
        client.close()
