"""Movements that waited for a thaw: put through the door in their order, requests first, then what was reported.

Nothing waits for this: a freeze ends by itself, and what comes later passes at once. What is no longer valid when its
turn comes is a case, never lost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.authority.standing import SYSTEM
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core import json
from trueup.core.batch import House
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Actor, Command, Context, Decision, Event, Outcome, State, Verb
from trueup.stock.freeze import StartFreeze
from trueup.stock.freeze_state import Freezes, IntentSettled

AT_ONCE = 1000


class SettleIntent(Command, frozen=True, kw_only=True):
    """Record how a movement that waited ended. Trueup's own follow-up. ending: the outcome's status."""

    freeze: str
    number: int
    ending: Annotated[str, msgspec.Meta(max_length=40)]
    detail: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


def settle_intent(state: State, command: SettleIntent, context: Context) -> Decision:
    """Record it; what was not carried out is a case. Refuses anybody but Trueup itself; the second time is merged."""
    if "System" not in context.actor.roles:
        return Refusal("stock.intents_settle_themselves", "What waited is put through by Trueup after the thaw.",
                       "Wait, or submit the movement again.", "number", str(command.number))  # fmt: skip
    intent = state.of(Freezes).intents.get((command.freeze, command.number))
    if intent is None:
        return Refusal("stock.unknown_intent", f"Nothing waits as {command.freeze}/{command.number}.",
                       "Look it up on the freeze's page.", "number", str(command.number))  # fmt: skip
    result = {"freeze": command.freeze, "intent": command.number, "ending": command.ending}
    if intent.settled_at is not None:
        return Accepted((), command.freeze, result, "merged")
    events: list[Event] = [
        IntentSettled(freeze=command.freeze, number=command.number, ending=command.ending, detail=command.detail,
                      at=context.now)
    ]  # fmt: skip
    if command.ending in ("refused", "quarantined"):
        what = f"{intent.verb} of {intent.at.isoformat()}: {command.detail or command.ending}"
        events += case_events(
            state,
            context,
            cause=_cause(command.freeze),
            kind="stock_intent",
            title=f"Movements that waited for the end of {command.freeze} are no longer valid",
            severity=2,
            owner_role="Fulfilment Lead",
            subjects=[CaseSubject("intent", f"{command.freeze}/{command.number}", what)],
        )
    return Accepted(events, command.freeze, result)


async def follow_freezes(door: Door, connection: Connection, house: House, now: datetime) -> int:
    """Start what is due and put through what waited for a thaw; return how many movements were put through.

    Every step has a key of its own: broken off anywhere and run again, or run in two processes, it has one effect.
    """
    for freeze in await _due(connection, now):
        await door.submit(SYSTEM, StartFreeze(freeze=freeze), f"start/{freeze}")
    verbs = {verb.name: verb.command for verb in house.verbs.values()}
    done = 0
    while waiting := await _waiting(connection, now):
        for freeze, number, actor, verb, body in waiting:
            key = f"{freeze}/{number}"
            outcome = await door.submit(actor, json.decode(body, verbs[verb]), f"intent/{key}")
            refusal = outcome.refusal
            settled = SettleIntent(
                freeze=freeze,
                number=number,
                ending=outcome.status,
                detail=f"{refusal.rule}: {refusal.what}"[:2000] if refusal is not None else None,
            )
            _expect(await door.submit(SYSTEM, settled, f"settle/{key}"), key)
            done += 1
    return done


async def _due(connection: Connection, now: datetime) -> list[str]:
    found = await connection.execute(
        """select id from stock_freeze where started_at is null and thawed_at is null and cancelled_at is null
            and from_at <= %s and to_at > %s order by from_at, id limit %s""",
        [now, now, AT_ONCE],
    )
    return [freeze for (freeze,) in await found.fetchall()]


async def _waiting(connection: Connection, now: datetime) -> list[tuple[str, int, Actor, str, str]]:
    found = await connection.execute(
        """select i.freeze_id, i.number, i.actor, i.verb, i.body, coalesce(a.kind, 'service'), coalesce(a.name, i.actor)
        from stock_freeze f join stock_intent i on i.freeze_id = f.id left join actor a on a.id = i.actor
        where f.settled < f.intents and (f.thawed_at is not null or f.to_at <= %s) and i.settled_at is null
        order by f.id, i.fact, i.number limit %s""",
        [now, AT_ONCE],
    )
    return [
        (freeze, number, SYSTEM if actor == SYSTEM.id else Actor(actor, kind, name), verb, body)
        for freeze, number, actor, verb, body, kind, name in await found.fetchall()
    ]


def _expect(outcome: Outcome, key: str) -> None:
    if outcome.refusal is not None:
        raise AssertionError(f"{key} could not be settled: {outcome.refusal.what}")


def _cause(freeze: str) -> str:
    return f"stock:freeze:{freeze}"


def _wants(state: State, command: SettleIntent, policies: Policies) -> None:
    state.of(Freezes).want_intent(command.freeze, command.number)
    state.of(Cases).want_cause(_cause(command.freeze))


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        name="stock.settle_intent",
        command=SettleIntent,
        decide=settle_intent,
        wants=_wants,
        touches=lambda command: (command.freeze,),
    ),
)
