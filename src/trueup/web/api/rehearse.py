"""POST /v1/rehearse: what would these commands do? Nothing is written, so no key is needed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from trueup.authority.standing import require
from trueup.core import json
from trueup.core.batch import House, Rehearsed
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Actor, Command, Outcome
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.handlers import demand_json, headers_of
from trueup.web.api.problems import refusal_of_body, refuse
from trueup.web.site import site_of

COMMANDS_MAX = 100


class RehearsalStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command to try. verb: its name, as in `orders.place`. command: its whole body, ids included."""

    verb: str
    command: msgspec.Raw


class Rehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands that are tried one after another, each seeing what the one before it would have done."""

    commands: Annotated[tuple[RehearsalStep, ...], msgspec.Meta(min_length=1, max_length=COMMANDS_MAX)]


class ExpectedEvent(msgspec.Struct, frozen=True):
    """What would be written to the journal."""

    name: str
    subject: str
    body: dict[str, Any]


class Expected(msgspec.Struct, frozen=True):
    """How one command would end, and what would happen."""

    verb: str
    outcome: Outcome
    events: tuple[ExpectedEvent, ...]


class Expectation(msgspec.Struct, frozen=True):
    """How the commands would end, in their order."""

    items: tuple[Expected, ...]


def rehearsing(house: House) -> HTTPRouteHandler:
    """Return the handler of POST /v1/rehearse."""
    commands = {verb.name: verb.command for verb in house.verbs.values()}

    @post("/v1/rehearse")
    async def rehearse(request: Request[Any, Any, Any]) -> ASGIResponse:
        site = site_of(request)
        headers = headers_of(request)
        actor = await site.access.holder(headers.get(b"authorization"))
        if actor is None:
            return refuse(UNAUTHENTICATED)
        refusal = require(await site.access.standing(), actor, "read")
        if refusal is not None:
            return refuse(refusal, 403)
        demand_json(headers)
        steps = _read(await request.body(), commands, actor)
        rehearsed = await site.door.rehearse([(actor, command) for _, command in steps])
        items = tuple(_expected(name, entry) for (name, _), entry in zip(steps, rehearsed, strict=True))
        return ASGIResponse(body=json.encode(Expectation(items)), media_type="application/json")

    return rehearse


def _read(body: bytes, commands: dict[str, type[Command]], actor: Actor) -> list[tuple[str, Command]]:
    where = ""
    try:
        steps = []
        for number, step in enumerate(json.decode(body, Rehearsal).commands):
            where = f"commands[{number}]"
            if step.verb not in commands:
                raise Refused(Refusal("request.invalid", f"There is no verb {step.verb[:80]!r}.",
                                      f"Use one of: {', '.join(sorted(commands))}.", f"{where}.verb"))  # fmt: skip
            steps.append((step.verb, json.decode(bytes(step.command), commands[step.verb])))
            where = ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = refusal_of_body(error)
        path = f"{where}.command.{found.where}".rstrip(".") if where else found.where
        raise Refused(msgspec.structs.replace(found, where=path)) from None
    return steps


def _expected(name: str, entry: Rehearsed) -> Expected:
    events = tuple(ExpectedEvent(event.name, event.subject, json.to_plain(event)) for event in entry.events)
    return Expected(name, entry.outcome, events)
