"""Serve: one or several processes on one address, each with a door of its own; they stop when their work is done."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
import uvicorn
import uvloop
from litestar.types import ASGIApp, ControllerRouterHandler
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trueup.core.batch import House
from trueup.core.errors import SettingsError
from trueup.core.memory import collect_seldom
from trueup.core.settings import Settings
from trueup.web.app import Beside, ErrorPage, create_app, routed

HEAD_BYTES_MAX = 65_536
BACKLOG = 2048
STOP_SECONDS_MAX = 30
_RESTARTS_MAX = 5

log = structlog.get_logger("trueup.web")


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools, with a limit that httptools lacks: the head of a request has at most 64 kB."""

    _head_bytes = 0
    _in_body = False

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; one that sends an endless head is cut off."""
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_body and self._head_bytes > HEAD_BYTES_MAX:
            self.send_400_response("The head of the request has more than 64 kB.")

    def on_headers_complete(self) -> None:
        """Start counting anew."""
        self._in_body = True
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._in_body = False
        super().on_message_complete()


Ready = Callable[[str], None]


class _Server(uvicorn.Server):
    """A server that tells when it is ready, and that ends by returning: the caller may have things to put away."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def serve(
    settings: Settings,
    url: str,
    house: House,
    processes: int = 1,
    *,
    pages: Sequence[ControllerRouterHandler] = (),
    on_ready: Ready | None = None,
    error_page: ErrorPage | None = None,
    beside: Sequence[Beside] = (),
) -> None:
    """Serve API and `pages` of the database at `url`, where the settings say; see `run`, which this calls."""

    def create() -> ASGIApp:
        return create_app(settings, url, routed(house, pages=pages, error_page=error_page), beside=beside)

    run(create, settings.host, settings.port, processes=processes, on_ready=on_ready)


def run(
    create: Callable[[], ASGIApp], host: str, port: int, *, processes: int = 1, on_ready: Ready | None = None
) -> None:
    """Serve an application until SIGTERM or SIGINT, then finish what was begun, within 30 seconds; blocks.

    create: makes the application, once in each process: `create_app` with its arguments bound. processes: more than
    one are forked, so call this before starting threads or an event loop. on_ready: called once with the address.
    Raises SettingsError when the address cannot be bound; exits with status 3 when the application does not start.
    """
    sockets = _bind(host, port, processes)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{sockets[0].getsockname()[1]}"

    def ready() -> None:
        if on_ready is not None:
            on_ready(address)

    if processes == 1:
        if not _run(create, sockets[0], ready):
            raise SystemExit(3)
        return
    _supervise(create, sockets, ready)


def _bind(host: str, port: int, processes: int) -> list[socket.socket]:
    """Bind one socket per process where the kernel spreads connections over them (Linux), else one for all."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    own = processes > 1 and hasattr(socket, "SO_REUSEPORT") and os.uname().sysname == "Linux"
    sockets: list[socket.socket] = []
    for _ in range(processes if own else 1):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if own:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind((host, sockets[0].getsockname()[1] if sockets else port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror}. Stop what listens there, or set TRUEUP_PORT."
            ) from error
        bound.set_inheritable(True)
        sockets.append(bound)
    return sockets * (1 if own else processes)


def _run(create: Callable[[], ASGIApp], bound: socket.socket, ready: Callable[[], None], parent: int = -1) -> bool:
    """Serve on one socket in this process; return whether the application started."""
    config = uvicorn.Config(
        create(),
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        log_config=None,
        # Only a proxy that is named there may say what the client's address and scheme are.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
    )
    server = _Server(config, ready)

    async def run() -> None:
        if parent >= 0:
            # The parent's end of this pipe closes when it dies, however it dies.
            asyncio.get_running_loop().add_reader(parent, setattr, server, "should_exit", True)
        await server.serve(sockets=[bound])

    collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return server.started


def _supervise(create: Callable[[], ASGIApp], sockets: list[socket.socket], ready: Callable[[], None]) -> None:
    """Fork one process per socket, start anew those that die, and stop all together."""
    alive, alive_here = os.pipe()
    told, told_here = os.pipe()
    children: dict[int, int] = {}
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in children:
            os.kill(pid, signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for place, bound in enumerate(sockets):
            children[_fork(create, bound, alive, alive_here, told_here)] = place
        for _ in sockets:
            os.read(told, 1)
        if not stopping:
            ready()
        restarts = 0
        while children:
            pid, status = os.wait()
            place = children.pop(pid)
            if not stopping and restarts < _RESTARTS_MAX:
                restarts += 1
                log.warning("server process died, starting another", pid=pid, status=status)
                time.sleep(0.2 * restarts)
                children[_fork(create, sockets[place], alive, alive_here, told_here)] = place
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for end in (alive, alive_here, told, told_here):
            os.close(end)


def _fork(create: Callable[[], ASGIApp], bound: socket.socket, alive: int, alive_here: int, told_here: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.close(alive_here)
    status = 3
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        status = 0 if _run(create, bound, lambda: _tell(told_here), alive) else 3
    finally:
        os._exit(status)


def _tell(told_here: int) -> None:
    os.write(told_here, b"1")
