"""A governed company for tests: people with roles, appointed and accepted, and governance declared."""

from __future__ import annotations

from datetime import date
from hashlib import sha256

from tests.requests import person

from trueup.authority.appoint import AcceptAppointment, Appoint, EndAppointment
from trueup.authority.declare import DeclareGovernance
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.verb import Actor, Command, Outcome

DECIDING = ("Change Control Board", "Finance", "IT Process Owner", "Master Data Owner", "Operations Process Owner",
            "Sponsor", "Data Steward", "Fulfilment Lead")  # fmt: skip


def _key(command: Command) -> str:
    return sha256(repr(command).encode()).hexdigest()


async def done(door: Door, actor: Actor, command: Command, key: str | None = None) -> Outcome:
    """Submit, and fail unless it was applied."""
    outcome = await door.submit(actor, command, key or _key(command))
    assert outcome.status in ("applied", "merged"), outcome.refusal
    return outcome


async def refused(door: Door, actor: Actor, command: Command, rule: str, key: str | None = None) -> Outcome:
    """Submit, and fail unless this rule refused it and told what can be done."""
    outcome = await door.submit(actor, command, key or f"refused {_key(command)}")
    assert outcome.refusal is not None, outcome
    assert outcome.refusal.rule == rule, outcome.refusal
    assert outcome.refusal.what
    assert outcome.refusal.fix
    return outcome


async def appointed(
    door: Door,
    actor: Actor,
    role: str,
    over: str | None = None,
    *,
    deputy: Actor | None = None,
    until_on: date | None = None,
    accept: bool = True,
) -> str:
    """Appoint somebody, let them and the deputy accept; return the appointment's id."""
    command = Appoint(
        actor=actor.id, role=role, over=over, deputy=deputy.id if deputy is not None else None, until_on=until_on
    )
    found: str = (await done(door, SYSTEM, command)).result["appointment"]
    if accept:
        await done(door, actor, AcceptAppointment(appointment=found), f"accept {found}")
        if deputy is not None:
            await done(door, deputy, AcceptAppointment(appointment=found), f"deputy accepts {found}")
    return found


async def company(door: Door, mode: str = "full", window_days: int = 90) -> dict[str, Actor]:
    """Register one person per deciding role and an Integration Owner, and declare governance; people by role."""
    people = {role: await person(door, f"Person {role}", role) for role in DECIDING}
    people["Administrator"] = await person(door, "Adam", "Administrator")
    people["Integration Owner"] = await person(door, "Irma", "Integration Owner")
    declare = DeclareGovernance(mode=mode, window_days=window_days)  # type: ignore[arg-type]
    await done(door, SYSTEM, declare)
    return people


def gone(actor: Actor, *roles: str) -> RegisterActor:
    """Take all access away."""
    return RegisterActor(name=actor.name, roles=roles or tuple(sorted(actor.roles)), actor=actor.id, active=False)


def end(appointment: str) -> EndAppointment:
    """End an appointment."""
    return EndAppointment(appointment=appointment, reason="moves on")
