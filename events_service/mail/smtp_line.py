"""One open SMTP connection: many messages, one recipient each, and never more than one in doubt.

Where the server offers PIPELINING (RFC 2920), MAIL, RCPT and DATA go in one write and their three replies are read
together; the fence comes before them. Without it the fence comes between RCPT and DATA. The next message's commands are
not sent before the word on the last one was read.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from events_service.domain.delivery import dead_address
from events_service.errors import (
    MailError,
    PermanentMailError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.mail.conversations import alone
from events_service.mail.envelope import after_data, commands
from events_service.mail.smtp_replies import Reply, Talk
from events_service.mail.wire import FENCE, Conversation, Outgoing, Steps

CLOSING = 421
SHARE = 10
"""After so many messages over one connection, 421 says that it had its share; before, that the server is busy."""
LOST = (OSError, smtplib.SMTPException)
_LOGIN_WANTED = (530, 534, 535, 538)
"""RFC 4954 section 6."""
_FAREWELL_SECONDS = 1.0
_ASK_SECONDS = 5.0
_EXPECTED = {"MAIL": 2, "RCPT": 2, "DATA": 3}
_ABOUT_THE_MESSAGE = ("5.3.4", "5.6.7")
"""Too large, or its recipient needs SMTPUTF8: answers to what MAIL says of the message (RFC 1870, RFC 6531)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds each phase may take (RFC 5321 4.5.3.2): what the standard asks for, or the setting if shorter.

    | phase     | seconds | covers                                                                        |
    | --------- | ------- | ----------------------------------------------------------------------------- |
    | `command` | 300     | connecting, the greeting, EHLO, STARTTLS, AUTH; MAIL; RCPT; RSET              |
    | `data`    | 120     | the word on DATA                                                              |
    | `block`   | 180     | sending the message                                                           |
    | `dot`     | 600     | the word on the whole message: who asks again too soon may send it twice      |
    """

    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    dot: float = 600.0

    @classmethod
    def within(cls, most: float, dot: float) -> Timeouts:
        """Each bounded by `most` seconds, but for the word on a whole message."""
        longest = cls()
        return cls(min(longest.command, most), min(longest.data, most), min(longest.block, most), dot)

    @property
    def longest_seconds(self) -> float:
        """From the fence to the last word: the commands on their way, MAIL, RCPT, DATA, the message, the word on it."""
        return 3 * self.command + self.data + self.block + self.dot


class Line:
    """A connection that is greeted, secured and logged in. `usable` while the next message can go over it.

    `taken` counts the messages that the server took; `closing` is the 421 that it answered.
    """

    def __init__(self, talk: Talk, offered: Mapping[str, str], timeouts: Timeouts) -> None:
        self._talk, self._offered, self.timeouts = talk, offered, timeouts
        self._pipelining = "pipelining" in offered
        self.usable, self.taken = True, 0
        self.closing: Reply | None = None

    def send(self, message: Outgoing) -> Conversation:
        """Send one message. See `wire.Conversation`."""
        if not self.usable:
            raise TransientMailError("the connection was lost before")
        envelope = commands(message, self._offered)
        body = after_data(message.data)
        if not (yield from (self._ask_at_once if self._pipelining else self._ask_in_turn)(*envelope)):
            return False
        yield from self._hand_over(body)
        self.taken += 1
        return True

    def alive(self, *, ask: bool) -> bool:
        """Whether the server is still there and has said nothing unasked; `ask` it to begin anew, to be sure."""
        if self.usable and not self._talk.quiet():
            # It closed, or says that it is about to, as after some time in which nothing was sent.
            self.usable = False
        elif self.usable and ask:
            alone(self._reset(min(_ASK_SECONDS, self.timeouts.command)))
        if not self.usable:
            self.drop()
        return self.usable

    def close(self) -> None:
        """Say goodbye if there is somebody to hear it."""
        if self.usable:
            self.usable = False
            with suppress(*LOST):
                seconds = min(_FAREWELL_SECONDS, self.timeouts.command)
                alone(self._talk.send(b"QUIT\r\n", seconds))
                alone(self._talk.read(seconds))
        self._talk.sock.close()

    def _ask_at_once(self, mail: bytes, rcpt: bytes) -> Conversation:
        if not (yield FENCE):
            return False
        times = self.timeouts
        answers: dict[str, Reply] = {}
        self.usable = False
        lost: BaseException | None = None
        try:
            yield from self._talk.send(mail + rcpt + b"DATA\r\n", times.command)
            for phase, seconds in (("MAIL", times.command), ("RCPT", times.command), ("DATA", times.data)):
                answers[phase] = yield from self._talk.read(seconds)
        except LOST as error:
            lost = error
        yield from self._go_by(answers, lost)
        return True

    def _ask_in_turn(self, mail: bytes, rcpt: bytes) -> Conversation:
        times = self.timeouts
        answers: dict[str, Reply] = {}
        self.usable = False
        for phase, command, seconds in (
            ("MAIL", mail, times.command),
            ("RCPT", rcpt, times.command),
            ("DATA", b"DATA\r\n", times.data),
        ):
            if phase == "DATA" and not (yield FENCE):
                yield from self._reset(times.command)
                return False
            lost: BaseException | None = None
            try:
                yield from self._talk.send(command, seconds)
                answers[phase] = yield from self._talk.read(seconds)
            except LOST as error:
                lost = error
            yield from self._go_by(answers, lost)
        return True

    def _go_by(self, answers: Mapping[str, Reply], lost: BaseException | None) -> Steps[None]:
        """Return if the server wants to hear more, else leave the connection ready for the next message, and raise.

        The first refusal is the outcome, whatever became of the commands after it.
        """
        for phase, answer in answers.items():
            if answer.kind == _EXPECTED[phase]:
                continue
            if answer.kind in (4, 5):
                self.closing = next((other for other in answers.values() if other.code == CLOSING), None)
                if lost is None and self.closing is None:
                    yield from self._begin_anew(answers)
                if not self.usable:
                    self.drop()
                raise self._refusal(phase, answer)
            self.drop()
            raise TransientMailError(f"{phase}: the server is out of step: {answer.said}")
        if lost is not None:
            self.drop()
            where = next((phase for phase in _EXPECTED if phase not in answers), "DATA")
            raise TransientMailError(f"lost the connection at {where}: {why(lost)}", untried=where == "MAIL") from lost
        if self._talk.more:
            # A word that comes before the message is none on it.
            self.drop()
            raise TransientMailError("the server said more than it was asked before the message was sent")

    def _begin_anew(self, answers: Mapping[str, Reply]) -> Steps[None]:
        """After a refusal: end what DATA may have begun with nothing in it (RFC 2920 3.1), and forget the rest."""
        word = answers["DATA"].kind if "DATA" in answers else 5
        if word == 3 and answers["RCPT"].kind == 2:
            # A lone dot would send an empty message.
            self.drop()
        elif word == 3:
            with suppress(*LOST):
                yield from self._talk.send(b".\r\n", self.timeouts.block)
                yield from self._talk.read(self.timeouts.command)
                self.usable = not self._talk.more
        elif word in (4, 5):
            yield from self._reset(self.timeouts.command)

    def _reset(self, seconds: float) -> Steps[None]:
        self.usable = False
        with suppress(*LOST):
            yield from self._talk.send(b"RSET\r\n", seconds)
            answer = yield from self._talk.read(seconds)
            self.usable = answer.kind == 2 and not self._talk.more

    def _hand_over(self, body: bytes) -> Steps[None]:
        try:
            yield from self._talk.send(body, self.timeouts.block)
        except LOST as error:
            # The final dot was not sent, so the server has nothing that it could deliver. It may have said why.
            answer = self._unasked()
            self.drop()
            if answer is not None and answer.kind in (4, 5):
                self.closing = answer if answer.code == CLOSING else None
                raise self._refusal("DATA", answer) from error
            raise TransientMailError(f"lost the connection while sending the message: {why(error)}") from error
        try:
            answer = yield from self._talk.read(self.timeouts.dot)
        except LOST as error:
            self.drop()
            raise UnknownMailError(f"lost the connection before the server's word: {why(error)}") from error
        if answer.kind not in (2, 4, 5):
            self.drop()
            raise UnknownMailError(f"the server's word cannot be understood: {answer.said}")
        self.closing = answer if answer.code == CLOSING else None
        self.usable = self.closing is None and not self._talk.more
        if answer.kind != 2:
            if not self.usable:
                self.drop()
            raise self._refusal("end of DATA", answer)

    def _refusal(self, phase: str, answer: Reply) -> MailError:
        """What a 4xx or 5xx means.

        At MAIL it is about us, but for what MAIL says of the message, and where another connection will do.
        """
        code, enhanced, said = answer.code, answer.enhanced, f"{phase}: {answer.said}"
        about_us = phase == "MAIL" and not _about_the_message(answer)
        if code in _LOGIN_WANTED or (about_us and not self.had_its_share(answer)):
            return SenderRefusedError(said, code, enhanced)
        if answer.kind == 4:
            return TransientMailError(said, code, enhanced)
        dead = phase == "RCPT" and dead_address(enhanced, answer.said)
        return PermanentMailError(said, code, enhanced, dead_address=dead)

    def had_its_share(self, answer: Reply) -> bool:
        """Whether an answer says that this connection is over and another will do, rather than that we send too much.

        The latter has an enhanced code of its own, 4.7.x (RFC 3463 3.8).
        """
        return answer.code == CLOSING and self.taken >= SHARE and not answer.enhanced.startswith("4.7.")

    def _unasked(self) -> Reply | None:
        """A reply that came though nothing, or something else, was asked."""
        with suppress(*LOST):
            if not self._talk.quiet():
                return alone(self._talk.read(0.0))
        return None

    def drop(self) -> None:
        """Close without a word."""
        self.usable = False
        with suppress(OSError):
            self._talk.sock.close()


def _about_the_message(answer: Reply) -> bool:
    """RFC 1870 6.1 and 6.2: 552 for too large, 452 for too large just now."""
    if answer.enhanced in _ABOUT_THE_MESSAGE:
        return True
    return answer.code == 552 and not answer.enhanced and b"size" in answer.text.lower()


def why(error: BaseException) -> str:
    """An error of the system or of the conversation in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
