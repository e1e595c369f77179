"""When a zone's clocks change: the TZif file that `zoneinfo` reads, and the POSIX rule in its last line (RFC 9636)."""

from __future__ import annotations

import importlib.resources
import re
import struct
import zoneinfo
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from events_service.errors import InputError

_DAY = 86_400
_NAME = r"(<[^>]+>|[A-Za-z]{3,})"
_OFFSET = r"([+-]?\d{1,3}(?::\d{2}(?::\d{2})?)?)"
_DATE = r"M(\d{1,2})\.(\d)\.(\d)(?:/([+-]?\d{1,3}(?::\d{2}(?::\d{2})?)?))?"
_FOOTER = re.compile(rf"{_NAME}{_OFFSET}(?:{_NAME}{_OFFSET}?,{_DATE},{_DATE})?")


@dataclass(frozen=True, slots=True)
class Onset:
    """An instant from which other local times hold. Offsets are seconds east of Greenwich, `at` is POSIX seconds."""

    at: int
    before: int
    after: int
    name: str

    @property
    def local(self) -> datetime:
        """The naive wall-clock time, in the offset that ends here."""
        return datetime(1970, 1, 1) + timedelta(seconds=self.at + self.before)  # noqa: DTZ001  it is a wall clock


@dataclass(frozen=True, slots=True)
class YearlyDate:
    """`Mm.w.d/time` of a POSIX rule: the w-th (5: last) weekday d (0: Sunday), and seconds after its midnight."""

    month: int
    week: int
    weekday: int
    seconds: int

    def at(self, year: int, offset: int) -> int:
        """POSIX seconds of that moment in `year`, on a wall clock `offset` seconds east."""
        first = date(year, self.month, 1)
        day = 1 + (self.weekday - (first.weekday() + 1)) % 7 + 7 * (self.week - 1)
        if day > days_in_month(year, self.month):
            day -= 7
        midnight = int(datetime(year, self.month, day, tzinfo=UTC).timestamp())
        return midnight + self.seconds - offset


@dataclass(frozen=True, slots=True)
class PosixRule:
    """What a zone does from its last recorded change on, for ever. `summer` is None where clocks no longer change."""

    standard: int
    standard_name: str
    summer: int | None = None
    summer_name: str = ""
    begins: YearlyDate | None = None
    ends: YearlyDate | None = None

    def onsets(self, year: int) -> tuple[Onset, ...]:
        """The changes of one year, in order of time."""
        if self.summer is None or self.begins is None or self.ends is None:
            return ()
        to_summer = Onset(self.begins.at(year, self.standard), self.standard, self.summer, self.summer_name)
        to_standard = Onset(self.ends.at(year, self.summer), self.summer, self.standard, self.standard_name)
        return tuple(sorted((to_summer, to_standard), key=lambda onset: onset.at))


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """A zone as its file has it: recorded changes of offset, the offset before them, the rule after them (or None)."""

    tzid: str
    first_offset: int
    first_name: str
    recorded: tuple[Onset, ...]
    last_recorded: int
    rule: PosixRule | None

    def between(self, begins: int, ends: int) -> tuple[Onset, ...]:
        """Every change of offset in [begins, ends), POSIX seconds."""
        onsets = [onset for onset in self.recorded if begins <= onset.at < ends]
        if self.rule:
            first_year = datetime.fromtimestamp(max(begins, self.last_recorded, 0), UTC).year - 1
            for year in range(first_year, datetime.fromtimestamp(ends, UTC).year + 1):
                onsets += [
                    onset
                    for onset in self.rule.onsets(year)
                    if max(begins, self.last_recorded + 1) <= onset.at < ends and onset.before != onset.after
                ]
        return tuple(onsets)

    def offset_at(self, at: int) -> tuple[int, str]:
        """Offset and abbreviation that hold at POSIX seconds `at`."""
        earlier = self.between(at - 2 * 366 * _DAY, at + 1) if at > self.last_recorded else ()
        if earlier:
            return earlier[-1].after, earlier[-1].name
        place = bisect_right(self.recorded, at, key=lambda onset: onset.at)
        if not place:
            return self.first_offset, self.first_name
        return self.recorded[place - 1].after, self.recorded[place - 1].name


def days_in_month(year: int, month: int) -> int:
    """28 to 31."""
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - date(year, month, 1)).days


def load_zone(tzid: str) -> zoneinfo.ZoneInfo:
    """The zone of that IANA name. InputError if this machine has none."""
    try:
        return zoneinfo.ZoneInfo(tzid)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise InputError(f"{tzid!r} is no time zone; use an IANA name like Europe/London") from error


def read_zone(tzid: str) -> ZoneFile:
    """The zone's file, from where `zoneinfo` takes it. InputError if there is none or it is of version 1."""
    load_zone(tzid)
    content = _zone_bytes(tzid)
    if content[:4] != b"TZif" or content[4:5] < b"2":
        raise InputError(f"{tzid!r}: its time zone file is too old to tell when clocks change; install tzdata")
    # The first block has 32-bit times for old readers; the second has the same with 64 bits.
    return _parse(tzid, content, 44 + _block_size(content, 0, 4))


def parse_footer(footer: str) -> PosixRule | None:
    """The rule in a TZif file's last line; None for the forms that we do not need (empty, Julian days)."""
    match = _FOOTER.fullmatch(footer)
    if not match:
        return None
    standard_name, standard, summer_name, summer, *dates = match.groups()
    west = -_seconds(standard)
    if not summer_name:
        return PosixRule(west, standard_name.strip("<>"))
    east = -_seconds(summer) if summer else west + 3600
    begins, ends = _yearly(dates[:4]), _yearly(dates[4:])
    return PosixRule(west, standard_name.strip("<>"), east, summer_name.strip("<>"), begins, ends)


def _yearly(groups: list[str | None]) -> YearlyDate:
    month, week, weekday = (int(group or 0) for group in groups[:3])
    return YearlyDate(month, week, weekday, _seconds(groups[3]) if groups[3] else 7200)


def _seconds(text: str) -> int:
    """`[+-]h[h[h]][:mm[:ss]]` as seconds."""
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = [*(int(part) for part in text.lstrip("+-").split(":")), 0, 0][:3]
    return sign * (hours * 3600 + minutes * 60 + seconds)


def _zone_bytes(tzid: str) -> bytes:
    for folder in zoneinfo.TZPATH:
        path = Path(folder, tzid)
        if path.is_file():
            return path.read_bytes()
    path_in_package = importlib.resources.files("tzdata").joinpath("zoneinfo", *tzid.split("/"))
    return path_in_package.read_bytes() if path_in_package.is_file() else b""


def _counts(content: bytes, header: int) -> tuple[int, int, int, int, int, int]:
    isutc, isstd, leap, times, types, chars = struct.unpack_from(">6l", content, header + 20)
    return isutc, isstd, leap, times, types, chars


def _block_size(content: bytes, header: int, width: int) -> int:
    isutc, isstd, leap, times, types, chars = _counts(content, header)
    return times * (width + 1) + types * 6 + chars + leap * (width + 4) + isstd + isutc


def _parse(tzid: str, content: bytes, header: int) -> ZoneFile:
    _, _, _, times, types, chars = _counts(content, header)
    place = header + 44
    instants = struct.unpack_from(f">{times}q", content, place)
    kinds = content[place + 8 * times : place + 9 * times]
    place += 9 * times
    records = list(struct.iter_unpack(">lBB", content[place : place + 6 * types]))
    letters = content[place + 6 * types : place + 6 * types + chars]

    def local_type(index: int) -> tuple[int, str]:
        offset, _, begin = records[index]
        return offset, letters[begin : letters.index(b"\0", begin)].decode("ascii")

    offset, name = first = local_type(0)
    onsets: list[Onset] = []
    for at, kind in zip(instants, kinds, strict=True):
        before = offset
        offset, name = local_type(kind)
        if offset != before:
            onsets.append(Onset(at, before, offset, name))
    footer = content[header + 44 + _block_size(content, header, 8) :].strip(b"\n").decode("ascii")
    return ZoneFile(tzid, *first, tuple(onsets), instants[-1] if instants else -(2**62), parse_footer(footer))
