"""The short way for writes whose address is fixed: from the server to the door, past the router.

Measured with 64 clients placing orders: the router, its request and its response were a third of what the API itself
costs. Everything else, and everything that is wrong with an address or a method, goes the long way.
"""

from __future__ import annotations

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from trueup.core.batch import House
from trueup.core.errors import Refusal, Refused
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.bodies import names_in
from trueup.web.api.handlers import submission
from trueup.web.api.metrics import Metrics
from trueup.web.api.problems import Answer, answer_of, problem_of_error, refused
from trueup.web.api.routes import WRITES
from trueup.web.api.table import Write
from trueup.web.security import API_HEADERS, API_HEADERS_HTTPS
from trueup.web.site import Site


def directly(app: ASGIApp, house: House) -> ASGIApp:
    """Wrap an application so that writes of fixed addresses are carried out here."""
    rows = [row for row in WRITES if not names_in(row.path)]
    writes = {(row.path, row.method): (row, submission(row, house)) for row in rows}

    async def direct(scope: Scope, receive: Receive, send: Send) -> None:
        found = writes.get((scope["path"], scope["method"])) if scope["type"] == ScopeType.HTTP else None
        if found is None or scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        began = time.perf_counter()
        site: Site = scope["state"]["site"]
        metrics: Metrics = scope["state"]["metrics"]
        row, submit = found
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            actor = await site.access.holder(headers.get(b"authorization"))
            if actor is None:
                answer = refused(UNAUTHENTICATED)
            else:
                answer = await submit(site, actor, headers, await _body(row, headers, receive), {})
        except Refused as error:
            answer = refused(error.refusal)
        except Exception as error:
            answer = answer_of(problem_of_error(error, row.path))
        metrics.answered(row.method, row.path, answer.status, time.perf_counter() - began)
        await _send(answer, scope, send)

    return direct


async def _body(row: Write, headers: dict[bytes, str], receive: Receive) -> bytes:
    """Return the whole body. Raises Refused for one that is larger than the address takes, or that never ended."""
    announced = headers.get(b"content-length", "0")
    if announced.isdecimal() and int(announced) > row.bytes_max:
        raise Refused(_too_large(row))
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(Refusal("request.malformed", "The connection ended within the body.", "Send it again."))
        if not parts and not message.get("more_body"):
            return message.get("body", b"")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > row.bytes_max:
            raise Refused(_too_large(row))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(answer: Answer, scope: HTTPScope, send: Send) -> None:
    secure = API_HEADERS_HTTPS if scope["scheme"] == "https" else API_HEADERS
    length = (b"content-length", b"%d" % len(answer.body))
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [*answer.headers, length, *secure],
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _too_large(row: Write) -> Refusal:
    return Refusal(
        "request.too_large",
        f"The body is larger than the {row.bytes_max:,} bytes that this address takes.",
        "Send less at once: split it into several requests, each with its own key.",
    )
