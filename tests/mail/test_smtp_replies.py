from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.mail.conversations import alone
from events_service.mail.smtp_replies import MAX_LINE, MAX_LINES, NonsenseError, Reply, Talk

Pair = tuple[Talk, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Our end of a connection, and the server's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield Talk(ours), theirs


class Pieces(socket.socket):
    """Comes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self.pieces = pieces

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self.pieces.pop(0)


WORDS = st.text("abc 5.1-ü", max_size=12).map(lambda text: text.strip().encode())
REPLIES = st.lists(st.tuples(st.integers(200, 599), st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=6)


@given(REPLIES, st.lists(st.integers(1, 40), max_size=20), st.sampled_from([b"\r\n", b"\n"]))
def test_replies_are_what_they_are_however_they_come(
    replies: list[tuple[int, list[bytes]]], cuts: list[int], end: bytes
) -> None:
    wire = b"".join(
        b"%d%s%s%s" % (code, b"-" if number < len(lines) else b" ", line, end)
        for code, lines in replies
        for number, line in enumerate(lines, 1)
    )
    pieces = []
    for cut in [*cuts, len(wire)]:
        pieces.append(wire[:cut])
        wire = wire[cut:]
    with Pieces([piece for piece in pieces if piece]) as sock:
        talk = Talk(sock)
        assert [alone(talk.read(20)) for _ in replies] == [Reply(code, b"\n".join(lines)) for code, lines in replies]
        assert not talk.more
        assert sock.pieces == []


def test_a_bare_code_is_a_reply(pair: Pair) -> None:
    talk, theirs = pair
    theirs.sendall(b"250\r\n354\r\n")
    assert [alone(talk.read(20)), alone(talk.read(20))] == [Reply(250, b""), Reply(354, b"")]


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n",
        b"\r\n",
        b"25\r\n",
        b"2500 fine\r\n",
        b"150 fine\r\n",
        b"650 fine\r\n",
        b"250_fine\r\n",
        b" 250 fine\r\n",
        b"250-one\r\n251 two\r\n",
        b"250-one\r\ntwo\r\n",
        b"\x80\xff\x00\r\n",
        b"x" * (MAX_LINE + 1),
        b"250 " + b"x" * MAX_LINE * 3 + b"\r\n",
        b"250-" + b"x" * 100 + b"\r\n250-" + b"x" * MAX_LINE * 2 + b"\r\n",
        b"250-more\r\n" * (MAX_LINES + 1),
    ],
)
def test_nonsense_is_an_error_and_takes_no_room(pair: Pair, said: bytes) -> None:
    talk, theirs = pair
    theirs.sendall(said)
    with pytest.raises(NonsenseError) as caught:
        alone(talk.read(20))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_a_server_that_closes_or_says_nothing(pair: Pair) -> None:
    talk, theirs = pair
    theirs.sendall(b"250-one\r\n25")
    with pytest.raises(TimeoutError):
        alone(talk.read(0.05))
    theirs.close()
    assert not talk.quiet()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        alone(talk.read(20))


@pytest.mark.parametrize("drop", [b"2", b"250-more\r\n"])
def test_who_says_a_little_now_and_then_is_not_waited_for_any_longer(drop: bytes) -> None:
    class Dripping(socket.socket):
        """A little each time that it is asked."""

        def recv(self, size: int, flags: int = 0) -> bytes:
            moments.append(moments[-1] + 4)
            return drop

    moments = [0.0]
    with Dripping() as dripping, pytest.raises(TimeoutError):
        alone(Talk(dripping, lambda: moments[-1]).read(20))
    assert moments[-1] == 24


def test_what_is_said_unasked_is_the_next_reply(pair: Pair) -> None:
    talk, theirs = pair
    assert talk.quiet()
    theirs.sendall(b"421 4.4.2 idle for too long\r\n")
    assert not talk.quiet()
    assert not talk.quiet()
    assert alone(talk.read(0)) == Reply(421, b"4.4.2 idle for too long")
    assert talk.quiet()
    theirs.close()
    assert not talk.quiet()


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [(b"5.1.1 no such user", "5.1.1"), (b"no such user", ""), (b"4.7.650 slow\n4.7.650 down", "4.7.650"), (b"", "")],
)
def test_the_enhanced_code_stands_first(text: bytes, enhanced: str) -> None:
    assert Reply(550, text).enhanced == enhanced


def test_a_reply_as_one_line() -> None:
    assert Reply(550, b"one\n two\xff\n\tth\x00ree").said == "550 one two\ufffd th\ufffdree"
    assert len(Reply(550, b"x" * 5000).said) == 304
    assert (Reply(550, b"").kind, Reply(354, b"").kind) == (5, 3)
