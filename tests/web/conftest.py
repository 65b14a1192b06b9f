"""A real server on a real database, its time turned by hand, and the same actors everywhere."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import uvicorn
from litestar.types import ASGIApp
from tests.conftest import expect_all

from trueup import house
from trueup.authority.register import IssueKey, RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.settings import Settings
from trueup.web.app import Routed, create_app, routed
from trueup.web.server import BoundedProtocol

PLANNER, DEPUTY, OTHER, ADMINISTRATOR = "Integration Owner", "Order Agent", "Auditor", "Administrator"


class Reply(msgspec.Struct):
    """What came back; body: parsed where it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Talks to the server as one of the actors; a write gets a fresh key unless it names one."""

    def __init__(self, session: aiohttp.ClientSession, address: str, tokens: dict[str, str]) -> None:
        self._session = session
        self.address = address
        self.tokens = tokens

    async def get(self, path: str, by: str | None = PLANNER, **headers: str) -> Reply:
        return await self.send("GET", path, by=by, **headers)

    async def post(
        self, path: str, body: Any, by: str | None = PLANNER, key: str | None = "fresh", **headers: str
    ) -> Reply:
        return await self.send("POST", path, body, by, key, **headers)

    async def send(
        self, method: str, path: str, body: Any = None, by: str | None = PLANNER, key: str | None = None, **headers: str
    ) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if by is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens[by]}")
        if key is not None:
            sent["Idempotency-Key"] = uuid.uuid4().hex if key == "fresh" else key
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self._session.request(
            method, self.address + path, data=data, headers=sent, allow_redirects=False
        ) as answer:
            text = await answer.read()
            one = answer.content_type in ("application/json", "application/problem+json")
            parsed = msgspec.json.decode(text) if one and text else text
            return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, parsed)


Serve = Callable[..., AbstractAsyncContextManager[Client]]


@cache
def shipped() -> Routed:
    """Return what answers the API's addresses in the house as shipped; it is told which database with each request."""
    return routed(house.build())


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on a free port as `trueup.web.server` does, in this event loop."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="on", access_log=False, log_config=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[bound])
    assert not server.should_exit, "the application did not start"
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await _stop(server)
        bound.close()


async def _stop(server: uvicorn.Server) -> None:
    """Finish what was begun and close, as the server's own shutdown does, but for the tenths of seconds it sleeps."""
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    for listener in server.servers:
        await listener.wait_closed()
    await server.lifespan.shutdown()


@pytest.fixture
async def tokens(door: Door) -> dict[str, str]:
    """Four actors, each with an API key: role -> its secret."""
    roles = (PLANNER, DEPUTY, OTHER, ADMINISTRATOR)
    actors = [(f"actor {role}", RegisterActor(name=role, kind="service", roles=(role,))) for role in roles]
    registered = await door.submit_all(SYSTEM, actors)
    expect_all(registered)
    made = {role: "tu_" + uuid.uuid4().hex for role in roles}
    keys = []
    for role, outcome in zip(roles, registered, strict=True):
        digest = hashlib.sha256(made[role].encode()).hexdigest()
        keys.append((f"key {role}", IssueKey(actor=outcome.result["actor"], digest=digest, label="test")))
    expect_all(await door.submit_all(SYSTEM, keys))
    return made


@pytest.fixture
def serve(url: str, clock: TurnedClock, tokens: dict[str, str]) -> Serve:
    """Serve this test's database: `async with serve() as client`."""

    @asynccontextmanager
    async def serving(routes: Routed | None = None, **settings: Any) -> AsyncIterator[Client]:
        app = create_app(Settings(home=Path("unused"), **settings), url, routes or shipped(), clock=clock)
        async with listening(app) as address, aiohttp.ClientSession() as session:
            yield Client(session, address, tokens)

    return serving


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[Client]:
    """A client of a server with the house as shipped."""
    async with serve() as opened:
        yield opened
