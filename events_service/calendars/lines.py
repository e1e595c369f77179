"""Content lines (RFC 5545 3.1, 3.3.11): escaped and folded on the way out, unfolded and cut apart on the way in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from events_service.errors import InputError

FOLD_AT = 75
"""Octets in a physical line, without its CRLF."""

# Everything str.splitlines() breaks at becomes a written newline, because some readers break there too; every other
# control character is dropped, because several readers pass it through and none can show it.
_TEXT: dict[int, str | None] = dict.fromkeys([*range(0x00, 0x20), *range(0x7F, 0xA0)])
_TEXT |= dict.fromkeys([0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029], "\\n")
_TEXT |= {0x09: "\t", ord("\\"): "\\\\", ord(";"): "\\;", ord(","): "\\,"}

_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN_NAME = re.compile(r'[^\x00-\x1f\x7f-\x9f"^\\\s]+(?: [^\x00-\x1f\x7f-\x9f"^\\\s]+)*')
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!$'*+/=_.~-]+@[A-Za-z0-9.-]+")
_NOT_IN_ADDRESS = re.compile(r'[\s\x00-\x1f\x7f-\x9f<>",;:\\()\[\]]')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CARETS = re.compile(r"\^(['^n])")
_FOLDS = re.compile(rb"(?:\r\n|\n|\r)[ \t]")
_PARAM_MARKS = re.compile(r'[":;]')


def fold(line: bytes) -> bytes:
    """One content line (UTF-8, without line end) as lines of at most 75 octets, each with CRLF, no character cut."""
    if len(line) <= FOLD_AT:
        return line + b"\r\n"
    pieces: list[bytes] = []
    start, room = 0, FOLD_AT
    while len(line) - start > room:
        end = start + room
        while line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[start:end])
        start, room = end, FOLD_AT - 1
    pieces.append(line[start:])
    return b"\r\n ".join(pieces) + b"\r\n"


def content_line(name: str, value: str) -> bytes:
    """`NAME:value`, folded. `value` is taken as it is: escape it first."""
    return fold(f"{name}:{value}".encode("utf-8", "replace"))


def escape_text(text: str) -> str:
    """A TEXT value: backslash, comma, semicolon and newlines escaped, other control characters dropped."""
    return text.replace("\r\n", "\n").translate(_TEXT)


def unescape_text(value: str) -> str:
    r"""The text of a TEXT value; an unknown escape stands for the character itself, as most programs read it."""
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)


def quote_param(value: str) -> str:
    """A parameter value in double quotes, quotes and carets as RFC 6868 writes them, white space as one space.

    A backslash becomes a slash: nothing in a parameter says what it means, and readers differ on it.
    """
    if not _PLAIN_NAME.fullmatch(value):
        value = _SPACES.sub(" ", value).strip().replace("\\", "/").replace("^", "^^").replace('"', "^'")
    return f'"{value}"'


def mailto(address: str) -> str:
    """A CAL-ADDRESS (RFC 6068). Raises InputError for what is no single address; it must have been checked before."""
    if _PLAIN_ADDRESS.fullmatch(address):
        return "mailto:" + address
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or _NOT_IN_ADDRESS.search(address):
        raise InputError(f"{address!r} is no e-mail address that a calendar can hold; write it like name@example.org")
    return "mailto:" + quote(address, safe="@!$'*+/=_.~-", errors="replace")


def uri(value: str) -> str:
    """A URI value: what is no printable ASCII is percent-encoded, so that it can neither break nor end the line."""
    return quote(value.strip(), safe="!#$%&'()*+,/:;=?@[]~-._", errors="replace")


@dataclass(frozen=True, slots=True)
class ContentLine:
    """A line that was read: its name in upper case, its raw value, and its raw parameters by upper-case name."""

    name: str
    value: str
    params: dict[str, str] = field(default_factory=dict)

    def param(self, name: str) -> str:
        """The first value of a parameter, "" where it is missing."""
        values = self.param_values(name)
        return values[0] if values else ""

    def param_values(self, name: str) -> tuple[str, ...]:
        """All values of a parameter, without quotes and with RFC 6868 undone."""
        raw = self.params.get(name, "")
        return tuple(_unquote_param(piece) for piece in _split_commas(raw)) if raw else ()


def unfold(content: bytes) -> list[bytes]:
    """The logical lines of a calendar, whatever its line ends; empty ones are left out. Takes linear time."""
    return [line for line in _FOLDS.sub(b"", content).splitlines() if line.strip()]


def read_line(line: str) -> ContentLine | None:
    """One logical line cut into name, parameters and value; None where it has no colon at all.

    Quotes that are never closed hide nothing: such a line is read as if it had no quotes.
    """
    name, params, colon = _scan(line, quotes=True)
    if colon < 0:
        name, params, colon = _scan(line, quotes=False)
    if colon < 0 or not name:
        return None
    return ContentLine(name.strip().upper(), line[colon + 1 :].strip(), params)


def read_address(value: str) -> str:
    """An address out of a CAL-ADDRESS, lower-case, without `mailto:`; "" where it holds none."""
    value = value.strip().strip('"').strip()
    if value[:7].lower() == "mailto:":
        value = unquote(value[7:].split("?", 1)[0])
    address = value.strip().strip("<>").lower()
    local, _, domain = address.rpartition("@")
    return address if local and domain and not re.search(r"[\s:]", address) else ""


def _scan(line: str, *, quotes: bool) -> tuple[str, dict[str, str], int]:
    """Name, raw parameters, and where the colon before the value stands (-1: nowhere)."""
    pieces: list[str] = []
    start, quoted = 0, False
    for mark in _PARAM_MARKS.finditer(line):
        if mark[0] == '"':
            quoted = quotes and not quoted
        elif not quoted:
            pieces.append(line[start : mark.start()])
            start = mark.end()
            if mark[0] == ":":
                params = (piece.partition("=") for piece in pieces[1:])
                return pieces[0], {key.strip().upper(): value.strip() for key, _, value in params}, mark.start()
    return "", {}, -1


def _split_commas(raw: str) -> list[str]:
    pieces, start, quoted = [], 0, False
    for place, character in enumerate(raw):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            pieces.append(raw[start:place])
            start = place + 1
    pieces.append(raw[start:])
    return pieces


def _unquote_param(value: str) -> str:
    value = value.strip().replace('"', "")
    return _CARETS.sub(lambda match: {"n": "\n", "'": '"', "^": "^"}[match[1]], value) if "^" in value else value
