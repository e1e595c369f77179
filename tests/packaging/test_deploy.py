"""What is in deploy/: units and a compose file that their programs take, with commands and settings that are there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from events_service.config import Settings, load_settings, unknown_settings
from events_service.main import main

SERVICES = ("events-lmtp", "events-scheduler", "events-up", "events-web", "events-worker")
INSTALLED = "/opt/events/.venv/bin/events"
NOBODY = 65534


@pytest.fixture
def deploy(repository: Path) -> Path:
    return repository / "deploy"


@pytest.fixture
def units(deploy: Path, tmp_path: Path) -> Path:
    """The units, with the command where it is here."""
    copy = tmp_path / "systemd"
    shutil.copytree(deploy / "systemd", copy)
    for path in copy.glob("*.service"):
        text = path.read_text()
        assert text.count(f"ExecStart={INSTALLED} ") == 1
        path.write_text(text.replace(INSTALLED, str(Path(sys.executable).with_name("events"))))
    return copy


def installed(program: str, package: str) -> str:
    """The program, or else this test's end."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: {package})")
    return found


def test_systemd_takes_every_unit(units: Path) -> None:
    analyse = installed("systemd-analyze", "systemd")
    assert sorted(path.stem for path in units.glob("*.service")) == list(SERVICES)
    for path in [*units.glob("*.service"), *units.glob("*.socket")]:
        done = subprocess.run([analyse, "verify", "--man=no", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), path.name


def test_units_are_hardened(units: Path) -> None:
    """systemd's own figure, from 0 (shut in) to 10 (may do all): a line that is lost shows in it."""
    analyse = installed("systemd-analyze", "systemd")
    for path in units.glob("*.service"):
        command = [analyse, "security", "--offline=true", "--no-pager", "--threshold=15", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout.splitlines()[-1:] or done.stderr


def test_docker_compose_takes_the_compose_file(deploy: Path) -> None:
    compose = installed("docker-compose", "docker-compose")
    command = [compose, "--file", deploy / "compose.yaml", "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    listed = subprocess.run([*command, "--services"], capture_output=True, text=True, check=True)
    assert sorted(listed.stdout.split()) == ["broker", "database", "migrate", "scheduler", "web", "worker"]


SETTLED = {"data_dir", "stop_seconds", "metrics_addr", "lmtp_addr", "forwarded_allow_ips"}
"""What the image or a service of compose.yaml settles by itself."""
SECRET = {"secret_key", "database_url", "broker_url", "smtp_url", "imap_url", "api_token"}


def test_every_setting_can_be_given_to_the_containers(deploy: Path, tmp_path: Path) -> None:
    compose = installed("docker-compose", "docker-compose")
    given = {f"EVENTS_{name.upper()}": f"x{name}x" for name in Settings.model_fields}
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    command = [compose, "--file", deploy / "compose.yaml", "--env-file", tmp_path / "env", "config"]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    services = 4
    for name in Settings.model_fields.keys() - SETTLED - SECRET:
        found = re.findall(rf"^ +EVENTS_{name.upper()}: x{name}x$", done.stdout, re.MULTILINE)
        assert len(found) == services, name
    for name in SECRET:
        file = f"/run/secrets/{name.replace('_', '-')}"
        found = re.findall(rf"^ +EVENTS_{name.upper()}_FILE: {file}$", done.stdout, re.MULTILINE)
        assert len(found) == services, name


def test_what_the_containers_are_not_given_has_its_default(deploy: Path, tmp_path: Path) -> None:
    compose = installed("docker-compose", "docker-compose")
    (tmp_path / "env").touch()
    command = [compose, "--file", deploy / "compose.yaml", "--env-file", tmp_path / "env", "config"]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    worker = done.stdout.split("\n  worker:\n")[1]
    found = dict(re.findall(r"^ +(EVENTS_[A-Z_]+): (.*)$", worker, re.MULTILINE))
    plain = {name: value.strip("'") for name, value in found.items() if not name.endswith("_FILE")}
    assert load_settings(plain, Path(os.devnull)) == Settings(
        mail_from="Events desk <events@example.org>", log_format="json"
    )


def test_every_secret_is_given_to_the_units_and_to_the_command(deploy: Path) -> None:
    shared = (deploy / "systemd/events-.service.d/10-events.conf").read_text()
    [names] = re.findall(r"^for name in (.*); do$", (deploy / "events.sh").read_text(), re.MULTILINE)
    assert set(names.lower().split()) == SECRET
    touched = (deploy.parent / "docs/operations.md").read_text()
    for name in SECRET:
        file = name.replace("_", "-")
        assert f"LoadCredential={file}:/etc/events/{file}\n" in shared
        assert re.search(rf"EVENTS_{name.upper()}_FILE=%d/{file}\s", shared), name
        # A unit whose file is missing does not start.
        assert re.search(rf"(^touch|>) .*\b{file}\b", touched, re.MULTILINE), name


def test_what_the_metrics_of_the_process_are_reckoned_from_is_not_hidden(deploy: Path) -> None:
    """prometheus_client reads /proc/stat, and without it gives none of them."""
    shared = (deploy / "systemd/events-.service.d/10-events.conf").read_text()
    assert not re.search(r"^ProcSubset=pid$", shared, re.MULTILINE)


def test_every_command_that_is_started_is_one(deploy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "".join(path.read_text() for path in (deploy / "systemd").glob("*.service"))
    words = [line.split(INSTALLED, 1)[1] for line in text.splitlines() if line.startswith("ExecStart=")]
    words += re.findall(r"^\w+: events (.*)$", (deploy.parent / "Procfile").read_text(), re.MULTILINE)
    for listed in re.findall(r"^\s+command: \[(.*)\]$", (deploy / "compose.yaml").read_text(), re.MULTILINE):
        words.append(listed.replace(",", " "))
    assert len(words) == len(SERVICES) + 4 + 3
    for line in words:
        with pytest.raises(SystemExit) as left:
            main([*shlex.split(line.replace("${PORT:-8000}", "8000")), "--help"])
        assert left.value.code == 0, line
    assert "Usage: events" in capsys.readouterr().out


def test_every_setting_that_is_named_is_one(deploy: Path) -> None:
    paths = [*deploy.rglob("*.service"), *deploy.rglob("*.conf"), deploy / "compose.yaml", deploy / "Dockerfile"]
    named = {name for path in paths for name in re.findall(r"EVENTS_[A-Z_]+", path.read_text())}
    assert unknown_settings(dict.fromkeys(named, "")) == []
    assert {"EVENTS_SECRET_KEY_FILE", "EVENTS_DATABASE_URL_FILE", "EVENTS_BROKER_URL_FILE"} <= named


@pytest.fixture
def command(deploy: Path) -> Iterator[Path]:
    """The organisers' command as installed, with folders of its own, as nobody's account and before any program."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another account")
    installed("setpriv", "util-linux")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "data").mkdir()
        (root / "etc").mkdir(mode=0o700)
        text = (deploy / "events.sh").read_text()
        for old, new in (
            ("config=/etc/events\n", f"config={root}/etc\n"),
            ("data=/var/lib/events\n", f"data={root}/data\n"),
            ("program=/opt/events/.venv/bin/events\n", "program=env\n"),
            ("--reuid events --regid events", f"--reuid {NOBODY} --regid {NOBODY}"),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (root / "events").write_text(text)
        yield root / "events"


def test_the_command_runs_in_the_data_folder_wherever_it_is_called_from(command: Path) -> None:
    elsewhere = command.parent / "closed"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / ".env").write_text("EVENTS_SMTP_URL=smtp://elsewhere.example\n")
    ask = ["sh", str(command), "sh", "-c", "pwd; id -u; echo $EVENTS_DATA_DIR; cat .env"]
    done = subprocess.run(ask, cwd=elsewhere, capture_output=True, text=True, check=False)
    data = str(command.parent / "data")
    assert done.stdout.split("\n") == [data, str(NOBODY), data, ""], done.stderr
    assert ".env" in done.stderr


def test_the_command_hands_on_every_secret_that_is_not_empty(command: Path) -> None:
    for name in ("secret-key", "smtp-url"):
        (command.parent / "etc" / name).write_text(f"the {name}\n")
    (command.parent / "etc/broker-url").touch()
    (command.parent / "etc/events.env").write_text('EVENTS_MAIL_FROM="Desk <desk@example.org>"\n')
    done = subprocess.run(
        ["sh", str(command)], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    ours = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("EVENTS_"))
    assert ours == {
        "EVENTS_DATA_DIR": str(command.parent / "data"),
        "EVENTS_SECRET_KEY": "the secret-key",
        "EVENTS_SMTP_URL": "the smtp-url",
        "EVENTS_MAIL_FROM": "Desk <desk@example.org>",
    }


def test_without_a_data_folder_the_command_says_what_to_do(command: Path) -> None:
    (command.parent / "data").rmdir()
    done = subprocess.run(["sh", str(command), "pwd"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "start the service once" in done.stderr


def test_what_sends_is_given_longer_to_stop_than_it_takes(deploy: Path) -> None:
    given = [
        re.findall(r"^TimeoutStopSec=(\d+)$", (deploy / f"systemd/{name}.service").read_text(), re.MULTILINE)
        for name in ("events-worker", "events-up")
    ]
    worker = (deploy / "compose.yaml").read_text().split("\n  worker:\n")[1].split("\n  scheduler:\n")[0]
    given.append(re.findall(r"^    stop_grace_period: (\d+)s$", worker, re.MULTILINE))
    assert [int(one) >= Settings().stop_seconds + 10 for [one] in given] == [True] * 3


def test_what_the_image_is_made_from_is_there(deploy: Path) -> None:
    lines = (deploy / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    sources = [source for line in copied for source in line]
    let_in = (deploy.parent / ".dockerignore").read_text().splitlines()
    assert "requirements/prod.lock" in sources
    for source in sources:
        assert (deploy.parent / source).exists(), source
        assert f"!{source}" in let_in, source
    assert "USER events" in lines and any(line.startswith("HEALTHCHECK ") for line in lines)
