"""Console sessions: a random cookie whose digest is stored, twelve hours, and a CSRF token of its own.

For pages: `session = await current_session(request)`; `session.actor` is who it is, `session.csrf` goes into every
form as the field `csrf`. Put `before_request=only_signed_in` on a router, and each of its requests has a session, and
each of its POSTs was sent from a page of that session.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.response import Redirect

from trueup.core.errors import Refused
from trueup.core.verb import Actor
from trueup.web.security import wrong_csrf
from trueup.web.site import Site, site_of

LIFETIME = timedelta(hours=12)
SIGN_IN_PATH = "/sign-in"
_SEEN = "trueup_session_seen"


class Session(msgspec.Struct, frozen=True):
    """Somebody signed in at the console. csrf: goes into every form as the field `csrf`."""

    actor: Actor
    csrf: str
    expires_at: datetime


async def current_session(request: Request[Any, Any, Any]) -> Session | None:
    """Return the session of this request's cookie; None without one, after its end, and for who may not act now."""
    state = request.scope["state"]
    if _SEEN not in state:
        state[_SEEN] = await _find(site_of(request), request)
    found: Session | None = state[_SEEN]
    return found


async def only_signed_in(request: Request[Any, Any, Any]) -> Response[Any] | None:
    """Let a console request through, as a router's `before_request`; else answer with the way to the sign-in page.

    Raises Refused (rule `security.csrf`, 403) for a POST that does not carry the session's CSRF token.
    """
    session = await current_session(request)
    if session is None:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        asked = target if request.method == "GET" and "hx-request" not in request.headers else "/"
        away = f"{SIGN_IN_PATH}?next={quote(asked, safe='')}"
        if "hx-request" in request.headers:
            return Response(None, status_code=401, headers={"HX-Redirect": away})
        return Redirect(away, status_code=303)
    if request.method not in ("GET", "HEAD"):
        refusal = await wrong_csrf(request, session.csrf)
        if refusal is not None:
            raise Refused(refusal)
    return None


async def begin(request: Request[Any, Any, Any], actor: Actor) -> Cookie:
    """Begin a new session for somebody who proved who they are, ending the one this browser had; return its cookie."""
    site = site_of(request)
    await end(request)
    token = secrets.token_urlsafe(32)
    now = site.now()
    async with site.sign_in.connection() as connection:
        await connection.execute("delete from web_session where expires_at <= %s", [now])
        await connection.execute(
            "insert into web_session (digest, actor, csrf, at, expires_at) values (%s, %s, %s, %s, %s)",
            [_digest(token), actor.id, secrets.token_urlsafe(24), now, now + LIFETIME],
        )
    return _cookie(request, token, int(LIFETIME.total_seconds()))


async def end(request: Request[Any, Any, Any]) -> Cookie:
    """End this browser's session in every process at once; return the cookie that clears it."""
    token = request.cookies.get(_name(request))
    if token:
        async with site_of(request).sign_in.connection() as connection:
            await connection.execute("delete from web_session where digest = %s", [_digest(token)])
    request.scope["state"][_SEEN] = None
    return _cookie(request, "", 0)


async def _find(site: Site, request: Request[Any, Any, Any]) -> Session | None:
    token = request.cookies.get(_name(request))
    if not token:
        return None
    async with site.reads.connection() as connection:
        cursor = await connection.execute(
            "select actor, csrf, expires_at from web_session where digest = %s and expires_at > %s",
            [_digest(token), site.now()],
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    actor = (await site.access.standing()).actors.get(row[0])
    return Session(actor, row[1], row[2]) if actor is not None else None


def _name(request: Request[Any, Any, Any]) -> str:
    return "__Host-trueup" if request.scope["scheme"] == "https" else "trueup"


def _cookie(request: Request[Any, Any, Any], value: str, seconds: int) -> Cookie:
    return Cookie(
        key=_name(request),
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.scope["scheme"] == "https",
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
