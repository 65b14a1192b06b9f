"""Signing in, by password or by a link that works once, and signing out."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath
from litestar.response import Redirect
from markupsafe import Markup

from trueup.core.errors import Refusal, Refused
from trueup.web.console.render import render
from trueup.web.security import safe_next, wrong_csrf
from trueup.web.sessions import current_session
from trueup.web.sign_in import sign_in_with_link, sign_in_with_password, sign_out
from trueup.web.site import site_of

_NO_STORE = {"cache-control": "no-store"}


@get("/sign-in")
async def show_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the form, or go on for somebody who is signed in."""
    target = safe_next(request.query_params.get("next"))
    if await current_session(request) is not None:
        return Redirect(target, status_code=303)
    return _page(request, "sign_in.html", next=target)


@post("/sign-in")
async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Take address and password."""
    form = await request.form()
    email, password, target = (_text(form.get(name)) for name in ("email", "password", "next"))
    found = await sign_in_with_password(request, email, password)
    if isinstance(found, Refusal):
        return _page(request, "sign_in.html", found, next=safe_next(target), entered={"email": email})
    return _go_on(found, target)


@get("/sign-in/link")
async def show_link(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the button that uses the link; looking at it uses nothing up."""
    return _page(request, "sign_in_link.html", token=request.query_params.get("token", ""))


@get("/sign-in/{token:str}")
async def show_short_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Show the same for a link that has its token in the path."""
    return _page(request, "sign_in_link.html", token=token)


@post("/sign-in/link")
async def use_link(request: Request[Any, Any, Any]) -> Response[Any]:
    """Use the link."""
    form = await request.form()
    found = await sign_in_with_link(request, _text(form.get("token")))
    if isinstance(found, Refusal):
        return _page(request, "sign_in_link.html", found, token="")
    return _go_on(found, "/")


@post("/sign-out")
async def leave(request: Request[Any, Any, Any]) -> Response[Any]:
    """End the session."""
    session = await current_session(request)
    if session is not None:
        refusal = await wrong_csrf(request, session.csrf)
        if refusal is not None:
            raise Refused(refusal)
    return _go_on(await sign_out(request), "/sign-in")


def _page(
    request: Request[Any, Any, Any], template: str, problem: Refusal | None = None, **context: Any
) -> Response[Any]:
    values = {
        "title": "Sign in", "section": "", "who": None, "outcome": None, "refusal": None, "csrf_field": Markup(""),
        "now": site_of(request).now(), "entered": {}, **context,
        "problem": f"{problem.what} {problem.fix}" if problem else "",
    }  # fmt: skip
    status = 403 if problem else 200
    return Response(render(template, values), status_code=status, media_type=MediaType.HTML, headers=_NO_STORE)


def _go_on(cookie: Cookie, target: str) -> Response[Any]:
    return Redirect(safe_next(target), status_code=303, cookies=[cookie], headers=_NO_STORE)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


routes = [show_sign_in, sign_in, show_link, show_short_link, use_link, leave]
