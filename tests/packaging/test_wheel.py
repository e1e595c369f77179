"""The wheel in an environment of its own, away from the checkout: what ships with the service is found inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ASSETS = {
    "templates": "events_service/_templates",
    "schedules": "schedules",
    "events_service/db/migrations": "events_service/db/migrations",
}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout by the locked backend."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it; only the dependencies come from the one that runs the tests."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    # Debian's environments have no pip: the one of the Python they were made from does it.
    pip = [getattr(sys, "_base_executable", sys.executable), "-m", "pip", "--python", str(python)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    subprocess.run(
        [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)],
        env=environment,
        check=True,
        capture_output=True,
    )
    (packages,) = home.glob("lib/python*/site-packages")
    # A folder named in a .pth has its own .pth files left unread: the checkout does not come along.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return home


def run(
    installed: Path, folder: Path, words: Sequence[str], program: str = "events"
) -> subprocess.CompletedProcess[str]:
    """Run a program of that environment in `folder`, with no setting but a data folder there."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "EVENTS_DATA_DIR": str(folder / "var"),
    }
    return subprocess.run(
        [str(installed / "bin" / program), *words],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("source", ASSETS)
def test_the_wheel_holds_every_asset(source: str, wheel: Path, repository: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"{ASSETS[source]}/{path.relative_to(repository / source).as_posix()}"
        for path in (repository / source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected
    assert expected - shipped == set()


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"events_service", "workers", "schedules"}


def test_its_code_and_assets_are_its_own(installed: Path, tmp_path: Path) -> None:
    script = (
        "import json; from events_service import config;"
        "print(json.dumps([config.__file__, str(config.templates_dir()), str(config.schedules_dir())]))"
    )
    done = run(installed, tmp_path, ["-c", script], program="python")
    assert done.stderr == ""
    (packages,) = installed.glob("lib/python*/site-packages")
    assert json.loads(done.stdout) == [
        str(packages / "events_service" / "config.py"),
        str(packages / "events_service" / "_templates"),
        str(packages / "schedules"),
    ]


def test_it_says_its_version(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, ["--version"])
    assert (done.returncode, done.stdout) == (0, "events 0.1.0\n")


def test_doctor_finds_everything(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, ["doctor", "--json"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row for row in json.loads(done.stdout) if not row["ok"]] == []


def test_a_rehearsal_runs_to_its_end(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, ["rehearse", "--people", "20", "--out", "out", "--json"])
    assert done.returncode == 0, done.stderr
    rehearsal = json.loads(done.stdout)
    assert (rehearsal["months"], rehearsal["people"]) == (36, 20)
    assert rehearsal["deliveries"]["sent"] > 0
    out = tmp_path / "out"
    messages = [path for folder in ("cur", "new") for path in (out / "mail" / folder).iterdir()]
    assert len(messages) == rehearsal["deliveries"]["sent"]
    assert {"timeline.svg", "report.html", "events.db"} <= {path.name for path in out.iterdir()}
    assert list((out / "feeds").glob("*.ics"))
