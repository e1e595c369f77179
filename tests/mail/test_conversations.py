from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from events_service.errors import PermanentMailError
from events_service.mail.conversations import Conversations, alone
from events_service.mail.wire import FENCE, Conversation, Wait

Pair = tuple[socket.socket, socket.socket]


class Moments:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Ends of connections: ours, and the server's."""
    found = [socket.socketpair() for _ in range(3)]
    for ours, _theirs in found:
        ours.setblocking(False)
    yield found
    for pair in found:
        for end in pair:
            end.close()


def told(sock: socket.socket, heard: list[bytes], until: float | None = None) -> Conversation:
    """Asks at the fence, then says hello and waits for a word."""
    until = time.monotonic() + 60 if until is None else until
    if not (yield FENCE):
        return False
    sock.sendall(b"hello")
    try:
        yield Wait(sock, False, until)
    except TimeoutError as error:
        raise PermanentMailError(f"it {error}") from error
    heard.append(sock.recv(100))
    return True


def test_none_waits_for_another(pairs: list[Pair]) -> None:
    heard: list[bytes] = []
    talks = Conversations[str]()
    for name, (ours, _theirs) in zip(("ada", "bob", "cem"), pairs, strict=True):
        talks.begin(name, told(ours, heard))
    assert (talks.at_fence, talks.talking, talks.over()) == (["ada", "bob", "cem"], 0, [])
    talks.answer(lambda name: name != "bob")
    assert (talks.at_fence, talks.talking, talks.over()) == ([], 2, [("bob", False)])
    assert not talks.listen(0)
    # The one that began last is answered first, and goes on first.
    pairs[2][1].sendall(b"word for cem")
    assert talks.listen(60)
    assert (talks.over(), heard, talks.talking) == ([("cem", True)], [b"word for cem"], 1)
    pairs[0][1].sendall(b"word for ada")
    assert talks.listen(60)
    assert (talks.over(), talks.talking) == ([("ada", True)], 0)
    assert not talks.listen(60), "nobody is there to be waited for"
    assert [theirs.recv(100) for _ours, theirs in (pairs[0], pairs[2])] == [b"hello", b"hello"]


def test_whoever_is_waited_for_too_long_is_told_so_and_nobody_else(pairs: list[Pair]) -> None:
    clock = Moments()
    talks = Conversations[str](clock)
    talks.begin("ada", told(pairs[0][0], [], until=1005.0))
    talks.begin("bob", told(pairs[1][0], [], until=1100.0))
    talks.answer(lambda _name: True)
    assert not talks.listen(0)
    clock.now = 1005.0
    assert talks.listen(60)
    [(name, error)] = talks.over()
    assert (name, str(error), talks.talking) == ("ada", "it timed out", 1)
    assert isinstance(error, PermanentMailError)


def test_one_that_cannot_begin_is_over_at_once() -> None:
    def refused() -> Conversation:
        raise PermanentMailError("no such address")
        yield FENCE

    talks = Conversations[str]()
    talks.begin("ada", refused())
    [(name, error)] = talks.over()
    assert (name, str(error), talks.at_fence, talks.over()) == ("ada", "no such address", [], [])


def test_what_is_no_matter_of_mail_is_raised() -> None:
    def broken() -> Conversation:
        yield FENCE
        raise LookupError("a fault in the program")

    talks = Conversations[str]()
    talks.begin("ada", broken())
    with pytest.raises(LookupError):
        talks.answer(lambda _name: True)


def test_one_alone_goes_on_to_its_end(pairs: list[Pair]) -> None:
    (ours, theirs), heard = pairs[0], list[bytes]()
    theirs.sendall(b"a word")
    assert alone(told(ours, heard)) is True
    assert heard == [b"a word"]
    assert alone(told(ours, heard), lambda: False) is False
    with pytest.raises(PermanentMailError, match="it timed out"):
        alone(told(ours, heard, until=0.0))


def test_a_full_socket_is_waited_for(pairs: list[Pair]) -> None:
    ours, theirs = pairs[0]

    def pour() -> Conversation:
        yield FENCE
        left = memoryview(b"x" * 4_000_000)
        while left:
            try:
                left = left[ours.send(left) :]
            except BlockingIOError:
                yield Wait(ours, True, time.monotonic() + 60)
        return True

    talks = Conversations[str]()
    talks.begin("ada", pour())
    talks.answer(lambda _name: True)
    got = 0
    while talks.talking:
        got += len(theirs.recv(1 << 20))
        talks.listen(60)
    theirs.setblocking(False)
    while got < 4_000_000:
        got += len(theirs.recv(1 << 20))
    assert (got, talks.over()) == (4_000_000, [("ada", True)])
