"""Every error the service raises on purpose.

    EventsError                     exit 1
    ├── UsageError                  exit 2: wrong words on the command line
    ├── SettingsError               a setting is misspelt or malformed
    ├── InputError                  something we were given cannot be used
    │   ├── FileError               a whole file: missing, too large, not what its name says
    │   ├── ProgrammeFileError      a programme file: says file, table and field
    │   ├── CadenceFileError        a cadence file: says file, step and field
    │   ├── SurveyFileError         a survey file: says file, question and field
    │   ├── SurveyAnswerError       answers to a survey: says each question and why
    │   ├── EventFileError          an event file: says file and field
    │   └── LocalTimeError          a wall-clock time that its zone does not have
    ├── NotFoundError               nothing of that name or number
    ├── ConflictError               what was asked does not fit the present state
    ├── RefusedError                exit 3: the programme's rules refuse it; carries the violations
    ├── DatabaseError               the database cannot be used as it is
    ├── BrokerError                 the message broker cannot be reached
    ├── MailboxError                the mailbox of incoming mail cannot be read
    └── MailError                   the mail server did not take a message
        ├── TransientMailError      4xx, or the connection broke before DATA: worth another try
        │   └── SenderRefusedError  no mail from us, to whomever: another try for all of it
        ├── PermanentMailError      5xx: trying again cannot help
        └── UnknownMailError        the connection broke after DATA: nobody knows

A message is one line: what is wrong, where, and what to do. `main` prints it on stderr and exits with `exit_code`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from events_service.domain.rules import Violation


class EventsError(Exception):
    """The root of the tree. `str()` of it is the line a user reads."""

    exit_code = 1


class UsageError(EventsError):
    """The command was worded wrongly."""

    exit_code = 2


class SettingsError(EventsError):
    """A setting is misspelt or has a value that cannot be used."""


class InputError(EventsError):
    """Something given to the service cannot be used."""


class FileError(InputError):
    """A file cannot be used as a whole: missing, too large, or not what its name says.

    `path` is the file as the user named it, `why` one clause that says what to do.
    """

    def __init__(self, path: object, why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"{path}: {why}")


class FieldError(InputError):
    """One field of a structured file is wrong. `file`, `table` and `field` say where; `why` says what to do."""

    def __init__(self, file: object, table: str, field: str, why: str) -> None:
        self.file, self.table, self.field, self.why = str(file), table, field, why
        where = f"[{table}] {field}" if table and field else (f"[{table}]" if table else field)
        super().__init__(f"{file}: {where}: {why}" if where else f"{file}: {why}")


class ProgrammeFileError(FieldError):
    """A programme file is faulty."""


class CadenceFileError(FieldError):
    """A cadence file is faulty."""


class SurveyFileError(FieldError):
    """A survey file is faulty."""


class SurveyAnswerError(InputError):
    """Answers to a survey cannot be taken. `fields` has why, by question; it is empty where nothing was answered."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        faults = "; ".join(f"{question}: {why}" for question, why in self.fields.items())
        super().__init__(faults or "no question is answered; answer at least one")


class EventFileError(FieldError):
    """An event file is faulty."""


class LocalTimeError(InputError):
    """A wall-clock time does not exist in its zone, because the clocks skip it."""


class NotFoundError(EventsError):
    """Nothing has that name or number."""

    def __init__(self, noun: str, ref: object, hint: str = "") -> None:
        self.noun, self.ref = noun, str(ref)
        super().__init__(f"no {noun} {str(ref)!r}" + (f"; {hint}" if hint else ""))


class ConflictError(EventsError):
    """What was asked does not fit the present state, such as approving a cancelled event."""


class RefusedError(EventsError):
    """The programme's rules refuse it. `violations` is the output, on stdout, as a table or as JSON."""

    exit_code = 3

    def __init__(self, message: str, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(message)


class DatabaseError(EventsError):
    """The database cannot be used as it is: not there, of another schema, locked, read-only or full."""


class BrokerError(EventsError):
    """The message broker cannot be reached, or does not take what we send."""


class MailboxError(EventsError):
    """The mailbox of incoming mail cannot be read: not there, not ours to read, or the connection broke."""


class MailError(EventsError):
    """The mail server did not take a message.

    `code` is the SMTP reply code, 0 where there was none; `enhanced` the status code beside it (RFC 3463), such as
    4.2.2, "" where there was none.
    """

    def __init__(self, message: str, code: int = 0, enhanced: str = "") -> None:
        self.code, self.enhanced = code, enhanced
        super().__init__(message)


class TransientMailError(MailError):
    """A 4xx reply, or a connection lost before DATA. Trying again later may help.

    `untried` where it was lost before the server had said a word on the message.
    """

    def __init__(self, message: str, code: int = 0, enhanced: str = "", *, untried: bool = False) -> None:
        self.untried = untried
        super().__init__(message, code, enhanced)


class NoTurnError(TransientMailError):
    """All connections that the server gives us are in use: others send over them."""


class SenderRefusedError(TransientMailError):
    """The server takes nothing from us for now, whoever it is for: a quota, or a login that it wants."""


class PermanentMailError(MailError):
    """A 5xx reply. Trying again cannot help. `dead_address` where it says that the recipient's address is no good."""

    def __init__(self, message: str, code: int = 0, enhanced: str = "", *, dead_address: bool = False) -> None:
        self.dead_address = dead_address
        super().__init__(message, code, enhanced)


class UnknownMailError(MailError):
    """The connection broke after DATA began, before the server's word: nobody can know whether it arrived."""
