from __future__ import annotations

import mailbox
from pathlib import Path

import pytest

from events_service.errors import MailError, TransientMailError
from events_service.mail.conversations import alone
from events_service.mail.maildir import Maildir
from events_service.mail.wire import Outgoing


def message(number: int, words: bytes = b"words") -> Outgoing:
    data = b"Message-ID: <%d@example.org>\r\n\r\n%b\r\n" % (number, words)
    return Outgoing("events@example.org", "ada@example.org", f"<{number}@example.org>", data)


@pytest.mark.parametrize("durable", [True, False])
def test_python_reads_what_was_delivered(tmp_path: Path, durable: bool) -> None:
    with Maildir(tmp_path / "mail", durable=durable).connect() as [connection]:
        assert [alone(connection.send(message(number)), lambda: True) for number in range(3)] == [True] * 3
    box = mailbox.Maildir(tmp_path / "mail", create=False)
    assert sorted(str(one["Message-ID"]) for one in box) == [f"<{number}@example.org>" for number in range(3)]
    assert {one.get_payload() for one in box} == {"words\n"}
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []


def test_the_same_message_again_is_one_file(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path / "mail")
    with maildir.connect() as [connection]:
        alone(connection.send(message(1, b"first")), lambda: True)
        alone(connection.send(message(1, b"again")), lambda: True)
    (file,) = (tmp_path / "mail" / "new").iterdir()
    assert file == maildir.file_of("<1@example.org>")
    assert file.read_bytes() == b"Message-ID: <1@example.org>\n\nagain\n"


def test_what_the_fence_stops_is_not_there(tmp_path: Path) -> None:
    with Maildir(tmp_path).connect() as [connection]:
        assert alone(connection.send(message(1)), lambda: False) is False
    assert list((tmp_path / "new").iterdir()) == list((tmp_path / "tmp").iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    maildir = Maildir(tmp_path / "file" / "mail")
    with pytest.raises(TransientMailError, match=r"cannot be made: Not a directory$"), maildir.connect():
        pass
    with pytest.raises(MailError, match="cannot be made") as caught:
        maildir.check()
    assert type(caught.value) is MailError


def test_a_folder_that_goes_away_meanwhile(tmp_path: Path) -> None:
    with Maildir(tmp_path / "mail").connect() as [connection]:
        (tmp_path / "mail" / "new").rmdir()
        with pytest.raises(TransientMailError, match=r"No such file or directory$"):
            alone(connection.send(message(1)), lambda: True)
        assert list((tmp_path / "mail" / "tmp").iterdir()) == []


def test_a_check_says_where(tmp_path: Path) -> None:
    assert Maildir(tmp_path / "mail").check() == f"maildir {tmp_path / 'mail'}"
    assert (tmp_path / "mail" / "new").is_dir()
