"""IMAP (RFC 3501): what is unseen in one folder, a message at a time. No database, no retry, no logging.

Always over TLS, the certificate checked against the system's store (or the file that SSL_CERT_FILE names) before the
password is sent.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from events_service.errors import MailboxError, SettingsError

_AT_ONCE = 10_000
"""Messages that one SEARCH looks at: imaplib reads no answer of more than a million characters."""
_SIZE = re.compile(rb"RFC822\.SIZE (\d{1,18})")
_ADVICE = "write it like imaps://USER:PASSWORD@HOST/FOLDER, and what is no letter or digit in a password like %2F"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a mailbox is, and who may read it."""

    host: str
    port: int
    user: str
    password: str
    folder: str

    def __str__(self) -> str:
        return f"IMAP {self.host}:{self.port}"


def read_address(url: str) -> Address:
    """The mailbox of EVENTS_IMAP_URL: imaps://USER:PASSWORD@HOST:PORT/FOLDER, INBOX on port 993; SettingsError else."""
    try:
        parts = urlsplit(url)
        port = parts.port or 993
    except ValueError as error:
        # What it says may be a part of the password.
        raise SettingsError(f"EVENTS_IMAP_URL: not an address; {_ADVICE}") from error
    if parts.scheme != "imaps":
        raise SettingsError(f"EVENTS_IMAP_URL: only imaps:// is read, which keeps the password secret; {_ADVICE}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    folder = unquote(parts.path.strip("/")) or "INBOX"
    if not (parts.hostname and user and password):
        raise SettingsError(f"EVENTS_IMAP_URL: it lacks a host, a user or a password; {_ADVICE}")
    if not (folder.isascii() and (user + password + folder).isprintable()):
        raise SettingsError("EVENTS_IMAP_URL: a folder's name must be plain ASCII, as the server itself writes it")
    return Address(parts.hostname, port, user, password, folder)


@contextmanager
def open_mailbox(address: Address, timeout: float) -> Iterator[Mailbox]:
    """Connect, log in and select the folder; each step may take `timeout` seconds. MailboxError.

    What goes wrong with the connection inside the block is a MailboxError too.
    """
    client: imaplib.IMAP4_SSL | None = None
    try:
        client = imaplib.IMAP4_SSL(
            address.host, address.port, ssl_context=ssl.create_default_context(), timeout=timeout
        )
        _log_in(client, address)
        yield Mailbox(client, address)
        client.logout()
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted ({error.verify_message}); no password was sent to it"
        raise MailboxError(f"{address}: {why}") from error
    except (imaplib.IMAP4.error, OSError) as error:
        words = getattr(error, "strerror", None) or str(error)
        said = " ".join(str(words).split())[:200] or type(error).__name__
        raise MailboxError(f"{address}: {said}") from error
    finally:
        if client is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                client.shutdown()


class Mailbox:
    """A selected folder. Messages are named by their UIDs, which stay while others come and go."""

    def __init__(self, client: imaplib.IMAP4_SSL, address: Address) -> None:
        self._client, self._address = client, address
        try:
            status, said = client.select(_quoted(address.folder))
        except imaplib.IMAP4.readonly as error:
            why = f"{address.folder!r} is read-only, so nothing could be marked as read there"
            raise MailboxError(f"{address}: {why}") from error
        if status != "OK":
            raise MailboxError(f"{address}: no folder {address.folder!r} to read ({_text(said)})")
        self._messages = int(_text(said) or 0)

    def unseen(self) -> Iterator[int]:
        """The UIDs of the messages that nobody has read, oldest first, as many as there were at the start."""
        for first in range(1, self._messages + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, self._messages)
            _status, found = self._do("SEARCH", f"{first}:{last}", "UNSEEN", "UNDELETED")
            yield from sorted(int(uid) for line in found if isinstance(line, bytes) for uid in line.split())

    def size(self, uid: int) -> int | None:
        """How many bytes a message has; None if it is gone."""
        _status, found = self._do("FETCH", str(uid), "(RFC822.SIZE)")
        for line in found:
            if size := _SIZE.search(line if isinstance(line, bytes) else b""):
                return int(size[1])
        return None

    def fetch(self, uid: int, most: int) -> bytes | None:
        """A message's first `most` bytes, which leaves it unseen; None if it is gone."""
        _status, found = self._do("FETCH", str(uid), f"(BODY.PEEK[]<0.{most}>)")
        return next((part[1][:most] for part in found if isinstance(part, tuple)), None)

    def mark(self, uid: int, *, flagged: bool = False) -> None:
        """Mark a message as read, and with `flagged` as one that a person should look at."""
        self._do("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen \Flagged)" if flagged else r"(\Seen)")

    def _do(self, *words: str) -> tuple[str, list[Any]]:
        status, said = self._client.uid(*words)
        if status != "OK":
            raise MailboxError(f"{self._address}: refused {words[0]}: {_text(said)}")
        return status, said


def _log_in(client: imaplib.IMAP4_SSL, address: Address) -> None:
    try:
        if "AUTH=PLAIN" in client.capabilities:
            client.authenticate("PLAIN", lambda _: f"\0{address.user}\0{address.password}".encode())
        elif (address.user + address.password).isascii():
            client.login(_quoted(address.user), address.password)
        else:
            raise MailboxError(f"{address}: this server takes no user name or password but of ASCII characters")
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise MailboxError(f"{address}: refused the user name or password of EVENTS_IMAP_URL") from error


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(said: list[Any]) -> str:
    words = b" ".join(part for part in said if isinstance(part, bytes)).decode("utf-8", "replace")
    return "".join(char for char in words if char.isprintable())[:200]
