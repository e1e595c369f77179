"""`events feed`: calendar addresses that people subscribe to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

_COLUMNS = ("id", "kind", "of", "all day", "created", "last used", "revoked")


@verb(app, "list")
def list_(run: Run) -> None:
    """List every address that was made, without its token: that is told once, when it is made."""
    from events_service import feeds

    with run.read() as session:
        rows = feeds.listing(session)
    run.emit(rows, lambda console: _table(console, rows))


@verb(app)
def create(
    run: Run,
    kind: Annotated[
        str,
        typer.Option("--kind", help="public, theme, market, event, person, institution or organiser."),
    ],
    of: Annotated[
        str,
        typer.Option(
            "--of", help="A theme's key, a country, a slug, an e-mail address, a ROR id: what the kind needs."
        ),
    ] = "",
    all_day: Annotated[
        bool, typer.Option("--all-day", help="Show events that span several days as whole days.")
    ] = False,
) -> None:
    """Make an address and print it. It cannot be shown again; whoever has it can read the feed."""
    from events_service import feeds
    from events_service.feed_contents import KINDS

    if kind not in KINDS:
        raise UsageError(f"--kind {kind[:40]!r}: use one of {', '.join(KINDS)}")
    if (kind in feeds.WITHOUT_OF) == bool(of.strip()):
        raise UsageError(f"--of: {kind} {'is of everything; leave it out' if of else 'needs it'}")
    with run.write() as session:
        made, token = feeds.create(session, kind, of, run.now, all_day=all_day)
        document = feeds.as_json(session, made)
    if run.dry_run:
        run.say("dry run: nothing was made, and the address below leads nowhere")
    page = f"{run.settings.public_base}/feeds/{token}"
    document |= {"url": f"{page}.ics", "page": page}
    run.emit(document, lambda console: _address(console, page))
    if not run.as_json:
        run.say("Keep it: it is shown this once. Whoever has it can read the feed; `events feed revoke` closes it.")


@verb(app)
def revoke(run: Run, id: Annotated[int, typer.Argument(help="Its id, as `events feed list` gives it.")]) -> None:
    """Close an address for good: from now on it is not found."""
    from events_service import feeds

    with run.write() as session:
        document = feeds.as_json(session, feeds.revoke(session, id, run.now))
    run.emit(document, lambda console: _table(console, [document]))


def _address(console: Console, page: str) -> None:
    url = f"{page}.ics"
    # The second is what a click in a mail or a page hands to the calendar program, the third a page for people.
    for address in (url, "webcal://" + url.partition("://")[2], page):
        console.print(address, soft_wrap=True, markup=False)


def _table(console: Console, rows: list[dict[str, Any]]) -> None:
    keys = ("id", "kind", "of", "all_day", "created_at", "last_used", "revoked_at")
    console.print(table(_COLUMNS, [[_cell(row[key]) for key in keys] for row in rows]))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else value
