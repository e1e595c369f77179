"""`events lmtp`: a server that takes incoming mail."""

from __future__ import annotations

import ipaddress

import typer

from events_service.cli.base import Run, verb
from events_service.clock import system_clock
from events_service.logs import configure_logs


def register(root: typer.Typer) -> None:
    """Add the command to the root."""
    verb(root, "lmtp", live=True)(lmtp)


def lmtp(run: Run) -> None:
    """Take incoming mail by LMTP on EVENTS_LMTP_ADDR, as a mail server hands it on, until Ctrl-C."""
    import structlog

    from events_service import intake
    from events_service.mail.lmtp import read_listen, serve

    host, port = read_listen(run.settings.lmtp_addr)
    configure_logs(run.settings)
    log = structlog.get_logger(__name__)
    database, settings = run.database, run.settings

    def take(message: bytes) -> None:
        now = system_clock()
        proof = intake.proof_of(message, settings, now)
        with database.write() as session:
            taken = intake.take(session, message, settings, now, proof)
            row = taken.id
        log.info("mail taken", intake=row, kind=taken.kind, applied=taken.applied)

    def started(port: int) -> None:
        run.say(f"taking mail on {host}:{port}; Ctrl-C stops it")
        if not _on_this_machine(host):
            log.warning("other machines can reach this port; see that only your mail server does", host=host)

    serve(host, port, take, intake.MAX_MESSAGE_BYTES, started)


def _on_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
