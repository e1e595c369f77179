"""`events web` on a socket that systemd holds: the address answers whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.processes import EVENTS, PATIENCE, environment, until

AS_SYSTEMD = 'LISTEN_PID=$$ LISTEN_FDS=${FDS:-1} exec "$0" "$@"'


@contextmanager
def web(folder: Path, held: socket.socket, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`events web`, started as systemd starts it: the socket is its file descriptor 3."""
    with log.open("w") as file:
        process = subprocess.Popen(
            ["sh", "-c", AS_SYSTEMD, str(EVENTS), "web", "--port", "1"],
            cwd=folder,
            env=environment() | more,
            stdout=subprocess.DEVNULL,
            stderr=file,
            pass_fds=(3,),
            preexec_fn=lambda: os.dup2(held.fileno(), 3),  # noqa: PLW1509  (it takes no lock)
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def asked(held: socket.socket, path: str = "/healthz") -> bytes:
    """What is answered; it waits in the socket's queue until somebody takes it."""
    with closing(socket.socket(held.family, socket.SOCK_STREAM)) as caller:
        caller.settimeout(PATIENCE)
        caller.connect(held.getsockname())
        caller.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := caller.recv(65536):
            answer += piece
    return answer


def test_no_request_is_refused_while_it_is_restarted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        for number in range(2):
            log = tmp_path / f"{number}.log"
            with web(tmp_path, held, log) as process:
                until(lambda log=log: "serving" in log.read_text(), "it to serve", alive=process)
                assert f"serving http://127.0.0.1:{port};" in log.read_text()
                assert asked(held).endswith(b"ok\n")
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=PATIENCE) == 0
            # Nobody is there, and the address takes callers all the same.
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()


def test_a_socket_in_the_file_system_serves_as_well(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(tmp_path / "web.sock"))
        held.listen()
        with web(tmp_path, held, tmp_path / "log") as process:
            assert asked(held).endswith(b"ok\n")
            assert f"serving unix:{tmp_path}/web.sock;" in (tmp_path / "log").read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE) == 0


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as silent, socket.create_server(("127.0.0.1", 0)) as held:
        for given, count, why in ((silent, "1", "does not listen"), (held, "2", "hands over 2 sockets")):
            log = tmp_path / f"{count}.log"
            with web(tmp_path, given, log, FDS=count) as process:
                assert process.wait(timeout=PATIENCE) == 1
            [line] = log.read_text().splitlines()
            assert line.startswith("error: ") and why in line
