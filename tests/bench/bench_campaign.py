"""How fast a campaign goes out, from due rows to postfix's smtp-sink.

Ratio of the campaigns: of postfix's smtp-source in the same run, messages of the same size into the same sink over
eight connections; larger is better. EVENTS_BENCH_LETTERS (20,000) makes a run shorter.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from sqlmodel import select

from events_service.db.schema import open_database
from events_service.db.tables import Attendee, CampaignStep, Event
from events_service.letters import Letters, readable
from tests.bench import running
from tests.bench.debian import cache_folder
from tests.bench.harness import Figure, Unavailable, bench, forced_write, progress, run_command
from tests.bench.mission import invitations
from tests.bench.postfix import Sink, Yardstick, sink
from tests.bench.running import LETTERS, Sent
from tests.bench.stages import Stages, timed

THREADS = int(os.environ.get("EVENTS_BENCH_THREADS", "2"))
TOOLS = Path(__file__).parent.parent / "tools"


@bench("campaign-sqlite", unit="messages/s", least=0.2)
def campaign_sqlite(folder: Path) -> Figure:
    """A campaign on SQLite, by the broker in this process."""
    stages = _stages(folder / "stages")
    progress(f"campaign-sqlite: {stages}")
    forced = [forced_write(folder)]
    with sink(folder) as to:
        yardstick = Yardstick(to, stages.size)
        yardstick.take()
        sent = running.here(folder / "campaign", to, LETTERS)
        yardstick.take()
    forced.append(forced_write(folder))
    progress(f"campaign-sqlite: a forced write takes {forced[0] * 1e6:,.0f} µs before, {forced[1] * 1e6:,.0f} after")
    costs = {"bytes": stages.size, "forced_write": sum(forced) / 2 * 1e6} | _costs(sent)
    return Figure(sent.rate, yardstick.rate, sent.rate / yardstick.rate, stages.microseconds() | costs)


@bench("campaign-postgres-rabbitmq", unit="messages/s", least=0.15)
def campaign_postgres_rabbitmq(folder: Path) -> Figure:
    """A campaign on PostgreSQL and RabbitMQ, by a scheduler and two worker processes."""
    size = _size(folder / "size")
    with sink(folder) as to, running.fleet(folder / "live", to, processes=2, threads=THREADS) as fleet:
        yardstick = Yardstick(to, size)
        yardstick.take()
        sent = fleet.send(to, LETTERS)
        yardstick.take()
        commits = running.commits_per_second(fleet.database)
    costs = _costs(sent) | {"commits": sent.commits, "commits_per_second": commits, "threads": THREADS, "processes": 2}
    progress(
        f"campaign-postgres-rabbitmq: {THREADS} threads a process; a worker had {max(fleet.rss) / 1e6:,.0f} MB;"
        f" in µs of a processor: {', '.join(f'{name} {cost:,.0f}' for name, cost in costs.items())}"
    )
    return Figure(sent.rate, yardstick.rate, sent.rate / yardstick.rate, costs)


def _costs(sent: Sent) -> dict[str, float]:
    """What a message took of the processors, in microseconds, and how many of them others left."""
    return {name: seconds * 1e6 for name, seconds in sent.cpu.items()} | {"processors_left": sent.left}


@bench("nodemailer", unit="messages/s", least=3)
def nodemailer(folder: Path) -> Figure:
    """The same message by nodemailer, over 20 pooled connections and building its own MIME.

    The value is nodemailer's and the yardstick ours: one process of each, ours with its ledger on SQLite. The ratio is
    how many times as fast ours is; larger is better.
    """
    script = _nodemailer()
    letters = min(LETTERS, 6000)
    said = _said(folder / "size")
    with sink(folder) as to:
        ours = [running.here(folder / "before", to, LETTERS).rate]
        theirs = _by_nodemailer(script, to, letters, said)
        ours.append(running.here(folder / "after", to, LETTERS).rate)
    yardstick = sum(ours) / len(ours)
    return Figure(theirs, yardstick, yardstick / theirs)


def _stages(folder: Path) -> Stages:
    """What a message costs by stage, seen on a tenth of the letters."""
    folder.mkdir()
    with sink(folder) as to, timed() as stages:
        running.here(folder, to, max(LETTERS // 10, 500))
    return stages


def _size(folder: Path) -> int:
    """The bytes of a message."""
    return int(_said(folder)["size"])


def _said(folder: Path) -> dict[str, str]:
    """One of the invitations, as a program that sends it itself needs it."""
    folder.mkdir()
    settings = running.settings_for(folder, "")
    database = open_database(settings.resolved_database_url)
    invitations(database, 1)
    with database.write(dry_run=True) as session:
        event, step = session.exec(select(Event)).one(), session.exec(select(CampaignStep)).one()
        attendee = session.exec(select(Attendee)).one()
        message = Letters(settings).preview(session, event, step, attendee, event.changed_at)
    database.dispose()
    said = {name: value or "" for name, value in readable(message).items()}
    return said | {"name": "Person 0", "email": "p0@example.org", "size": str(len(message.data))}


def _by_nodemailer(script: Path, to: Sink, letters: int, said: dict[str, str]) -> float:
    command = ["node", str(script), str(to.port), str(letters)]
    before = to.messages
    done = subprocess.run(command, input=json.dumps(said), capture_output=True, text=True, check=False)
    if done.returncode or to.messages - before != letters:
        raise RuntimeError(f"nodemailer sent {to.messages - before} of {letters}: {done.stderr.strip()[-400:]}")
    return letters / float(json.loads(done.stdout)["seconds"])


def _nodemailer() -> Path:
    """The script, beside its packages: those of `npm ci` in tests/tools, or a copy of that folder which is kept."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not here")
    if (TOOLS / "node_modules/nodemailer").is_dir():
        return TOOLS / "send_mail.mjs"
    lock = (TOOLS / "package-lock.json").read_text()
    kept = cache_folder() / "tools"
    if not (kept / "node_modules/nodemailer").is_dir() or (kept / "package-lock.json").read_text() != lock:
        shutil.copytree(TOOLS, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        try:
            run_command(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], kept, os.environ)
        except RuntimeError as error:
            raise Unavailable(f"nodemailer cannot be installed: {error}") from error
    shutil.copy(TOOLS / "send_mail.mjs", kept)
    return kept / "send_mail.mjs"
