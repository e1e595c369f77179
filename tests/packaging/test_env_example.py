from __future__ import annotations

import re
from pathlib import Path

from events_service.clock import system_clock
from events_service.config import PREFIX, Settings
from events_service.db.session import Database
from events_service.mail.transports import transport
from events_service.postroom import Postroom


def test_every_setting_is_in_the_example_and_nothing_else(repository: Path) -> None:
    named = re.findall(r"^#(EVENTS_[A-Z_]+)=", (repository / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(PREFIX + name.upper() for name in Settings.model_fields)


def test_the_example_gives_the_defaults(repository: Path) -> None:
    given = dict(re.findall(r"^#(EVENTS_[A-Z_]+)=(.+)", (repository / ".env.example").read_text(), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        value = given.get(PREFIX + name.upper(), "")
        if field.default != "" and name != "data_dir":
            assert getattr(Settings.model_validate({name: value}), name) == field.default, name


def test_the_example_says_how_long_a_lease_is_with_its_mail_server(
    repository: Path, sqlite_database: Database, settings: Settings
) -> None:
    server = transport(
        "smtp://127.0.0.1:25", timeout=settings.smtp_timeout_seconds, final_timeout=settings.smtp_final_timeout_seconds
    )
    lease = Postroom(sqlite_database, settings, server, system_clock).data_lease_seconds
    said = re.findall(
        r"what the SMTP settings may take \((\d+) at their defaults\)", (repository / ".env.example").read_text()
    )
    assert said == [f"{lease:.0f}"]
