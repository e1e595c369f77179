"""Messages read back by Python's own parser, which must find no fault in them; and names that people really have."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import cast

from hypothesis import strategies as st

AWKWARD = (
    "Ada Lovelace",
    "",
    "   ",
    "Anna Müller",
    'Anna "Ace" O\'Neill, Ltd; Sons <sons@evil.example> \\ Co.',
    "Ada\r\nBcc: everybody@evil.example\r\n\r\nBuy now",
    "Bcc: everybody@evil.example",
    "=?utf-8?q?Bcc=3A_everybody=40evil=2Eexample?=",
    "=?utf-8?b?4pyT?= and =?unknown?q?x?=",
    "nul\x00 bell\x07 vt\x0b esc\x1b del\x7f nel\x85 ls\u2028 ps\u2029 csi\x9b end",
    "مريم الخوارزمي",
    "דנה כהן \u202eexe.txt",
    "👩‍👩‍👧‍👦 Familie 🏳️‍🌈",
    "\ue000reply_url\ue001 and \ue000greeting\ue001",
    "{{ me.reply_url }} {% raw %} ${x} %(x)s",
    "<script>alert('x')</script> & <b>bold</b> &amp; &lt;",
    "x" * 3000,
    "word " * 400,
    "é" * 1500,
    "山田 太郎 " * 60,
    "a\u00a0b\u3000c\u2003d",
    "tab\there",
    ".",
    "..\n.\n.",
    "From here to there",
    "-- ",
    "lone \ud800 surrogate",
    "\ufeffmark",
)

texts = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(max_size=120),
    st.text(alphabet="=?_.,;:\"'\\<>@()[] \r\n\téß漢👍\x00\u2028\ue000\ue001B", max_size=80),
)


def read(data: bytes) -> EmailMessage:
    """The message, in which nothing is broken: 7-bit, CRLF, lines of at most 998 octets, no defect anywhere."""
    assert data.isascii()
    assert data.endswith(b"\r\n")
    for line in data.split(b"\r\n"):
        assert len(line) <= 998
        assert b"\r" not in line
        assert b"\n" not in line
        assert b"\0" not in line
    message = cast(EmailMessage, message_from_bytes(data, policy=policy.default))
    for part in message.walk():
        assert part.defects == []
        for name, value in part.items():
            assert value.defects == (), (name, value.defects)
    return message


def shape(message: EmailMessage) -> str:
    """What a message is made of, such as `multipart/mixed(text/plain, image/png)`."""
    kind = message.get_content_type()
    if not message.is_multipart():
        return kind
    return f"{kind}({', '.join(shape(cast(EmailMessage, part)) for part in message.iter_parts())})"


def part(message: EmailMessage, kind: str) -> EmailMessage:
    """The one part of that kind."""
    (found,) = (part for part in message.walk() if part.get_content_type() == kind)
    return cast(EmailMessage, found)


def body(message: EmailMessage, kind: str) -> str:
    """The text of the one part of that kind, with LF."""
    content = part(message, kind).get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


class _Events(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[object] = []
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._flush()
        self.seen.append((tag, sorted((name, value or "") for name, value in attrs if name != "style")))

    def handle_endtag(self, tag: str) -> None:
        self._flush()
        self.seen.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self._text += data

    def _flush(self) -> None:
        if self._text.strip():
            self.seen.append(self._text.strip())
        self._text = ""


def elements(html: str) -> list[object]:
    """What a browser sees in HTML: tags, attributes but for styles, and text, with every entity undone."""
    parser = _Events()
    parser.feed(html)
    parser.close()
    return parser.seen
