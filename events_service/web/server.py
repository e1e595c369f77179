"""uvicorn, with the settings that this service needs."""

from __future__ import annotations

import logging
import os
import socket
import threading
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from events_service.errors import EventsError

_BACKLOG = 2048
_FIRST_INHERITED = 3


def bind(host: str, port: int) -> socket.socket:
    """A listening address of our own; port 0 takes any free one. EventsError, in one line, where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that name TCP; with it, a short answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise EventsError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()};"
            " stop what is there or choose another --port"
        ) from error
    except OverflowError:
        listener.close()
        raise EventsError(f"cannot listen on port {port}: a port is 0 to 65535") from None
    listener.setblocking(False)
    return listener


def inherited() -> socket.socket | None:
    """The listening socket that systemd hands over (sd_listen_fds(3)); None where there is none for this process.

    EventsError where there are several, or where it does not listen. What this process starts is not told of it.
    """
    told = {name: os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if told["LISTEN_PID"] != str(os.getpid()):
        return None
    if told["LISTEN_FDS"] != "1":
        raise EventsError(f"systemd hands over {told['LISTEN_FDS']} sockets, and one is served; see the .socket unit")
    try:
        listener = socket.socket(fileno=_FIRST_INHERITED)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise EventsError(f"what systemd hands over is no socket: {(error.strerror or str(error)).lower()}") from None
    if not listens:
        raise EventsError("the socket that systemd hands over does not listen; set Accept=no and ListenStream=")
    os.set_inheritable(_FIRST_INHERITED, False)
    listener.setblocking(False)
    return listener


def make_server(app: ASGIApp, host: str, port: int, *, forwarded_allow_ips: str = "127.0.0.1") -> Server:
    """A server that is bound already, so that a taken port is one clear line and not a traceback.

    A socket that systemd hands over goes before `host` and `port`. Run it with `run()`; stop it from another thread
    with `should_exit = True`. Only `forwarded_allow_ips` may say whom they forward for. Nothing logs requests: their
    paths hold tokens.
    """
    listener = inherited() or bind(host, port)
    config = uvicorn.Config(
        app,
        access_log=False,
        # What uvicorn has to say goes where the rest of this process's log goes.
        log_config=None,
        log_level="warning",
        proxy_headers=True,
        forwarded_allow_ips=forwarded_allow_ips,
        server_header=False,
        date_header=True,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        lifespan="on",
    )
    return Server(config, listener)


class Server(uvicorn.Server):
    """A uvicorn server with its socket. `url` says where it listens, `port` is the one it got: 0 for a path."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener
        self._stopped_before: threading.Event | None = None
        address = listener.getsockname()
        if isinstance(address, tuple):
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            self.port: int = address[1]
            self.url = f"http://{host}:{self.port}"
        else:
            self.port, self.url = 0, f"unix:{address}"

    def run(self, sockets: list[socket.socket] | None = None, stopped: threading.Event | None = None) -> None:
        """Serve until stopped. `stopped` is set where a signal came before uvicorn had begun to listen for signals."""
        self._stopped_before = stopped
        super().run(sockets or [self._listener])

    async def main_loop(self) -> None:
        """uvicorn's, which begins once it is uvicorn that signals reach."""
        if self._stopped_before is not None and self._stopped_before.is_set():
            self.should_exit = True
        await super().main_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told once it lets requests end; told again by Ctrl-C it cuts them off, which is no error to report."""
        if self.should_exit:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)
