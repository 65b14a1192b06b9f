"""The web application of one process: API, console pages, health, metrics; it opens the door with itself.

What answers which address depends on the house and its pages alone: `routed` makes that once. `create_app` puts it on a
database; what a request needs of that stands in its scope, as ASGI's lifespan state.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from traceback import format_exc
from typing import Any

import msgspec
import psycopg
import psycopg_pool
from litestar import Litestar, Request, Response, get
from litestar.enums import ScopeType
from litestar.response import Redirect
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send
from psycopg_pool import AsyncConnectionPool

from trueup.core import json
from trueup.core.batch import House
from trueup.core.clock import Clock, SystemClock
from trueup.core.database import Connection, open_pool, session
from trueup.core.door import Door
from trueup.core.settings import Settings
from trueup.web.api import bulk, examining, openapi, problems, replaying
from trueup.web.api.access import Access, guarded
from trueup.web.api.direct import directly
from trueup.web.api.handlers import handlers
from trueup.web.api.metrics import CONTENT_TYPE, Metrics
from trueup.web.api.promises import questions
from trueup.web.api.rehearse import rehearsing
from trueup.web.api.table import BODY_BYTES_MAX
from trueup.web.security import with_security_headers
from trueup.web.site import Site, site_of

Beside = Callable[[Site], AbstractAsyncContextManager[Any]]
ErrorPage = Callable[[Request[Any, Any, Any], problems.Problem], Response[Any]]
_REFERENCE = Path(__file__).parent / "api" / "reference"
_REFERENCE_FILES = {
    "reference.html": "text/html; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
    "reference.css": "text/css; charset=utf-8",
}


class Routed(msgspec.Struct, frozen=True):
    """What answers every address of a house. answering: the application, but for its lifespan."""

    house: House
    answering: ASGIApp


def routed(
    house: House, *, pages: Sequence[ControllerRouterHandler] = (), error_page: ErrorPage | None = None
) -> Routed:
    """Return what answers every address of a house, for any number of databases.

    pages: the console's handlers. error_page: shows problems outside /v1 to browsers; else they get problem details.
    """
    house = guarded(house)
    app = Litestar(
        route_handlers=[
            *handlers(house),
            rehearsing(house),
            *replaying.HANDLERS,
            *bulk.HANDLERS,
            *examining.HANDLERS,
            *questions(),
            *_own_pages(house),
            *pages,
        ],
        exception_handlers={Exception: _error_handler(error_page)},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )
    return Routed(house, directly(with_security_headers(_measured(app)), house))


def create_app(
    settings: Settings,
    url: str,
    routes: Routed,
    *,
    clock: Clock | None = None,
    on_commit: Callable[[], None] | None = None,
    beside: Sequence[Beside] = (),
) -> ASGIApp:
    """Return the ASGI application; with its lifespan it opens and closes the door and the pools on the database `url`.

    on_commit: called after each commit of this process' door. beside: what runs as long as the application does.
    """
    house = routes.house

    @asynccontextmanager
    async def opened() -> AsyncIterator[dict[str, Any]]:
        now = clock or SystemClock()
        door = Door(url, house, writers=settings.writers, queue_max=settings.queue_max, clock=now, on_commit=on_commit)
        async with open_pool(url) as reads, _open_sign_in_pool(url) as sign_in, door:
            site = Site(door, reads, sign_in, Access(house, reads, now), now, url, house)
            async with AsyncExitStack() as stack:
                stack.push_async_callback(site.replays.close)
                for run in beside:
                    await stack.enter_async_context(run(site))
                yield {"site": site, "metrics": Metrics(door)}

    return _living(routes.answering, opened)


def _living(app: ASGIApp, opened: Callable[[], AbstractAsyncContextManager[dict[str, Any]]]) -> ASGIApp:
    """Open what an application needs when the server starts, close it when it ends; requests find it in their scope."""

    async def living(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        phase = "startup"
        try:
            async with opened() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
        except BaseException:
            await send({"type": f"lifespan.{phase}.failed", "message": format_exc()})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    return living


@asynccontextmanager
async def _open_sign_in_pool(url: str) -> AsyncIterator[AsyncConnectionPool[Connection]]:
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        session(url), min_size=0, max_size=2, open=False, kwargs={"autocommit": True}, name="sign-in"
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def _error_handler(error_page: ErrorPage | None) -> Callable[[Request[Any, Any, Any], Exception], Any]:
    def handle(request: Request[Any, Any, Any], error: Exception) -> Any:
        if error_page is None or request.scope["path"].startswith("/v1"):
            return problems.handle_error(request, error)
        return error_page(request, problems.problem_of_error(error, request.scope["path"]))

    return handle


def _measured(app: Litestar) -> ASGIApp:
    """Count every answer under the address of its route; an address that is nobody's counts as `none`."""

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        began = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("path_template") or "none"
                scope["state"]["metrics"].answered(
                    scope["method"], route, message["status"], time.perf_counter() - began
                )
            await send(message)

        await app(scope, receive, counting)

    return measured


def _own_pages(house: House) -> list[ControllerRouterHandler]:
    document = json.encode(openapi.describe(house))
    files = {name: (_REFERENCE / name).read_bytes() for name in _REFERENCE_FILES}

    @get("/v1/openapi.json")
    async def openapi_document() -> ASGIResponse:
        return ASGIResponse(body=document, media_type="application/json")

    @get("/v1/docs")
    async def reference() -> ASGIResponse:
        return ASGIResponse(body=files["reference.html"], media_type=_REFERENCE_FILES["reference.html"])

    @get("/v1/docs/{name:str}")
    async def reference_file(request: Request[Any, Any, Any]) -> ASGIResponse:
        name = request.path_params["name"]
        if name not in files:
            return problems.refuse(problems.NOTHING_HERE, 404)
        return ASGIResponse(body=files[name], media_type=_REFERENCE_FILES[name])

    @get("/docs")
    async def docs() -> Redirect:
        return Redirect("/v1/docs")

    return [openapi_document, reference, reference_file, docs, healthz, readyz, metrics]


@get("/healthz")
async def healthz() -> ASGIResponse:
    """Tell that the process answers."""
    return ASGIResponse(body=b'{"status":"alive"}', media_type="application/json")


@get("/readyz")
async def readyz(request: Request[Any, Any, Any]) -> ASGIResponse:
    """Tell whether the database answers within two seconds; 503 when it does not."""
    try:
        async with site_of(request).reads.connection(timeout=2) as connection:
            await connection.execute("select 1")
    except (psycopg.Error, psycopg_pool.PoolTimeout):
        return problems.refuse(problems.NOT_READY, 503)
    return ASGIResponse(body=b'{"status":"ready"}', media_type="application/json")


@get("/metrics")
async def metrics(request: Request[Any, Any, Any]) -> ASGIResponse:
    """Answer with this process' figures for Prometheus."""
    return ASGIResponse(body=request.scope["state"]["metrics"].text(), media_type=CONTENT_TYPE)
