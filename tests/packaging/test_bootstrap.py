"""tools/bootstrap.sh on a project as small as can be: its own build backend, locks without packages, so no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

BACKEND = """
import zipfile


def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.dist-info/entry_points.txt", "[console_scripts]\\nevents = platform:machine\\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Path:
    """A project with the script, three empty locks and a command named events."""
    made = tmp_path / "project"
    for folder in ("tools", "requirements"):
        (made / folder).mkdir(parents=True)
    shutil.copy(repository / "tools" / "bootstrap.sh", made / "tools")
    for lock in ("runtime", "prod", "dev"):
        (made / "requirements" / f"{lock}.lock").write_text("# nothing\n")
    (made / "pyproject.toml").write_text(PYPROJECT)
    (made / "backend.py").write_text(BACKEND)
    return made


def bootstrap(project: Path, stage: str, python: str = "") -> tuple[int, str]:
    """Run the script from another folder: its exit code and what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment["PYTHON"] = python or getattr(sys, "_base_executable", sys.executable)
    # A person whose pip always installs elsewhere must get a working environment all the same.
    environment |= {"PIP_USER": "1", "PIP_TARGET": str(project / "elsewhere"), "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        ["sh", str(project / "tools" / "bootstrap.sh"), stage],
        cwd="/",
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def installs(project: Path, stage: str) -> list[str]:
    """The locks that a successful run installed."""
    status, said = bootstrap(project, stage)
    assert status == 0, said
    assert (project / ".venv" / "bin" / "events").exists()
    return [line.split()[2] for line in said.splitlines() if line.startswith("bootstrap: installing")]


def test_each_part_is_installed_once_and_again_when_its_lock_changes(project: Path) -> None:
    assert installs(project, "runtime") == ["requirements/runtime.lock"]
    assert not (project / ".venv" / "bin" / "pip").exists()
    assert not (project / "elsewhere").exists()
    assert installs(project, "runtime") == []
    (project / "requirements" / "runtime.lock").write_text("# changed\n")
    assert installs(project, "runtime") == ["requirements/runtime.lock"]


def test_the_larger_parts_are_enough_for_the_smaller(project: Path) -> None:
    assert installs(project, "prod") == ["requirements/prod.lock"]
    assert installs(project, "runtime") == []
    assert installs(project, "dev") == ["requirements/dev.lock"]
    assert installs(project, "prod") == installs(project, "runtime") == []


def test_an_environment_that_was_moved_or_lost_its_python_is_made_again(project: Path) -> None:
    installs(project, "runtime")
    moved = project.rename(project.with_name("moved"))
    assert installs(moved, "runtime") == ["requirements/runtime.lock"]
    assert (moved / ".venv" / "bin" / "events").read_text().startswith(f"#!{moved}/.venv/bin/python")
    (moved / ".venv" / "bin" / "python").unlink()
    (moved / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    assert installs(moved, "runtime") == ["requirements/runtime.lock"]


def test_no_python_is_said(project: Path) -> None:
    status, said = bootstrap(project, "runtime", python="no-such-python")
    assert (status, said.count("\n")) == (1, 1)
    assert "no no-such-python here; install Python 3.11 or newer" in said
    assert not (project / ".venv").exists()


def test_a_python_that_is_too_old_is_said(project: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    status, said = bootstrap(project, "runtime", python=str(old))
    assert status == 1
    assert f"{old} is older than 3.11; name a newer one: make PYTHON=" in said


def test_a_lock_that_cannot_be_met_leaves_the_part_undone(project: Path) -> None:
    (project / "requirements" / "runtime.lock").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    assert bootstrap(project, "runtime")[0] == 1
    (project / "requirements" / "runtime.lock").write_text("# nothing\n")
    assert installs(project, "runtime") == ["requirements/runtime.lock"]


def test_another_word_is_wrong_usage(project: Path) -> None:
    assert bootstrap(project, "everything") == (2, "usage: tools/bootstrap.sh runtime|prod|dev\n")
