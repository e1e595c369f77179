"""Which transport a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from events_service.errors import SettingsError
from events_service.mail.maildir import Maildir
from events_service.mail.smtp import FINAL_DOT_SECONDS, Smtp
from events_service.mail.wire import Transport


def transport(
    url: str, *, timeout: float = 60.0, final_timeout: float = FINAL_DOT_SECONDS, durable: bool = True
) -> Transport:
    """The transport of `EVENTS_SMTP_URL`: maildir:PATH, smtp://, smtp+starttls:// or smtps://; SettingsError else.

    `timeout` is in seconds, for each step but the server's word on a whole message, which has `final_timeout`.
    `durable=False` lets a maildir give up surviving a power cut, for rehearsals.
    """
    try:
        parts = urlsplit(url)
        named = parts.port
    except ValueError as error:
        # What it says may be a part of the password.
        raise SettingsError(
            "EVENTS_SMTP_URL: not an address; write it like smtp://HOST:25,"
            " and what is no letter or digit in a password like %2F"
        ) from error
    if parts.scheme == "maildir" and parts.path:
        return Maildir(Path(unquote(parts.path)), durable=durable)
    if parts.scheme in ("smtp", "smtp+starttls", "smtps"):
        port = named or {"smtp": 25, "smtp+starttls": 587, "smtps": 465}[parts.scheme]
        if not parts.hostname:
            raise SettingsError("EVENTS_SMTP_URL: no host; write it like smtp://localhost:25")
        try:
            parts.hostname.encode("idna")
        except UnicodeError as error:
            raise SettingsError(f"EVENTS_SMTP_URL: {parts.hostname!r} is no name of a host") from error
        if parts.username and parts.scheme == "smtp":
            raise SettingsError("EVENTS_SMTP_URL: smtp:// would send the password in the clear; use smtp+starttls://")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return Smtp(parts.hostname, port, parts.scheme, user, password, timeout=timeout, final_timeout=final_timeout)
    fault = f"'{parts.scheme}:' is not supported" if parts.scheme else "it names no way to send"
    raise SettingsError(
        f"EVENTS_SMTP_URL: {fault};"
        " use maildir:FOLDER, smtp://HOST:PORT, smtp+starttls://USER:PASSWORD@HOST:PORT or smtps://…"
    )
