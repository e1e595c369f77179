"""`events delivery`: single messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

Number = Annotated[int, typer.Argument(metavar="ID", help="The delivery's number, as `delivery list` shows it.")]


@verb(app, "list")
def list_(
    run: Run,
    event: Annotated[str | None, typer.Option("--event", metavar="REF", help="Of this event only.")] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="S", help="In this state only.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="The first N of them.")] = None,
) -> None:
    """List deliveries by due time."""
    from events_service import deliveries, event_rows

    with run.read() as session:
        found = event_rows.find(session, event) if event else None
        document = deliveries.listing(session, found, state, limit)
    _show_all(run, document)


def _show_all(run: Run, document: list[dict[str, Any]]) -> None:
    def human(console: Console) -> None:
        columns = ("id", "event", "step", "to", "state", "due", "why")
        rows = [
            (
                one["id"],
                one["event"],
                one["step"],
                one["email"],
                one["state"],
                f"{one['due_at']:%Y-%m-%d %H:%M}Z",
                one["hold_reason"] or one["last_error"],
            )
            for one in document
        ]
        console.print(table(columns, rows) if rows else "no deliveries")

    run.emit(document, human)


@verb(app, "show")
def show(run: Run, id: Number) -> None:
    """Show one delivery and what explains its state."""
    from events_service import deliveries

    with run.read() as session:
        document = deliveries.show(session, id)
    _show(run, document)


@verb(app, "retry")
def retry(
    run: Run,
    id: Annotated[int | None, typer.Argument(metavar="ID", help="The delivery's number; or say --event.")] = None,
    event: Annotated[str | None, typer.Option("--event", metavar="REF", help="All that failed of this event.")] = None,
    state: Annotated[str, typer.Option("--state", metavar="S", help="With --event: failed, the only one.")] = "failed",
) -> None:
    """Try a failed delivery again, or all of an event, with the same identifiers."""
    from events_service import deliveries, event_rows

    if (id is None) == (event is None):
        raise UsageError("say which: a delivery's number, or --event REF for all that failed of an event")
    if state != deliveries.FAILED:
        raise UsageError(f"{state!r} is not tried again by hand; only failed is")
    if event is not None:
        with run.write() as session:
            documents = deliveries.retry_failed(session, event_rows.find(session, event), run.now)
        _show_all(run, documents)
    elif id is not None:
        with run.write() as session:
            document = deliveries.retry(session, id, run.now)
        _show(run, document)


@verb(app, "settle")
def settle(
    run: Run,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[ID] arrived|lost", help="What became of it, after its number unless --event is said."),
    ],
    event: Annotated[
        str | None, typer.Option("--event", metavar="REF", help="All of this event that are in doubt.")
    ] = None,
) -> None:
    """Say what became of a delivery that nobody can know of; a lost one is sent again."""
    from events_service import deliveries, event_rows

    *numbers, word = words
    if len(numbers) != (event is None) or not all(one.isdecimal() and len(one) < 19 for one in numbers):
        raise UsageError("say `delivery settle ID arrived|lost`, or `delivery settle --event REF arrived|lost`")
    if event is not None:
        with run.write() as session:
            documents = deliveries.settle_event(session, event_rows.find(session, event), word, run.now)
        _show_all(run, documents)
        return
    with run.write() as session:
        document = deliveries.settle(session, int(numbers[0]), word, run.now)
    _show(run, document)


def _show(run: Run, document: dict[str, Any]) -> None:
    run.emit(document, lambda console: console.print(table(("", ""), list(document.items()))))
