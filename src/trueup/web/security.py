"""What protects a browser: response headers, same-origin checks, CSRF tokens, and redirects that stay at home."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from trueup.core.errors import Refusal

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_HEADERS_HTTPS = (*HEADERS, _HSTS)
# For answers that are never a page: nothing may be loaded for them, and nothing may frame them.
API_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
API_HEADERS_HTTPS = (*API_HEADERS, _HSTS)


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that every response of it, errors included, carries the headers above."""

    async def protected(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        headers = _HEADERS_HTTPS if scope["scheme"] == "https" else HEADERS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await app(scope, receive, send_with_headers)

    return protected


def safe_next(target: str | None) -> str:
    """Return where to go after signing in: a path of this site, or `/` for anything that could lead elsewhere."""
    if not target or len(target) > 2000 or not target.startswith("/") or target.startswith("//"):
        return "/"
    if "\\" in target or any(ord(character) < 0x21 or ord(character) == 0x7F for character in target):
        return "/"
    parts = urlsplit(target)
    return "/" if parts.scheme or parts.netloc else target


def wrong_origin(request: Request[Any, Any, Any]) -> Refusal | None:
    """Return why a form that was sent from another site is refused, or None; used where there is no session yet."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        return _REFUSED
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return _REFUSED
    return None


async def wrong_csrf(request: Request[Any, Any, Any], expected: str) -> Refusal | None:
    """Return why a console POST is refused, or None: its form field `csrf` or X-CSRF-Token must be the session's."""
    token = request.headers.get("x-csrf-token")
    if token is None:
        form = await request.form()
        token = form.get("csrf")
    if isinstance(token, str) and hmac.compare_digest(token.encode(), expected.encode()):
        return wrong_origin(request)
    return _REFUSED


_REFUSED = Refusal(
    "security.csrf",
    "This form was not sent from a page of this session, so nothing was done.",
    "Go back, load the page again, and send the form once more.",
    where="X-CSRF-Token",
)
