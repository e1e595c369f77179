"""Connections that are kept: used again by whoever comes next, replaced where they were closed, left in a fork."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from events_service.errors import MailError, PermanentMailError, SenderRefusedError, TransientMailError
from events_service.mail.conversations import alone
from events_service.mail.smtp import MAX_IDLE, Smtp
from events_service.mail.wire import Outgoing
from tests.mail.servers import DROP, HANG, SLOWLY, Heard, certificate, real_server, scripted, server_tls
from tests.processes import until

PIPELINING = ("PIPELINING",)
CLOSING = "421 4.3.2 closing"


class Moments:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def kept(port: int, **words: Any) -> Smtp:
    return Smtp("127.0.0.1", port, "smtp", timeout=20, final_timeout=20, **words)


def to(name: str) -> Outgoing:
    return Outgoing(
        "events@example.org", f"{name}@example.org", f"<{name}@example.org>", b"Subject: x\r\n\r\nhello\r\n"
    )


def send(smtp: Smtp, *names: str) -> None:
    """One after the other, over one connection for as long as it is good."""
    waiting = list(names)
    while waiting:
        with smtp.connect() as [connection]:
            while waiting and connection.usable:
                assert alone(connection.send(to(waiting.pop(0))), lambda: True)


def outcomes(smtp: Smtp, *names: str) -> list[str]:
    """What became of each, on one connection after the other, as a post room takes them."""
    found = []
    for name in names:
        try:
            send(smtp, name)
            found.append("sent")
        except MailError as error:
            found.append(f"{type(error).__name__} {error.code}")
    return found


def test_a_connection_is_used_by_whoever_comes_next_in_any_thread() -> None:
    with scripted(offers=PIPELINING) as server:
        smtp = kept(server.port)
        for name in ("ada", "bob"):
            thread = threading.Thread(target=send, args=(smtp, name, "eve"))
            thread.start()
            thread.join(40)
        send(smtp, "cem")
        assert server.taken.total() == 5
        assert server.connections == 1
        assert server.commands.count("RSET") == 0
        smtp.close()
        until(lambda: server.commands[-1] == "QUIT", "goodbye")


def test_connections_that_are_used_at_the_same_time_are_several_and_a_few_are_kept() -> None:
    with scripted() as server:
        smtp = kept(server.port)
        at_once = threading.Barrier(MAX_IDLE + 2)

        def work() -> None:
            with smtp.connect() as [connection]:
                at_once.wait(40)
                alone(connection.send(to("ada")), lambda: True)

        threads = [threading.Thread(target=work) for _ in range(MAX_IDLE + 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(40)
        assert server.connections == MAX_IDLE + 2
        until(lambda: server.commands.count("QUIT") == 2, "goodbye to those that are too many")
        smtp.close()
        until(lambda: server.commands.count("QUIT") == MAX_IDLE + 2, "goodbye to all")
        assert server.taken.total() == MAX_IDLE + 2
        # What is given back after that is closed.
        send(smtp, "bob")
        until(lambda: server.commands[-1] == "QUIT", "goodbye again")


def test_after_some_idle_seconds_the_server_is_asked_first_and_after_more_left() -> None:
    clock = Moments()
    with scripted() as server:
        smtp = kept(server.port, monotonic=clock)
        send(smtp, "ada")
        clock.now += 4
        send(smtp, "ada")
        assert server.commands.count("RSET") == 0
        clock.now += 6
        send(smtp, "ada")
        assert (server.commands.count("RSET"), server.connections) == (1, 1)
        clock.now += 31
        send(smtp, "ada")
        assert (server.commands.count("RSET"), server.connections) == (1, 2)
        until(lambda: server.commands.count("QUIT") == 1, "goodbye to the old one")


def test_where_one_that_was_idle_does_not_answer_the_others_are_not_asked() -> None:
    clock = Moments()
    with scripted(RSET=HANG) as server:
        smtp = Smtp("127.0.0.1", server.port, "smtp", timeout=0.5, final_timeout=20, monotonic=clock)
        with smtp.connect(3) as three:
            for connection in three:
                assert alone(connection.send(to("ada")), lambda: True)
        clock.now += 10
        send(smtp, "bob")
        assert (server.commands.count("RSET"), server.connections) == (1, 4)
        until(lambda: len(server.open) == 2, "the end of the others")


def test_what_is_idle_for_too_long_is_closed_though_nobody_comes() -> None:
    with scripted() as server:
        smtp = kept(server.port, idle_seconds=0.05)
        send(smtp, "ada")
        until(lambda: server.commands[-1] == "QUIT", "goodbye")
        send(smtp, "ada")
        until(lambda: server.commands.count("QUIT") == 2, "goodbye again")


def test_a_transport_that_nobody_holds_any_more_holds_no_connection() -> None:
    with scripted() as server:
        send(kept(server.port), "ada")
        until(lambda: not server.open, "the end of its connection")


@pytest.mark.parametrize("idle", [0, 10])
@pytest.mark.parametrize("offers", [(), PIPELINING])
@pytest.mark.parametrize("goodbye", ["", f"{CLOSING}, idle for too long"])
def test_one_that_the_server_closed_while_idle_is_replaced_and_nothing_is_lost_or_doubled(
    idle: float, offers: tuple[str, ...], goodbye: str
) -> None:
    clock = Moments()
    fences: list[str] = []
    with scripted(offers=offers) as server:
        smtp = kept(server.port, monotonic=clock)
        send(smtp, "ada")
        server.hang_up(goodbye)
        clock.now += idle
        with smtp.connect() as [connection]:
            assert alone(connection.send(to("bob")), lambda: not fences.append("bob"))
        assert (server.taken, server.connections) == ({"ada@example.org": 1, "bob@example.org": 1}, 2)
        assert fences == ["bob"]


@pytest.mark.parametrize("offers", [(), PIPELINING])
def test_one_that_the_server_closes_between_messages_is_replaced_before_the_fence(offers: tuple[str, ...]) -> None:
    with scripted(offers=offers, dot=f"250 taken{DROP}") as server:
        smtp = kept(server.port)
        for name in ("ada", "bob", "cem"):
            with smtp.connect() as [connection]:
                assert connection.usable
                assert alone(connection.send(to(name)), lambda: True)
                until(lambda: not server.open, "the end of the connection")
                assert not connection.usable
        assert server.taken == {f"{name}@example.org": 1 for name in ("ada", "bob", "cem")}


def test_a_server_that_is_gone_when_a_connection_is_to_be_replaced_is_no_matter_of_the_message() -> None:
    fences: list[str] = []
    with scripted() as server:
        smtp = kept(server.port)
        with smtp.connect() as [connection]:
            alone(connection.send(to("ada")), lambda: True)
            server.close()
            assert not connection.usable
            with pytest.raises(TransientMailError, match="the connection was lost before"):
                alone(connection.send(to("bob")), lambda: not fences.append("bob"))
        with pytest.raises(TransientMailError, match="Connection refused"):
            send(smtp, "bob")
    assert fences == []


@pytest.mark.parametrize("phase", ["RCPT", "DATA", "dot"])
@pytest.mark.parametrize("offers", [(), PIPELINING])
def test_one_that_is_lost_with_a_refusal_costs_no_later_message_anything(offers: tuple[str, ...], phase: str) -> None:
    fences: list[str] = []
    with scripted(offers=offers, **{phase: [f"550 5.7.1 not this one{DROP}", "250 fine"]}) as server:
        server.script |= {"DATA": [f"550 5.7.1 not this one{DROP}", "354 go on"]} if phase == "DATA" else {}
        smtp = kept(server.port)
        with smtp.connect() as [connection]:
            with pytest.raises(PermanentMailError):
                alone(connection.send(to("ada")), lambda: True)
            until(lambda: not server.open, "the end of the connection")
            assert not connection.usable
        with smtp.connect() as [connection]:
            assert alone(connection.send(to("bob")), lambda: not fences.append("bob"))
        assert (server.taken, server.connections, fences) == ({"bob@example.org": 1}, 2, ["bob"])


def test_a_connection_s_share_is_learned_and_nobody_waits_for_it() -> None:
    def limited(heard: Heard) -> str:
        return f"{CLOSING}{DROP}" if heard.messages >= 12 else "250 fine"

    with scripted(MAIL=limited) as server:
        smtp = kept(server.port, monotonic=Moments())
        found = outcomes(smtp, *[f"n{number}" for number in range(50)])
        # One message meets the limit; it goes later, as nothing of it was sent.
        assert found == ["sent"] * 12 + ["TransientMailError 421"] + ["sent"] * 37
        assert server.taken.total() == 49
        assert server.connections == 5


def test_what_was_a_restart_and_no_share_is_forgotten() -> None:
    clock = Moments()
    with scripted() as server:
        smtp = kept(server.port, monotonic=clock)
        server.script = {"MAIL": lambda heard: f"{CLOSING}{DROP}" if heard.messages >= 10 else "250 fine"}
        assert outcomes(smtp, *[f"n{number}" for number in range(31)]).count("sent") == 30
        server.script = {}
        began = server.connections
        send(smtp, *[f"n{number}" for number in range(20)])
        assert server.connections == began + 2
        clock.now += 600
        send(smtp, *[f"n{number}" for number in range(100)])
        assert server.connections == began + 3


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA", "dot"])
def test_a_rate_limit_pauses_however_many_were_taken_before(phase: str) -> None:
    with scripted() as server:
        smtp = kept(server.port, monotonic=Moments())
        send(smtp, *[f"n{number}" for number in range(15)])
        server.script = {"." if phase == "dot" else phase: "421 4.7.0 too many messages"}
        assert outcomes(smtp, "ada")[0].endswith("Error 421")
        with pytest.raises(TransientMailError, match=r" for 1\.0 s more$"):
            send(smtp, "bob")
        assert server.connections == 1


def test_during_a_pause_no_connection_is_good_and_there_is_no_other() -> None:
    clock = Moments()
    with scripted() as server:
        smtp = kept(server.port, monotonic=clock)
        with smtp.connect() as [first], smtp.connect() as [second]:
            assert alone(first.send(to("ada")), lambda: True)
            assert alone(second.send(to("bob")), lambda: True)
            server.script = {"RCPT": CLOSING}
            with pytest.raises(TransientMailError):
                alone(first.send(to("cem")), lambda: True)
            server.script = {}
            assert (first.usable, second.usable) == (False, False)
            with pytest.raises(TransientMailError, match=r" for 1\.0 s more$"):
                send(smtp, "cem")
            clock.now += 1
            # One that is open goes on.
            assert (first.usable, second.usable) == (False, True)
            assert alone(second.send(to("dan")), lambda: True)
        send(smtp, "cem")
        assert server.connections == 2


@pytest.mark.parametrize("phase", ["hello", "EHLO", "MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("offers", [(), PIPELINING])
def test_421_pauses_the_whole_transport_for_longer_and_longer_until_it_takes_a_message(
    phase: str, offers: tuple[str, ...]
) -> None:
    clock = Moments()
    with scripted(offers=offers, **{phase: CLOSING}) as server:
        smtp = kept(server.port, monotonic=clock)
        pauses = []
        for _ in range(11):
            asked = server.connections
            with pytest.raises(TransientMailError) as caught:
                send(smtp, "ada")
            assert caught.value.code == 421
            # For the server is asked what it says, and not again before the pause is over.
            assert server.connections == asked + 1
            began = clock.now
            with pytest.raises(
                TransientMailError, match=r"it said 421 and is left alone for [0-9.]+ s more$"
            ) as caught:
                send(smtp, "ada")
            assert (caught.value.code, server.connections) == (421, asked + 1)
            clock.now += float(str(caught.value).split(" for ")[1].split()[0])
            pauses.append(clock.now - began)
        assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
        server.script = {}
        send(smtp, "ada")
        server.script = {"MAIL": CLOSING}
        outcomes(smtp, "bob")
        with pytest.raises(TransientMailError, match=r" for 1\.0 s more$"):
            send(smtp, "bob")


def test_threads_that_hear_421_at_the_same_time_make_one_pause() -> None:
    clock = Moments()
    with scripted(MAIL=CLOSING) as server:
        smtp = kept(server.port, monotonic=clock)
        at_once = threading.Barrier(4)

        def work() -> None:
            with pytest.raises(SenderRefusedError), smtp.connect() as [connection]:
                at_once.wait(40)
                alone(connection.send(to("ada")), lambda: True)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(40)
        with pytest.raises(TransientMailError, match=r" for 1\.0 s more$"):
            send(smtp, "ada")


def test_a_fork_has_connections_of_its_own() -> None:
    with scripted() as server:
        smtp = kept(server.port)
        send(smtp, "ada")
        pid = os.fork()
        if not pid:
            code = 1
            try:
                send(smtp, "bob")
                smtp.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert server.connections == 2
        # The parent's is as it was.
        send(smtp, "cem")
        assert server.connections == 2
        assert server.taken == {f"{name}@example.org": 1 for name in ("ada", "bob", "cem")}


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_connections_over_tls_are_kept_too(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("localhost")))
    clock = Moments()
    words: dict[str, Any] = (
        {"tls_context": server_tls("localhost"), "require_starttls": True}
        if scheme == "smtp+starttls"
        else {"ssl_context": server_tls("localhost"), "auth_require_tls": False}
    )
    with real_server(auth_required=False, **words) as (desk, port):
        smtp = Smtp("localhost", port, scheme, "desk", "p@ss:word", timeout=20, monotonic=clock)
        for _ in range(3):
            send(smtp, "ada", "bob")
            clock.now += 6
        assert len(desk.taken) == 6
        assert len(desk.logins) == 1
        smtp.close()


def test_several_connections_are_had_at_a_time_and_all_are_kept() -> None:
    with scripted() as server:
        smtp = kept(server.port)
        for _ in range(2):
            with smtp.connect(3) as connections:
                assert len(connections) == 3
                assert all(alone(one.send(to("ada")), lambda: True) for one in connections)
        assert (server.taken.total(), server.connections) == (6, 3)
        smtp.close()
        until(lambda: server.commands.count("QUIT") == 3, "goodbye to all")


def test_a_server_that_gives_no_more_connections_is_not_asked_again_for_a_minute() -> None:
    clock = Moments()

    def limited(heard: Heard) -> str:
        return "220 here" if len(server.open) <= 2 else f"{CLOSING}{DROP}"

    with scripted(hello=limited) as server:
        smtp = kept(server.port, monotonic=clock)
        with smtp.connect(4) as connections:
            # Nobody else has to wait for it either.
            assert [alone(one.send(to("ada")), lambda: True) for one in connections] == [True, True]
        for _ in range(2):
            # One of them is left to what is urgent.
            with smtp.connect(4) as connections, smtp.connect(urgent=True) as [urgent]:
                assert [alone(one.send(to("ada")), lambda: True) for one in (*connections, urgent)] == [True, True]
        assert server.connections == 3
        clock.now += 60
        server.script = {}
        with smtp.connect(4) as connections:
            assert len(connections) == 4


def test_where_the_server_gives_one_connection_whoever_sends_gives_it_to_what_is_urgent() -> None:
    def limited(heard: Heard) -> str:
        return "220 here" if len(server.open) <= 1 else f"{CLOSING}{DROP}"

    def hurry() -> None:
        with smtp.connect(urgent=True) as [urgent]:
            assert alone(urgent.send(to("eve")), lambda: True)
            # Whoever has waited longer, and is not urgent, comes after.
            assert server.taken == {"ada@example.org": 1, "eve@example.org": 1}

    with scripted(hello=limited) as server:
        smtp = kept(server.port)
        with smtp.connect(2) as [connection]:
            assert alone(connection.send(to("ada")), lambda: True)
            assert connection.usable
            hurrying = threading.Thread(target=hurry)
            hurrying.start()
            until(lambda: not connection.usable, "somebody urgent")
        send(smtp, "bob")
        hurrying.join(40)
        assert (server.taken.total(), server.connections) == (3, 2)


def test_a_connection_that_could_not_be_opened_is_not_used() -> None:
    with scripted(hello=f"{CLOSING}{DROP}") as server:
        smtp = kept(server.port, monotonic=Moments())
        with pytest.raises(TransientMailError), smtp.connect():
            pass
        assert smtp._used == 0


@pytest.mark.parametrize("after", ["", DROP])
def test_what_is_said_after_the_greeting_is_heeded(after: str) -> None:
    with scripted(EHLO=f"250 here\r\n{CLOSING}{after}") as server:
        smtp = kept(server.port, monotonic=Moments())
        with pytest.raises(TransientMailError, match=r"421 4\.3\.2 closing") as caught:
            send(smtp, "ada")
        assert caught.value.code == 421
        with pytest.raises(TransientMailError, match=r" for 1\.0 s more$"):
            send(smtp, "ada")
        assert server.connections == 1


def test_all_that_comes_before_a_message_has_one_deadline() -> None:
    slowly = f"{SLOWLY}250 here"
    with scripted(hello=f"{SLOWLY}220 here", EHLO=slowly) as server:
        # Each step would be in time.
        smtp = Smtp("127.0.0.1", server.port, "smtp", timeout=0.8, final_timeout=20)
        with pytest.raises(TransientMailError, match="no answer in time"):
            send(smtp, "ada")
