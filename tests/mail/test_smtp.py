"""Against real servers: what is sent, what is refused, and what nobody can know."""

from __future__ import annotations

import socket
import threading

import pytest

from events_service.errors import (
    DatabaseError,
    MailError,
    PermanentMailError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.mail.conversations import alone
from events_service.mail.smtp_line import Timeouts
from events_service.mail.transports import transport
from events_service.mail.wire import Outgoing
from tests.mail.servers import DROP, HANG, SLOWLY, real_server, scripted
from tests.mail.to_servers import MESSAGE, PIPELINING, plain, send, yes
from tests.processes import until


@pytest.fixture(params=[(), PIPELINING], ids=["in turn", "at once"])
def offers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What the server offers: with PIPELINING (RFC 2920) and without."""
    found: tuple[str, ...] = request.param
    return found


def test_a_message_arrives_byte_by_byte() -> None:
    with real_server() as (desk, port):
        assert send(plain(port)) == [True]
    (envelope,) = desk.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("events@example.org", ["ada@example.org"])
    assert envelope.original_content == MESSAGE.data


def test_a_message_without_a_last_line_end_gets_one() -> None:
    with real_server() as (desk, port):
        send(plain(port), Outgoing("a@example.org", "b@example.org", "<2@example.org>", b".\r\n\r\nlast"))
    assert desk.taken[0].original_content == b".\r\n\r\nlast\r\n"


def test_one_connection_takes_many(offers: tuple[str, ...]) -> None:
    with scripted(offers=offers) as server:
        smtp = plain(server.port)
        assert send(smtp, MESSAGE, MESSAGE, MESSAGE) == [True, True, True]
        smtp.close()
        assert server.messages == [MESSAGE.data] * 3
        until(lambda: server.commands == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"], "goodbye")
        assert server.connections == 1


def test_what_the_fence_stops_never_reaches_data() -> None:
    with scripted() as server, plain(server.port).connect() as [connection]:
        assert alone(connection.send(MESSAGE), lambda: False) is False
        assert alone(connection.send(MESSAGE), yes) is True
        assert server.commands == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


def test_what_the_fence_stops_never_reaches_a_server_that_takes_commands_at_once() -> None:
    with scripted(offers=PIPELINING) as server, plain(server.port).connect() as [connection]:
        assert alone(connection.send(MESSAGE), lambda: False) is False
        assert server.commands == ["EHLO"]
        assert alone(connection.send(MESSAGE), yes) is True
        assert server.messages == [MESSAGE.data]


@pytest.mark.parametrize(("extensions", "before"), [((), ["EHLO", "MAIL", "RCPT"]), (PIPELINING, ["EHLO"])])
def test_the_fence_is_asked_before_data_is_said(extensions: tuple[str, ...], before: list[str]) -> None:
    heard: list[list[str]] = []
    with scripted(offers=extensions) as server, plain(server.port).connect() as [connection]:

        def fence() -> bool:
            heard.append(server.commands)
            return True

        alone(connection.send(MESSAGE), fence)
    assert heard == [before]


def test_a_fence_that_fails_leaves_nothing_behind(offers: tuple[str, ...]) -> None:
    with scripted(offers=offers) as server:
        smtp = plain(server.port)

        def fence() -> bool:
            raise DatabaseError("the disk is full")

        with pytest.raises(DatabaseError), smtp.connect() as [connection]:
            alone(connection.send(MESSAGE), fence)
        assert send(smtp) == [True]
        assert server.messages == [MESSAGE.data]


@pytest.mark.parametrize(
    ("phase", "answer", "error"),
    [
        *(
            (phase, answer, error)
            for phase in ("RCPT", "DATA", "dot")
            for answer, error in (("451 later", TransientMailError), ("550 never", PermanentMailError))
        ),
        # What is said of the sender, or wants a login, is about us, whoever the message is for.
        ("MAIL", "451 too much mail", SenderRefusedError),
        ("MAIL", "550 over the quota", SenderRefusedError),
        ("MAIL", "552 5.2.2 over the quota", SenderRefusedError),
        *((phase, "530 log in first", SenderRefusedError) for phase in ("MAIL", "RCPT", "DATA", "dot")),
        ("RCPT", "535 who are you", SenderRefusedError),
        # But not what MAIL says of the message itself.
        ("MAIL", "552 message size exceeds fixed maximum message size", PermanentMailError),
        ("MAIL", "552 5.3.4 too large", PermanentMailError),
        ("MAIL", "553 5.6.7 that address needs SMTPUTF8", PermanentMailError),
    ],
)
@pytest.mark.parametrize("trickling", [False, True], ids=["", "octet by octet"])
def test_a_refusal_says_the_phase_and_the_code(
    phase: str, answer: str, error: type[MailError], trickling: bool, offers: tuple[str, ...]
) -> None:
    script = scripted(offers=offers, trickling=trickling, **{phase: answer})
    with script as server, plain(server.port).connect() as [connection]:
        with pytest.raises(MailError) as caught:
            alone(connection.send(MESSAGE), yes)
        assert type(caught.value) is error
        assert caught.value.code == int(answer[:3])
        assert caught.value.enhanced == (answer.split()[1] if "." in answer else "")
        assert str(caught.value) == f"{'end of DATA' if phase == 'dot' else phase}: {answer}"
        assert server.taken.total() == 0
        server.script = {}
        if phase == "MAIL" and offers:
            # It takes a recipient without a sender: a lone dot would send them an empty message.
            assert not connection.usable
            assert server.messages == []
            return
        assert alone(connection.send(MESSAGE), yes) is True, "the connection is good for the next"
        assert server.messages[-1] == MESSAGE.data
        assert server.connections == 1


def test_no_recipient_and_data_refused_too() -> None:
    script = {"RCPT": "550 5.1.1 no such user", "DATA": "503 5.5.1 no valid recipients"}
    with scripted(offers=PIPELINING, **script) as server, plain(server.port).connect() as [connection]:
        with pytest.raises(PermanentMailError, match=r"^RCPT: 550 5\.1\.1 no such user$") as caught:
            alone(connection.send(MESSAGE), yes)
        assert (caught.value.code, caught.value.enhanced, caught.value.dead_address) == (550, "5.1.1", True)
        server.script = {}
        assert alone(connection.send(MESSAGE), yes) is True
        assert server.commands[-7:] == ["MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA"]


def test_no_recipient_and_a_server_that_wants_the_message_nevertheless() -> None:
    script = scripted(offers=PIPELINING, RCPT=["550 no such user", "250 fine"], dot=["554 no recipients", "250 taken"])
    with script as server, plain(server.port).connect() as [connection]:
        with pytest.raises(PermanentMailError, match=r"^RCPT: 550 no such user$"):
            alone(connection.send(MESSAGE), yes)
        assert alone(connection.send(MESSAGE), yes) is True
        # A lone dot (RFC 2920 3.1).
        assert server.messages == [b"", MESSAGE.data]


def test_a_refusal_stands_though_the_connection_is_lost_after_it() -> None:
    script = scripted(offers=PIPELINING, RCPT=f"550 no such user{DROP}")
    with script as server, plain(server.port).connect() as [connection]:
        with pytest.raises(PermanentMailError, match=r"^RCPT: 550 no such user$") as caught:
            alone(connection.send(MESSAGE), yes)
        assert caught.value.dead_address


@pytest.mark.parametrize(
    ("phase", "answer", "dead"),
    [
        ("RCPT", "550 5.1.1 no", True),
        ("RCPT", "550 no such user here", True),
        ("RCPT", "550 5.7.1 no such user", False),
        ("RCPT", "550 rejected", False),
        ("RCPT", "552 5.2.2 full", False),
        ("DATA", "550 5.1.1 no", False),
        ("dot", "550 5.1.1 no", False),
    ],
)
def test_which_refusals_say_that_an_address_is_dead(
    phase: str, answer: str, dead: bool, offers: tuple[str, ...]
) -> None:
    with scripted(offers=offers, **{phase: answer}) as server, pytest.raises(PermanentMailError) as caught:
        send(plain(server.port))
    assert caught.value.dead_address is dead


@pytest.mark.parametrize(
    ("phase", "how"), [("MAIL", DROP), ("RCPT", DROP), ("DATA", DROP), ("MAIL", HANG), ("DATA", HANG)]
)
def test_a_connection_lost_before_data_is_no_doubt(phase: str, how: str, offers: tuple[str, ...]) -> None:
    with scripted(offers=offers, **{phase: how}) as server, plain(server.port).connect() as [connection]:
        if how == HANG:
            # Short for that phase alone: what is answered may take its time.
            connection.line.timeouts = Timeouts(command=0.3) if phase == "MAIL" else Timeouts(data=0.3)
        with pytest.raises(TransientMailError, match=rf"^lost the connection at {phase}: ") as caught:
            alone(connection.send(MESSAGE), yes)
        assert caught.value.code == 0
        assert server.messages == []
        with pytest.raises(TransientMailError):
            alone(connection.send(MESSAGE), yes)


@pytest.mark.parametrize("answer", [DROP, HANG, "what?", "354 more", b"250", b"25", b"25" + DROP.encode()])
def test_after_the_final_dot_nobody_knows(answer: str | bytes, offers: tuple[str, ...]) -> None:
    script = scripted(offers=offers, dot=answer)
    with script as server:
        smtp = plain(server.port, final_timeout=0.2)
        with smtp.connect() as [connection]:
            with pytest.raises(UnknownMailError):
                alone(connection.send(MESSAGE), yes)
            assert not connection.usable
        until(lambda: server.messages == [MESSAGE.data], "the message")
        # What comes next is not read as the word on the one before.
        with pytest.raises(UnknownMailError):
            send(smtp)
        assert server.connections == 2


def test_a_message_that_did_not_go_whole_is_no_doubt(offers: tuple[str, ...]) -> None:
    # More than the system keeps for a server that does not read.
    message = MESSAGE._replace(data=b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 400_000)
    for how, why in ((HANG, "no answer in time"), (DROP, "")):
        script = scripted(offers=offers, DATA=f"354 go on{how}")
        with script as server, plain(server.port).connect() as [connection]:
            connection.line.timeouts = Timeouts(block=0.3)
            with pytest.raises(TransientMailError, match=f"^lost the connection while sending the message: {why}"):
                alone(connection.send(message), yes)
            assert server.messages == []


@pytest.mark.parametrize("then_closes", [False, True])
def test_a_refusal_in_the_middle_of_a_message_is_heard(then_closes: bool) -> None:
    message = MESSAGE._replace(data=(b"y" * 70 + b"\r\n") * 400_000)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                lines = connection.makefile("rb")
                for answer in (b"220 here", b"250 fine", b"250 fine", b"250 fine", b"354 go on"):
                    connection.sendall(answer + b"\r\n")
                    lines.readline()
                connection.sendall(b"552 5.3.4 too much\r\n")
                if not then_closes:
                    over.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        with plain(listener.getsockname()[1]).connect() as [connection]:
            connection.line.timeouts = Timeouts(block=20 if then_closes else 3)
            with pytest.raises(PermanentMailError, match=r"^DATA: 552 5\.3\.4 too much$"):
                alone(connection.send(message), yes)
        over.set()
        thread.join(20)


def test_each_phase_has_its_time(offers: tuple[str, ...]) -> None:
    script = scripted(offers=offers, dot=f"{SLOWLY}250 taken")
    with script as server, plain(server.port).connect() as [connection]:
        # The word on a whole message may take longer than a step.
        connection.line.timeouts = Timeouts(block=0.1)
        assert alone(connection.send(MESSAGE), yes) is True
        server.script = {"MAIL": f"{SLOWLY}250 fine"}
        connection.line.timeouts = Timeouts(command=0.1)
        with pytest.raises(TransientMailError, match=r"^lost the connection at MAIL: no answer in time$"):
            alone(connection.send(MESSAGE), yes)


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [({"hello": "554 not today"}, 554, "554 not today"), ({"hello": "421 busy"}, 421, "421 busy")],
)
def test_a_server_that_turns_us_away(script: dict[str, str], code: int, said: str) -> None:
    with scripted(**script) as server, pytest.raises(TransientMailError) as caught:
        send(plain(server.port))
    assert caught.value.code == code
    assert str(caught.value).startswith(f"SMTP 127.0.0.1:{server.port}: {said}")


@pytest.mark.parametrize("how", [DROP, HANG])
def test_a_server_that_never_greets(how: str) -> None:
    with scripted(hello=how) as server, pytest.raises(TransientMailError, match=f"^SMTP 127.0.0.1:{server.port}: "):
        send(plain(server.port, timeout=0.2))


def test_no_server_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransientMailError, match=f"^SMTP 127.0.0.1:{port}: Connection refused$"):
        send(plain(port))
    with pytest.raises(MailError, match="Connection refused") as caught:
        plain(port).check()
    assert type(caught.value) is MailError


GARBAGE = (
    b"hello\r\n",
    b"250_\r\n",
    b"\x00\xff\r\n",
    b"250-" + b"x" * 100_000,
    b"250-more\r\n" * 10_000,
    b"150 so far\r\n",
)


@pytest.mark.parametrize("said", GARBAGE, ids=["words", "250_", "octets", "overlong", "endless", "150"])
@pytest.mark.parametrize("phase", ["hello", "EHLO", "MAIL", "RCPT", "DATA", "dot"])
def test_garbage_is_never_taken_for_an_answer(phase: str, said: bytes, offers: tuple[str, ...]) -> None:
    expected = UnknownMailError if phase == "dot" else TransientMailError
    script = {phase: said if phase != "EHLO" else [said, f"250-here\r\n250 {' '.join(offers) or 'HELP'}"]}
    with scripted(offers=offers, **script) as server, pytest.raises(MailError) as caught:
        send(plain(server.port))
    assert type(caught.value) is expected
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert (server.taken.total(), len(server.messages)) == (0, phase == "dot")


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_says_more_than_it_is_asked_gets_no_message(phase: str, offers: tuple[str, ...]) -> None:
    usual = b"354 go on" if phase == "DATA" else b"250 fine"
    with scripted(offers=offers, **{phase: usual + b"\r\n250 taken\r\n"}) as server:
        with pytest.raises(TransientMailError):
            send(plain(server.port))
        assert server.messages == []


def test_after_more_than_the_word_on_a_message_another_connection_is_used(offers: tuple[str, ...]) -> None:
    with scripted(offers=offers, dot=b"250 taken\r\n250 and again\r\n") as server:
        smtp = plain(server.port)
        assert send(smtp) == [True]
        assert send(smtp) == [True]
        assert (server.connections, server.messages) == (2, [MESSAGE.data] * 2)


def test_what_cannot_go_to_this_server_fails_before_the_fence(offers: tuple[str, ...]) -> None:
    fences: list[str] = []

    def fence() -> bool:
        fences.append("asked")
        return True

    with scripted(offers=[*offers, "SIZE 40"]) as server, plain(server.port).connect() as [connection]:
        for message, why in (
            (MESSAGE, "the message has 51 octets, and the server takes at most 40"),
            (MESSAGE._replace(recipient="jürgen@example.org"), "SMTPUTF8"),
            (MESSAGE._replace(recipient="ada@example.org>\r\nRCPT TO:<eve@example.org"), "none that a mail server"),
            (MESSAGE._replace(data="Grüße\r\n".encode()), "7 bits"),
        ):
            with pytest.raises(PermanentMailError, match=why):
                alone(
                    connection.send(message._replace(data=message.data[: 40 if message is not MESSAGE else None])),
                    fence,
                )
        assert (fences, server.commands) == ([], ["EHLO"])
        assert alone(connection.send(MESSAGE._replace(data=b"short\r\n")), fence) is True
        assert "mail FROM:<events@example.org> SIZE=7".lower() in [line.lower() for line in server.heard]


def test_an_address_beyond_ascii_to_a_server_that_takes_it() -> None:
    with real_server(enable_SMTPUTF8=True) as (desk, port):
        assert send(plain(port), MESSAGE._replace(recipient="jürgen@bücher.example")) == [True]
    assert desk.taken[0].rcpt_tos == ["jürgen@xn--bcher-kva.example"]
    assert desk.taken[0].smtp_utf8


def test_how_long_one_message_may_take() -> None:
    # The commands on their way, MAIL, RCPT, DATA, the message, and the word on it.
    assert transport("smtp://127.0.0.1:1", timeout=60).longest_seconds == 5 * 60 + 600
    assert plain(1, timeout=5, final_timeout=7).longest_seconds == 5 * 5 + 7
    # RFC 5321 4.5.3.2 bounds a setting that is longer.
    assert transport("smtp://127.0.0.1:1", timeout=900).longest_seconds == 3 * 300 + 120 + 180 + 600
