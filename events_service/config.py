"""Settings (`EVENTS_*`) and the places of what ships with the service.

A setting may stand in the environment, in a `.env` file in the working directory, or in a file named by
`EVENTS_<NAME>_FILE` (for secrets). A misspelt one is refused, with the nearest right name: a setting that is silently
ignored is found out too late.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from events_service.errors import SettingsError

PREFIX = "EVENTS_"
OFF = "off"
_PACKAGE = Path(__file__).resolve().parent
# Owned by the tests and by deployments' own tooling, never read here.
_MAILBOX = re.compile(r"(?:[^<>@\r\n]*<)?[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]*[A-Za-z0-9]>?")
_FOREIGN_PREFIXES = ("EVENTS_TEST_",)
# Not repeated in an error: they are secrets, or addresses that may hold a password.
_NOT_SHOWN = ("secret_key", "api_token", "database_url", "broker_url", "smtp_url", "public_url", "imap_url")


class Settings(BaseModel):
    """Everything that differs between installations. Read it once, at an edge, with `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Path("var")
    database_url: str = ""
    broker_url: str = "stub://"
    smtp_url: str = ""
    public_url: str = "http://localhost:8000"
    secret_key: str = ""
    mail_from: str = ""
    mail_domain: str = ""
    log_format: str = Field(default="console", pattern="^(console|json)$")
    # A tick sweeps too, and what a dead worker held may wait no longer than this.
    tick_seconds: float = Field(default=10.0, gt=0, le=30)
    lease_seconds: float = Field(default=120.0, gt=0)
    data_lease_seconds: float = Field(default=660.0, gt=0)
    ring_again_seconds: float = Field(default=120.0, gt=0)
    stop_seconds: float = Field(default=60.0, gt=0)
    smtp_timeout_seconds: float = Field(default=60.0, gt=0)
    # RFC 5321 4.5.3.2.6. With less, what a slow server took in the end is unknown here.
    smtp_final_timeout_seconds: float = Field(default=600.0, gt=0)
    # Each thread of a worker sends over so many side by side.
    smtp_connections: int = Field(default=8, ge=1, le=50)
    retry_base_seconds: float = Field(default=60.0, gt=0)
    max_attempts: int = Field(default=12, ge=1)
    rate_per_second: float = Field(default=0.0, ge=0)
    domain_rate_per_second: float = Field(default=0.0, ge=0)
    verp: bool = False
    chunk_size: int = Field(default=100, ge=1, le=1000)
    metrics_addr: str = "127.0.0.1:9191"
    lmtp_addr: str = ""
    imap_url: str = ""
    # Who must have signed a calendar reply, and whose word on it is taken instead (RFC 6376, RFC 8601).
    dkim: str = Field(default=OFF, pattern=f"^({OFF}|check)$")
    authserv_id: str = ""
    imap_poll_seconds: float = Field(default=60.0, ge=1, le=3600)
    api_token: str = ""
    forwarded_allow_ips: str = "127.0.0.1"

    @field_validator("mail_from")
    @classmethod
    def _can_be_written_to(cls, mailbox: str) -> str:
        # With what is no address at all every message would fail for good.
        if mailbox and not _MAILBOX.fullmatch(mailbox.strip()):
            raise ValueError("not a mailbox; write it like Events desk <events@example.org>")
        return mailbox.strip()

    @field_validator("public_url")
    @classmethod
    def _can_be_followed(cls, url: str) -> str:
        if not _is_web_address(url):
            raise ValueError("nobody can follow that; write it like https://events.example.org")
        return url

    @field_validator("metrics_addr")
    @classmethod
    def _can_be_listened_on(cls, address: str) -> str:
        if address != OFF:
            split_address(address)
        return address

    @property
    def metrics_listener(self) -> tuple[str, int] | None:
        """The host and port that serve the metrics; None where they are off."""
        return None if self.metrics_addr == OFF else split_address(self.metrics_addr)

    @property
    def resolved_database_url(self) -> str:
        """The database's URL; SQLite in the data folder unless it is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'events.db'}"

    @property
    def resolved_smtp_url(self) -> str:
        """Where mail goes; a maildir in the data folder unless it is set."""
        return self.smtp_url or f"maildir:{self.data_dir / 'mail'}"

    @property
    def public_base(self) -> str:
        """The public URL without a slash at its end."""
        return self.public_url.rstrip("/")

    @property
    def resolved_mail_domain(self) -> str:
        """The domain of reply addresses and Message-IDs: set, or that of the sender, or the public host's."""
        if self.mail_domain:
            return self.mail_domain.lower()
        if "@" in self.mail_from:
            return self.mail_from.rsplit("@", 1)[1].strip(" >").lower()
        host = urlsplit(self.public_url).hostname or "localhost"
        return "localhost.localdomain" if host == "localhost" else host

    @property
    def resolved_mail_from(self) -> str:
        """The sender's address, such as `Events desk <events@example.org>`."""
        return self.mail_from or f"Events desk <events@{self.resolved_mail_domain}>"

    @cached_property
    def secret(self) -> bytes:
        """The key of every token in mail. Unless it is set, it is made once and kept in the data folder."""
        if self.secret_key:
            return self.secret_key.encode()
        path = self.data_dir / "secret.key"
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = path.with_name(f"{path.name}.{os.getpid()}")
                draft.touch(mode=0o600)
                draft.write_text(secrets.token_urlsafe(32))
                # A hard link fails where the name is taken, so two first starts agree on one key.
                try:
                    path.hardlink_to(draft)
                except FileExistsError:
                    pass
                finally:
                    draft.unlink()
            return path.read_text().strip().encode()
        except OSError as error:
            raise SettingsError(
                f"{path}: cannot keep the secret key: {error.strerror}; set {PREFIX}SECRET_KEY"
            ) from error


def load_settings(environ: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Settings:
    """Read settings from `environ` (default: the process's) over the `.env` file; SettingsError on a fault.

    What is empty is not set: it hides nothing.
    """
    sources = [_dotenv(dotenv or Path(".env")), dict(os.environ if environ is None else environ)]
    values: dict[str, str] = {}
    for source in sources:
        ours = {name: value for name, value in source.items() if _is_ours(name)}
        unknown = unknown_settings(ours)
        if unknown:
            name, nearest = unknown[0]
            hint = f"did you mean {nearest}?" if nearest else "`.env.example` lists those there are"
            raise SettingsError(f"{name} is not a setting; {hint}")
        values.update(_with_files({name: value for name, value in ours.items() if value.strip()}))
    try:
        return Settings.model_validate({name.removeprefix(PREFIX).lower(): value for name, value in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        shown = "" if field in _NOT_SHOWN else f"={' '.join(str(first['input']).split())}"
        why = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{PREFIX}{field.upper()}{shown}: {why}") from error


def unknown_settings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The `EVENTS_` names that mean nothing, each with the nearest right one ('' where none is near)."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {name + "_FILE" for name in known}
    found = []
    for name in sorted(values):
        if _is_ours(name) and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
            found.append((name, near[0] if near else ""))
    return found


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX) and not name.startswith(_FOREIGN_PREFIXES)


def _with_files(values: dict[str, str]) -> dict[str, str]:
    """The settings of one source, those that a file holds read from it."""
    read = {}
    for name, value in values.items():
        if name.endswith("_FILE"):
            read[name.removesuffix("_FILE")] = _read(Path(value), f"{name}: ").strip()
        elif not _is_text(value):
            raise SettingsError(f"{name}: not UTF-8; write it anew")
        else:
            read.setdefault(name, value)
    return {name: value for name, value in read.items() if value}


def _dotenv(path: Path) -> dict[str, str]:
    try:
        found = path.is_file()
    except OSError as error:
        # Whether there is one cannot be told, so neither can what it would have set.
        why = f"cannot look for it: {error.strerror}; run this in a folder that its account can enter"
        raise SettingsError(f"{path}: {why}") from error
    if not found:
        return {}
    values = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.removeprefix("export ").partition("=")
        if not sign:
            raise SettingsError(f"{path}: line {number}: not NAME=value")
        values[name.strip()] = value.strip().strip("\"'")
    return values


def _read(path: Path, setting: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{setting}{path}: not UTF-8; write it anew") from error
    except OSError as error:
        raise SettingsError(f"{setting}{path}: {error.strerror}") from error


def _is_text(value: str) -> bool:
    """Whether it was UTF-8 where it came from: what was not stands in it as lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT or [IPV6]:PORT as host and port; ValueError for anything else."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or set("/?#@") & set(address):
        raise ValueError("not an address to listen on; write it like 127.0.0.1:9191")
    return host, port


def _is_web_address(url: str) -> bool:
    """Whether links in mail can begin with it: http or https, a host, maybe a port and a path, nothing else."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and not set("?#@") & set(url)


def templates_dir() -> Path:
    """The folder of templates: inside the package in a wheel, beside it in a checkout."""
    packaged = _PACKAGE / "_templates"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "templates"


def schedules_dir() -> Path:
    """The folder of programmes, cadences and surveys."""
    return _PACKAGE.parent / "schedules"


def shipped(kind: str) -> dict[str, Path]:
    """The files that ship in `schedules/<kind>/`, by key: programmes, cadences, surveys."""
    return {path.stem: path for path in sorted((schedules_dir() / kind).glob("*.toml"))}
