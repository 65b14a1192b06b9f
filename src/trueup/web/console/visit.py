"""One request of somebody who is signed in: who, when, what the address asks for, and how pages and forms end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.response import Redirect
from markupsafe import Markup

from trueup.authority import change_read
from trueup.authority.propose import ProposeChange
from trueup.authority.standing import Scope, Standing, outside, require
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Actor, Command, Outcome
from trueup.web.changed import explained
from trueup.web.console import figures
from trueup.web.console.render import address, in_path, render
from trueup.web.sessions import Session, current_session
from trueup.web.site import Site, site_of

KEY_LENGTH_MAX = 64
_VISITOR = "trueup_console_visitor"
_HEADERS = {"cache-control": "no-store"}


class Visit:
    """What a page needs to know. params: the address's query, one value per name, empty ones left out.

    secret: the session's own, known to the browser alone; what is derived from it nobody else can derive.
    """

    def __init__(self, request: Request[Any, Any, Any], site: Site, session: Session, standing: Standing) -> None:
        self.request = request
        self.site = site
        self.actor: Actor = session.actor
        self.csrf = session.csrf
        self.standing = standing
        self.now = site.now()
        self.path = request.url.path
        self.params = _params(request)
        self.scope: Scope | None = standing.within(session.actor)
        self.secret = (request.cookies.get("__Host-trueup") or request.cookies.get("trueup") or "").encode()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Lend a read-only session."""
        async with self.site.reading() as connection:
            yield connection

    def flag(self, name: str) -> bool | None:
        """Return a parameter that is yes, no or not given."""
        return {"true": True, "false": False}.get(self.params.get(name, ""))

    @property
    def sites(self) -> frozenset[str] | None:
        """The codes of the locations the visitor may see; None is every one."""
        return None if self.scope is None else self.scope.sites

    @property
    def channels(self) -> frozenset[str] | None:
        """The channels the visitor may see; None is every one."""
        return None if self.scope is None else self.scope.channels

    def link(self, **changes: str | int | None) -> str:
        """Return this page's address with a changed query; what a form ended with does not travel on."""
        return address(self.path, {k: v for k, v in self.params.items() if k != "outcome"}, **changes)

    def path_of(self, *segments: str) -> str:
        """Return a path of these segments, each escaped."""
        return "/" + "/".join(in_path(segment) for segment in segments)

    def may(self, right: str) -> bool:
        """Tell whether the visitor has a right now; what is hidden here is refused by the door all the same."""
        return require(self.standing, self.actor, right) is None

    async def form(self) -> dict[str, str]:
        """Return the fields of a POST as text. Raises Refused for a NUL character and a missing form key."""
        sent = await self.request.form()
        fields = {name: value for name, value in sent.items() if isinstance(value, str)}
        if any("\0" in value for value in fields.values()):
            raise _unreadable("A field contains a NUL character.")
        key = fields.get("key", "")
        if not key or len(key) > KEY_LENGTH_MAX:
            raise _unreadable("The form came without its key.")
        return fields

    async def submit(self, kind: type[Command], body: dict[str, Any], form: dict[str, str]) -> Outcome:
        """Put what a form says through the door, under the form's key: sent twice, it has one effect.

        A body that is no such command is refused like any other, naming the field.
        """
        filled = {name: value for name, value in body.items() if value != ""}
        try:
            command = json.convert(_whole_numbers(kind, filled), kind)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$")
            fix = "Correct the field and send the form again."
            return Outcome("refused", refusal=Refusal("form.invalid", f"{what}.", fix, where.strip(".`")))
        outcome = await self.site.door.submit(self.actor, command, f"console/{form['key']}")
        return outcome if outcome.refusal is None else await explained(self.site, command, outcome)

    async def propose(self, verb: str, body: dict[str, Any], title: str, form: dict[str, str]) -> Outcome:
        """Propose a change that carries what a form says: where governance is declared, what it governs goes so."""
        command = {name: value for name, value in body.items() if value != ""}
        edit = {"verb": verb, "command": json.to_plain(command)}
        return await self.submit(ProposeChange, {"title": title[:120], "reason": body["reason"], "edits": [edit]}, form)

    def done(self, path: str, form: dict[str, str], **params: str) -> Response[Any]:
        """Send the browser on to the page that shows how a form ended, so that reloading does not send it again."""
        return Redirect(address(path, params, outcome=form["key"]), status_code=303)

    async def show(
        self, template: str, *, section: str, title: str, status: int = 200, **context: Any
    ) -> Response[Any]:
        """Return a page. A refusal in its context makes the status 422, or 403 where a right was missing."""
        refusal = context.setdefault("refusal", None)
        if isinstance(refusal, Refusal):
            status = 403 if refusal.rule in ("authority.not_allowed", "authority.outside_scope") else 422
        values = {
            **self._common(),
            "section": section,
            "title": title,
            **await self._ended(),
            "entered": {},
            "opened": "",
            **context,
        }
        return Response(render(template, values), status_code=status, media_type=MediaType.HTML, headers=_HEADERS)

    def _common(self) -> dict[str, Any]:
        return {
            "who": self.actor,
            "confined": self.scope is not None,
            "csrf_field": csrf_field(self.csrf),
            "now": self.now,
            "params": self.params,
            "link": self.link,
            "may": self.may,
            "who_may": lambda right: ", ".join(self.standing.who_may(right)) or "nobody",
            "actor_names": self.standing.names,
        }

    async def _ended(self) -> dict[str, Any]:
        """Return how the form ended that led here, and who decides the change it became."""
        key = self.params.get("outcome")
        if not key:
            return {"outcome": None, "awaited": ""}
        async with self.reading() as connection:
            outcome = await figures.outcome_of(connection, self.actor.id, f"console/{key[:KEY_LENGTH_MAX]}")
            result = outcome.result if outcome is not None else {}
            awaited = ""
            if isinstance(result.get("change"), str) and "digest" in result:
                policies = self.standing.policies
                awaited = await change_read.awaited(connection, result["change"], policies, self.now)
        return {"outcome": outcome, "awaited": awaited}


async def enter(request: Request[Any, Any, Any], right: str = "read", *, scoped: bool = False) -> Visit:
    """Return the visit of who is signed in. Raises Refused (403) for somebody whose roles do not allow to read.

    scoped: the page shows no more than the visitor's scope; other pages are refused to who has one.
    """
    site = site_of(request)
    session = await current_session(request)
    assert session is not None, "the console's router lets only signed-in requests through"
    standing = await site.access.standing()
    request.scope["state"][_VISITOR] = session
    refusal = require(standing, session.actor, right)
    if refusal is None and not scoped and standing.within(session.actor) is not None:
        refusal = outside(session.actor)
    if refusal is not None:
        raise Refused(refusal)
    return Visit(request, site, session, standing)


def visitor(request: Request[Any, Any, Any]) -> Session | None:
    """Return the session of a request whose page began; for the page that says what went wrong with it."""
    found: Session | None = request.scope["state"].get(_VISITOR)
    return found


def unknown(what: str) -> Refused:
    """Return the exception for an address of something that is not there."""
    fix = "Look it up in the list; what was undone or never recorded has no page."
    return Refused(Refusal("read.unknown", what, fix))


def csrf_field(token: str) -> Markup:
    """Return the hidden field that proves a form came from a page of this session."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token)


def _params(request: Request[Any, Any, Any]) -> dict[str, str]:
    params = {name: value for name, value in request.query_params.items() if value}
    if any("\0" in part for pair in params.items() for part in pair):
        raise _unreadable("The address contains a NUL character.")
    return params


def _unreadable(what: str) -> Refused:
    return Refused(Refusal("request.invalid", what, "Go back, load the page again, and repeat what you did."))


def _whole_numbers(kind: type[Command], body: dict[str, Any]) -> dict[str, Any]:
    """Read the fields that are whole numbers; forms send text only."""
    numbers = {field.name for field in msgspec.structs.fields(kind) if field.type in (int, int | None)}
    return {name: int(v) if name in numbers and isinstance(v, str) and v.isdecimal() else v for name, v in body.items()}
