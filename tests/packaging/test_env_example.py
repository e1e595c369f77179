from __future__ import annotations

import re
from pathlib import Path

from events_service.config import PREFIX, Settings


def test_every_setting_is_in_the_example_and_nothing_else(repository: Path) -> None:
    named = re.findall(r"^#(EVENTS_[A-Z_]+)=", (repository / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(PREFIX + name.upper() for name in Settings.model_fields)


def test_the_example_gives_the_defaults(repository: Path) -> None:
    given = dict(re.findall(r"^#(EVENTS_[A-Z_]+)=(.+)", (repository / ".env.example").read_text(), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        value = given.get(PREFIX + name.upper(), "")
        if field.default != "" and name != "data_dir":
            assert getattr(Settings.model_validate({name: value}), name) == field.default, name
