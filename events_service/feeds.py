"""Feeds: the addresses that people subscribe to, and the kept bytes that they are answered with.

A change marks what shows it as stale, in its own transaction; a tick builds that anew, and raises the revision only
where the bytes differ. So a GET writes nothing and builds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import feed_blocks, feed_contents, feed_heads, feed_subjects
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event, EventObject, Feed, FeedContent, Person
from events_service.db.types import UTCDateTime
from events_service.errors import NotFoundError
from events_service.tokens import feed_token

WITHOUT_OF: tuple[str, ...] = feed_subjects.WITHOUT_OF
_SHOW_MANY_EVENTS = ("public", "theme", "market", "organiser")
_CHUNK = 50
_MANY_BLOCKS = 20
_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime)
_IS_DUE = sa.or_(col(FeedContent.stale_at).is_not(None), col(FeedContent.expires_at) <= _NOW)
_DUE = select(FeedContent.id).where(_IS_DUE).order_by(col(FeedContent.id))
_DUE_AND_FREE = (
    select(FeedContent)
    .where(col(FeedContent.id).in_(sa.bindparam("ids", expanding=True)), _IS_DUE)
    .order_by(col(FeedContent.id))
    .with_for_update(skip_locked=True)
)
_INSTITUTION = sa.select(sa.cast(col(Person.institution_id), sa.String)).where(col(Person.id) == sa.bindparam("person"))


def create(session: Session, kind: str, of: str, now: datetime, *, all_day: bool = False) -> tuple[Feed, str]:
    """A new address of a feed, and its token, which is told this once and never again.

    `of` is a theme's key, a country, a slug, a person's address or number, an institution's ROR id or number; empty for
    the public and the organiser's feed. With `all_day` an event that spans several local dates is whole days in it.
    InputError for a kind that is not there or an `of` that it does not take, NotFoundError where nothing is called so.
    The bytes are built here if no feed like it was there.
    """
    of = feed_subjects.canonical(session, kind, of.strip())
    token, digest = feed_token()
    made = Feed(kind=kind, of=of, all_day=all_day, token_sha256=digest, created_at=now)
    session.add(made)
    _content(session, kind, of, all_day, now)
    session.flush()
    return made, token


def revoke(session: Session, feed_id: int, now: datetime) -> Feed:
    """Close an address for good; closing it again changes nothing. Bytes that no address needs any more are dropped."""
    found = session.get(Feed, feed_id)
    if found is None:
        raise NotFoundError("feed", feed_id, "`events feed list` has their ids")
    if found.revoked_at is None:
        found.revoked_at = now
        session.add(found)
        session.flush()
        _drop_unneeded(session, found)
    return found


def forget_person(session: Session, person_id: int, now: datetime) -> None:
    """Remove every trace of a person's feeds, for an erasure. Call it before the person's own row goes."""
    touch_person(session, person_id, now)
    for table in (Feed, FeedContent):
        session.execute(sa.delete(table).where(col(table.kind) == "person", col(table.of) == str(person_id)))


def listing(session: Session) -> list[dict[str, Any]]:
    """All addresses, revoked ones too, oldest first, as JSON values; never a token."""
    return [as_json(session, found) for found in session.exec(select(Feed).order_by(col(Feed.id)))]


def as_json(session: Session, found: Feed) -> dict[str, Any]:
    """One address as the contract gives it. A person is named by their address, an institution by its ROR id."""
    return {
        "id": found.id,
        "kind": found.kind,
        "of": feed_subjects.written(session, found.kind, found.of),
        "all_day": found.all_day,
        "created_at": found.created_at,
        "revoked_at": found.revoked_at,
        "last_used": found.last_used,
    }


def touch_event(session: Session, event: Event, now: datetime) -> int:
    """Mark what shows the event, or may have shown it before this change, as stale; how many addresses show it now.

    Call it in the transaction of every change to an event, its sessions, its state or its visibility.
    """
    session.flush()
    session.execute(sa.delete(EventObject).where(col(EventObject.event_id) == event.id))
    people = sa.select(sa.cast(col(Attendee.person_id), sa.String)).where(col(Attendee.event_id) == event.id)
    institutions = (
        sa.select(sa.cast(col(Person.institution_id), sa.String))
        .join(Attendee, col(Attendee.person_id) == col(Person.id))
        .where(col(Attendee.event_id) == event.id)
    )
    # Its theme or market may have been another a moment ago, so all of these are built again: joining is cheap.
    showing_it = sa.or_(
        col(FeedContent.kind).in_(_SHOW_MANY_EVENTS),
        sa.and_(col(FeedContent.kind) == "event", col(FeedContent.of) == event.slug),
        sa.and_(col(FeedContent.kind) == "person", col(FeedContent.of).in_(people)),
        sa.and_(col(FeedContent.kind) == "institution", col(FeedContent.of).in_(institutions)),
    )
    touched = _touch(session, _locked(showing_it), now, event_id=event.id)
    showing = {which for which in touched if _shows(event, *which)}
    live = sa.select(sa.func.count()).select_from(Feed).where(col(Feed.revoked_at).is_(None))
    return session.scalar(live.where(sa.tuple_(col(Feed.kind), col(Feed.of)).in_(showing))) or 0 if showing else 0


def touch_person(session: Session, person_id: int | None, now: datetime) -> None:
    """Mark a person's feed, and their institution's, as stale: they came to an event, left one, replied, or moved."""
    if person_id is None:
        return
    session.flush()
    _touch(session, _OF_PERSON, now, {"person": person_id, "of": str(person_id)})


def touch_tasks(session: Session, event_id: int, now: datetime) -> None:
    """Mark what the organisers' feeds show of an event as stale: something that they are to do came up, or was done."""
    session.flush()
    _touch(session, _ORGANISERS, now, event_id=event_id)


def touch_programme(session: Session, now: datetime) -> None:
    """Mark all feeds as stale: a programme was loaded (their names come from it) or a review was recorded."""
    session.flush()
    _touch(session, _locked(sa.true()), now)


def rebuild_stale(database: Database, now: datetime) -> int:
    """Build anew what is stale, or what time has changed; how many contents' bytes became different.

    It commits by chunks, each in a transaction of its own: a tick calls it, and a crash half way loses nothing.
    """
    with database.read() as session:
        ids = list(session.exec(_DUE, params={"now": now}))
    changed = 0
    for start in range(0, len(ids), _CHUNK):
        with database.write() as session:
            told = {"ids": ids[start : start + _CHUNK], "now": now}
            chunk = session.exec(_DUE_AND_FREE, params=told).all()
            changed += sum(_rebuild(session, content, now) for content in chunk)
    return changed


def renew(session: Session, now: datetime) -> int:
    """After a restore: give all contents a new revision and date, and mark them as stale. Returns how many.

    Whoever had a later revision would be told "not modified since" for ever.
    """
    session.flush()
    newer = sa.update(FeedContent).values(
        revision=col(FeedContent.revision) + 1, changed_at=now, stale_at=now, all_stale=True
    )
    return session.connection().execute(newer).rowcount


def flush_last_used(session: Session, seen: Collection[int], now: datetime) -> None:
    """Write when these feeds were last asked for: up to a tick later than they were, which is near enough."""
    if seen:
        session.execute(
            sa.update(Feed)
            .where(col(Feed.id).in_(sorted(seen)), sa.or_(col(Feed.last_used).is_(None), col(Feed.last_used) < now))
            .values(last_used=now)
        )


def _shows(event: Event, kind: str, of: str) -> bool:
    if kind not in ("public", "theme", "market"):
        return kind == "organiser" or event.state != "draft"
    public = event.visibility == "public" and event.state != "draft"
    return public and (kind == "public" or of in event.themes or of in event.markets)


def _locked(which: sa.ColumnElement[bool]) -> sa.Select[int | None, str, str]:
    # In one order, so that two changes at once cannot wait for each other.
    columns = col(FeedContent.id), col(FeedContent.kind), col(FeedContent.of)
    return sa.select(*columns).where(which).order_by(columns[0]).with_for_update()


_OF_PERSON = _locked(
    sa.or_(
        sa.and_(col(FeedContent.kind) == "person", col(FeedContent.of) == sa.bindparam("of")),
        sa.and_(col(FeedContent.kind) == "institution", col(FeedContent.of).in_(_INSTITUTION)),
    )
)


_ORGANISERS = _locked(col(FeedContent.kind) == "organiser")


def _touch(
    session: Session,
    which: sa.Select[int | None, str, str],
    now: datetime,
    told: Mapping[str, Any] | None = None,
    event_id: int | None = None,
) -> list[tuple[str, str]]:
    """Mark these contents as stale: the block that holds an event, or all of them."""
    found = session.execute(which, told).all()
    if found:
        # Set even where it is set already, as a rebuild that is under way began before this change.
        ids = [row[0] for row in found if row[0] is not None]
        values: dict[str, Any] = {"stale_at": now}
        if event_id is None:
            values["all_stale"] = True
        else:
            feed_blocks.mark(session, ids, feed_blocks.number_of(event_id))
        session.execute(sa.update(FeedContent).where(col(FeedContent.id).in_(ids)).values(values))
    return [(kind, of) for _, kind, of in found]


def _rebuild(session: Session, content: FeedContent, now: datetime) -> bool:
    content_id = content.id or 0
    # Many blocks one by one cost more than all of them at once.
    stale = None if content.all_stale else feed_blocks.stale(session, content_id, now)
    if stale is not None and len(stale) > _MANY_BLOCKS:
        stale = None
    etag = _build(session, content, stale, now)
    different = etag != content.etag
    if different:
        content.revision += 1
        # HTTP's dates have whole seconds, and no two revisions may share one.
        content.changed_at = max(now, content.changed_at + timedelta(seconds=1))
        content.etag = etag
    session.add(content)
    session.flush()
    return different


def _build(session: Session, content: FeedContent, stale: Collection[int] | None, now: datetime) -> str:
    """Build these blocks of a content, or all, and its head; the validator of its bytes then."""
    content_id = content.id or 0
    made = feed_contents.blocks(session, content.kind, content.of, now, all_day=content.all_day, numbers=stale)
    feed_blocks.keep(session, content_id, made, stale)
    zones = feed_blocks.timezones(session, content_id)
    feed_blocks.keep_head(session, content_id, feed_heads.head(session, content.kind, content.of, zones))
    joined = feed_blocks.joined(session, content_id)
    content.stale_at, content.all_stale, content.expires_at = None, False, joined.expires_at
    if joined.etag != content.etag:
        content.brotli = feed_blocks.compressed_whole(session, content_id, joined.length)
    return joined.etag


def _content(session: Session, kind: str, of: str, all_day: bool, now: datetime) -> None:
    """See that the bytes of a feed are there."""
    there = select(FeedContent.id).where(
        FeedContent.kind == kind, FeedContent.of == of, col(FeedContent.all_day).is_(all_day)
    )
    if session.exec(there).first() is not None:
        return
    made = FeedContent(kind=kind, of=of, all_day=all_day, revision=1, etag="", changed_at=now)
    try:
        with session.begin_nested():
            session.add(made)
            session.flush()
    except sa.exc.IntegrityError:
        if session.exec(there).first() is None:
            raise
        return
    made.etag = _build(session, made, None, now)
    # A change that another process has not committed yet could not mark it, so the next tick looks once more.
    made.stale_at, made.all_stale = now, True
    session.add(made)


def _drop_unneeded(session: Session, closed: Feed) -> None:
    same = (Feed.kind == closed.kind, Feed.of == closed.of, col(Feed.all_day).is_(closed.all_day))
    if session.exec(select(Feed.id).where(*same, col(Feed.revoked_at).is_(None))).first() is None:
        its = sa.and_(col(FeedContent.kind) == closed.kind, col(FeedContent.of) == closed.of)
        session.execute(sa.delete(FeedContent).where(its, col(FeedContent.all_day).is_(closed.all_day)))
