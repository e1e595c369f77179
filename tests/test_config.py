"""Settings: where they come from, what is refused, and what they default to."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from events_service.config import Settings, load_settings, schedules_dir, shipped, templates_dir
from events_service.errors import SettingsError


def load(environ: dict[str, str], dotenv: Path = Path("/nonexistent")) -> Settings:
    return load_settings(environ, dotenv)


def test_nothing_set_is_one_machine_with_sqlite_and_a_maildir() -> None:
    settings = load({})
    assert settings.resolved_database_url == "sqlite:///var/events.db"
    assert settings.resolved_smtp_url == "maildir:var/mail"
    assert settings.broker_url == "stub://"
    assert settings.resolved_mail_from == "Events desk <events@localhost.localdomain>"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text('# a comment\nexport EVENTS_DATA_DIR="/srv/events"\nEVENTS_TICK_SECONDS=5\nOTHER=1\n')
    settings = load({"EVENTS_TICK_SECONDS": "7"}, dotenv)
    assert (settings.data_dir, settings.tick_seconds) == (Path("/srv/events"), 7)


def test_a_folder_that_cannot_be_looked_into_is_one_clear_error(tmp_path: Path) -> None:
    # For root no folder is closed; what names a folder of no possible name is as little to be found out.
    closed = tmp_path / ("x" * 300) / ".env"
    with pytest.raises(
        SettingsError, match=r"\.env: cannot look for it: .*; run this in a folder that its account can"
    ):
        load({}, closed)


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret\n")
    assert load({"EVENTS_SECRET_KEY_FILE": str(tmp_path / "key")}).secret == b"a secret"
    with pytest.raises(SettingsError, match=r"EVENTS_SECRET_KEY_FILE.*No such file"):
        load({"EVENTS_SECRET_KEY_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EVENTS_BROKR_URL", "did you mean EVENTS_BROKER_URL?"),
        ("EVENTS_DATABSE_URL", "did you mean EVENTS_DATABASE_URL?"),
        ("EVENTS_SECRET_KEY_FIEL", "did you mean EVENTS_SECRET_KEY_FILE?"),
        ("EVENTS_XQZW", "`.env.example` lists"),
    ],
)
def test_a_misspelt_setting_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({name: "x"})
    assert str(raised.value).startswith(f"{name} is not a setting")
    assert hint in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTS_TICK_SECONDS", "soon"),
        ("EVENTS_TICK_SECONDS", "0"),
        ("EVENTS_LOG_FORMAT", "xml"),
        ("EVENTS_CHUNK_SIZE", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}={value}: "):
        load({name: value})


@pytest.mark.parametrize(
    "value",
    ["http://[bad", "events.example.org", "ftp://events.example.org", "http://", "https://h:port", "https://a b.org",
     "https://desk:secret@example.org", "https://example.org/?a=b", "https://example.org/\x07"],
)  # fmt: skip
def test_a_public_address_that_nobody_can_follow_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^EVENTS_PUBLIC_URL.*: .*write it like https://events\.example\.org$"):
        load({"EVENTS_PUBLIC_URL": value})


@pytest.mark.parametrize("value", ["http://localhost:8000", "https://example.org/events/", "HTTPS://[::1]:8443"])
def test_a_public_address_may_have_a_port_and_a_path(value: str) -> None:
    assert load({"EVENTS_PUBLIC_URL": value}).public_url == value


def test_nothing_is_read_behind_the_callers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_DATA_DIR", "/elsewhere")
    monkeypatch.setenv("EVENTS_TICK_SECONDS", "no number")
    assert load({}) == Settings()
    assert Settings().data_dir == Path("var")
    assert Settings(data_dir=Path("here")).tick_seconds == 10


def test_settings_do_not_change_and_have_no_other_names() -> None:
    settings = load({})
    with pytest.raises(ValidationError, match="frozen"):
        settings.data_dir = Path("elsewhere")  # type: ignore[misc]
    with pytest.raises(ValidationError, match="data_folder"):
        Settings(data_folder="here")  # type: ignore[call-arg]


def test_what_is_empty_is_not_set(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("EVENTS_DATA_DIR=/srv/events\nEVENTS_TICK_SECONDS=\n")
    environ = {"EVENTS_DATA_DIR": "", "EVENTS_SECRET_KEY_FILE": "", "EVENTS_MAX_ATTEMPTS": " "}
    settings = load(environ, dotenv)
    assert (settings.data_dir, settings.tick_seconds, settings.max_attempts) == (Path("/srv/events"), 10, 12)
    with pytest.raises(SettingsError, match="did you mean EVENTS_DATA_DIR"):
        load({"EVENTS_DATADIR": ""})


def test_the_environment_wins_over_a_file_that_the_file_of_settings_names(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of the file")
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"EVENTS_SECRET_KEY_FILE={tmp_path / 'key'}\n")
    assert load({}, dotenv).secret_key == "of the file"
    assert load({"EVENTS_SECRET_KEY": "of the environment"}, dotenv).secret_key == "of the environment"


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"caf\xe9")
    with pytest.raises(SettingsError, match=r"^EVENTS_SECRET_KEY_FILE: .*key: not UTF-8"):
        load({"EVENTS_SECRET_KEY_FILE": str(tmp_path / "key")})
    (tmp_path / ".env").write_bytes(b"EVENTS_MAIL_FROM=caf\xe9")
    with pytest.raises(SettingsError, match=r"\.env: not UTF-8"):
        load({}, tmp_path / ".env")
    with pytest.raises(SettingsError, match=r"^EVENTS_MAIL_FROM: not UTF-8"):
        load({"EVENTS_MAIL_FROM": b"caf\xe9".decode("utf-8", "surrogateescape")})


def test_the_tests_own_settings_are_not_ours() -> None:
    assert load({"EVENTS_TEST_POSTGRES_URL": "x"}) == load({})


@pytest.mark.parametrize(
    ("environ", "domain"),
    [
        ({"EVENTS_MAIL_DOMAIN": "Mail.Example.org"}, "mail.example.org"),
        ({"EVENTS_MAIL_FROM": "Desk <desk@example.com>"}, "example.com"),
        ({"EVENTS_PUBLIC_URL": "https://events.example.net/"}, "events.example.net"),
        ({}, "localhost.localdomain"),
    ],
)
def test_the_mail_domain_is_found(environ: dict[str, str], domain: str) -> None:
    assert load(environ).resolved_mail_domain == domain


def test_a_secret_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first, second = (Settings(data_dir=tmp_path / "var") for _ in range(2))
    assert first.secret == second.secret
    assert len(first.secret) >= 32
    path = tmp_path / "var/secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["secret.key"]


def test_what_ships_is_found() -> None:
    assert (templates_dir() / "emails/invitation/text.txt").is_file()
    assert set(shipped("cadences")) == {"mission", "conference", "joined"}
    assert "lancashire-2022-2025" in shipped("programmes")
    assert schedules_dir().name == "schedules"


@pytest.mark.parametrize(
    "mailbox", ["not an address", "desk", "@example.org", "a@b@c", "Desk <desk>", "x@example.org\nBcc: y@example.org"]
)
def test_a_sender_that_is_no_mailbox_is_refused_before_anything_is_sent(mailbox: str) -> None:
    with pytest.raises(SettingsError, match=r"EVENTS_MAIL_FROM.*not a mailbox; write it like"):
        load({"EVENTS_MAIL_FROM": mailbox})


@pytest.mark.parametrize(
    "mailbox", ["events@example.org", "Events desk <events@example.org>", "Büro <a.b+c@localhost>"]
)
def test_a_sender_is_a_mailbox_with_or_without_a_name(mailbox: str) -> None:
    assert load({"EVENTS_MAIL_FROM": mailbox}).resolved_mail_from == mailbox
