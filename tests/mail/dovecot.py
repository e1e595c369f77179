"""A real IMAP server of our own: Dovecot, with one user and an empty mailbox, over TLS on loopback."""

from __future__ import annotations

import getpass
import grp
import imaplib
import os
import pwd
import shutil
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.private import PrivateServer, folder
from tests.mail.servers import certificate

USER, PASSWORD = "desk", "p@ss/wörd"
"""A password that has to be written with care in a URL, and that is not ASCII."""
SETTINGS = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap
default_internal_user = {us}
default_internal_group = {group}
default_login_user = {us}
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{certificate}
first_valid_uid = {uid}
mail_location = maildir:{folder}/mail
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
"""


class Dovecot(PrivateServer):
    """The server. `url` is that of its INBOX, as EVENTS_IMAP_URL has it."""

    def __init__(self, folder: Path, program: str) -> None:
        super().__init__(folder, "dovecot")
        self._program = program
        # As root it serves nobody, and nobody's mail is root's.
        user = pwd.getpwnam("nobody" if os.getuid() == 0 else getpass.getuser())
        (folder / "mail").mkdir()
        if os.getuid() == 0:
            folder.chmod(0o755)
            os.chown(folder / "mail", user.pw_uid, user.pw_gid)
        (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        (folder / "dovecot.conf").write_text(
            SETTINGS.format(
                folder=folder,
                port=self.port,
                us=user.pw_name,
                group=grp.getgrgid(user.pw_gid).gr_name,
                uid=user.pw_uid,
                gid=user.pw_gid,
                certificate=certificate("localhost"),
            )
        )

    @property
    def url(self) -> str:
        return f"imaps://{USER}:p%40ss%2Fw%C3%B6rd@localhost:{self.port}/INBOX"

    def command(self) -> Sequence[str | Path]:
        return [self._program, "-F", "-c", self.folder / "dovecot.conf"]

    def answers(self) -> None:
        with self.client():
            pass

    @contextmanager
    def client(self) -> Iterator[imaplib.IMAP4_SSL]:
        """A session of a mail program, in its INBOX."""
        trusting = ssl.create_default_context(cafile=str(certificate("localhost")))
        with imaplib.IMAP4_SSL("localhost", self.port, ssl_context=trusting, timeout=10) as client:
            client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
            client.select("INBOX")
            yield client

    def put(self, *messages: bytes) -> None:
        """Have mail come in."""
        with self.client() as client:
            for message in messages:
                assert client.append("INBOX", "", "", message)[0] == "OK"  # type: ignore[arg-type]

    def flags(self) -> list[str]:
        """The flags of each message, in order, but \\Recent."""
        with self.client() as client:
            _status, found = client.fetch("1:*", "(FLAGS)")
        flags = [imaplib.ParseFlags(line) for line in found if isinstance(line, bytes)]
        return [" ".join(sorted(flag.decode() for flag in of_one if flag != b"\\Recent")) for of_one in flags]

    def empty(self) -> None:
        """Take all mail away."""
        with self.client() as client:
            _status, found = client.search(None, "ALL")
            if found[0]:
                client.store("1:*", "+FLAGS", r"(\Deleted)")
                client.expunge()


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """It, running; the test is skipped where it is not installed."""
    program = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("Dovecot is not installed: apt-get install dovecot-imapd")
    with folder() as place:
        server = Dovecot(place, program)
        try:
            server.start()
            yield server
        finally:
            server.kill()
