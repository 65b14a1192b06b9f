"""The impact replay of a change: run on demand, kept by content, so that everybody votes on the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from trueup.authority.changes import unreplayed
from trueup.authority.changes_state import Change
from trueup.authority.publish import PublishPolicy, WithdrawPolicy
from trueup.core import json
from trueup.core.batch import House
from trueup.core.carry import Carried
from trueup.core.database import Connection, connect
from trueup.core.policy import Policy, Withdrawn
from trueup.core.replay_window import window_of
from trueup.orders import adopt
from trueup.orders.adopt import AdoptWorkflow
from trueup.orders.adoption import Adoption
from trueup.orders.read_adoptions import InFlight, in_flight
from trueup.orders.workflow import Workflow
from trueup.oversight.impact import DAYS, Impact, impact

SHOWN_MAX = 200
DAYS_MAX = 90


class KeptImpact(msgspec.Struct, frozen=True):
    """A replay that was run. at: when; days: how many it looked back."""

    at: datetime
    days: int
    impact: Impact


class Replacing(msgspec.Struct, frozen=True):
    """What edits put in force: documents by kind and name, and which orders in flight walk by another version.

    `Withdrawn` among the documents takes one out of force.
    """

    documents: dict[tuple[str, str], Policy]
    adopting: tuple[Adoption, ...]


def replacing(house: House, edits: Sequence[Carried]) -> Replacing | str:
    """Return what edits put in force; or why their effect cannot be replayed."""
    reasons = unreplayed(house.kinds, edits)
    if reasons:
        return "; ".join(reasons)
    found: dict[tuple[str, str], Policy] = {}
    adopting: list[Adoption] = []
    for edit in edits:
        if edit.verb == _ADOPT:
            adopting.append(_adoption(json.from_plain(edit.command, AdoptWorkflow)))
            continue
        if edit.verb == _WITHDRAW:
            gone = json.from_plain(edit.command, WithdrawPolicy)
            found[gone.policy_kind, gone.policy_name] = Withdrawn()
            continue
        command = json.from_plain(edit.command, PublishPolicy)
        kind = house.kinds[command.policy_kind]
        found[kind.kind, command.policy_name] = json.from_plain(command.document, kind)
    return Replacing(found, tuple(adopting))


async def in_flight_of(connection: Connection, edits: Sequence[Carried]) -> tuple[InFlight, ...]:
    """Return what each adoption among a change's edits means for the orders in flight, or meant once it was applied."""
    found = []
    for edit in edits:
        if edit.verb != _ADOPT:
            continue
        asked = json.from_plain(edit.command, AdoptWorkflow)
        coming = [
            json.from_plain(other.command["document"], Workflow)
            for other in edits
            if "document" in other.command
            and (other.command.get("policy_kind"), other.command.get("policy_name"))
            == (Workflow.kind, asked.order_type)
        ]
        found.append(await in_flight(connection, asked, coming[0] if coming else None))
    return tuple(found)


_ADOPT = next(verb.name for verb in adopt.VERBS if verb.command is AdoptWorkflow)


_WITHDRAW = "authority.withdraw_policy"


def _adoption(asked: AdoptWorkflow) -> Adoption:
    """Return an adoption as it is while nobody decided it: of no number and no time."""
    return Adoption(order_type=asked.order_type, number=0, version=asked.version, states=asked.states,
                    orders=asked.orders, at=_NEVER, by="")  # fmt: skip


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


async def replay_change(
    url: str, house: House, found: Change, now: datetime, days: int = DAYS, *, apart: bool | None = None
) -> KeptImpact | str:
    """Replay the last days' commands with what the change proposes, and keep what came out; or say why it cannot be.

    apart: see `impact`.
    """
    proposed = replacing(house, found.edits)
    if isinstance(proposed, str):
        return proposed
    connection = await connect(url)
    try:
        window = await window_of(connection, now, days=days)
        seen = await impact(
            url, house, proposed.documents, since_position=window.after, limit=SHOWN_MAX, apart=apart,
            adopting=proposed.adopting,
        )  # fmt: skip
        await connection.execute(
            """insert into change_impact (change, digest, at, days, document) values (%s, %s, %s, %s, %s)
            on conflict (change, digest) do update set at = excluded.at, days = excluded.days,
                document = excluded.document""",
            [found.id, found.digest, now, days, json.encode(seen)],
        )
    finally:
        await connection.close()
    return KeptImpact(now, days, seen)


async def kept_impact(connection: Connection, change: str, digest: str) -> KeptImpact | None:
    """Return the replay that was run last for this content of a change, or None."""
    cursor = await connection.execute(
        "select at, days, document from change_impact where change = %s and digest = %s", [change, digest]
    )
    row = await cursor.fetchone()
    return KeptImpact(row[0], row[1], json.decode(bytes(row[2]), Impact)) if row is not None else None
