"""A company whose governance is declared, and what its people say to each other about changes."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.conftest import expect_all
from tests.requests import person

from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.approve import ApproveChange, RejectChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.propose import EditChange, ProposeChange
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.door import Door
from trueup.core.verb import Actor, Command, Outcome

ROLES = {
    "Sue": "Sponsor",
    "Olga": "Operations Process Owner",
    "Ivan": "IT Process Owner",
    "Bea": "Change Control Board",
    "Finn": "Finance",
    "Ingo": "Integration Owner",
    "Mia": "Master Data Owner",
    "Adam": "Administrator",
    "Lea": "Fulfilment Lead",
}


class Company:
    """The people by first name, and the acts of changing, each under a key of its own."""

    def __init__(self, door: Door, people: dict[str, Actor]) -> None:
        self.door = door
        self.people = people
        self._keys = 0

    def __getattr__(self, name: str) -> Actor:
        return self.people[name]

    async def act(self, who: Actor, command: Command) -> Outcome:
        """Submit a command."""
        self._keys += 1
        return await self.door.submit(who, command, f"company {self._keys}")

    async def done(self, who: Actor, command: Command) -> dict[str, Any]:
        """Submit a command that has to go through, and return what it answers."""
        outcome = await self.act(who, command)
        expect_all([outcome])
        return outcome.result

    async def refused(self, who: Actor, command: Command) -> str:
        """Submit a command that has to be refused, and return by which rule."""
        outcome = await self.act(who, command)
        assert outcome.status == "refused", outcome
        assert outcome.refusal is not None
        assert outcome.refusal.fix, "a refusal says what to do"
        return outcome.refusal.rule

    async def propose(self, who: Actor, *commands: Command, **values: Any) -> tuple[str, str]:
        """Propose a change of these commands; return its id and the digest of its content."""
        result = await self.done(who, proposal(*commands, **values))
        return result["change"], result["digest"]

    async def approve(self, change: tuple[str, str], *who: Actor) -> None:
        """Let each of them approve."""
        for one in who:
            await self.done(one, ApproveChange(change=change[0], digest=change[1]))

    async def apply(self, who: Actor, change: tuple[str, str]) -> dict[str, Any]:
        """Carry it out."""
        return await self.done(who, ApplyChange(change=change[0]))

    async def revert(self, who: Actor, change: tuple[str, str], reason: str = "it did harm") -> dict[str, Any]:
        """Roll it back."""
        return await self.done(who, RevertChange(change=change[0], reason=reason))

    async def reject(self, who: Actor, change: tuple[str, str], reason: str = "not now") -> dict[str, Any]:
        """Say no."""
        return await self.done(who, RejectChange(change=change[0], reason=reason))


async def declared(door: Door, *, window_days: int = 0, **more: str) -> Company:
    """Register the people, and more by `Name="Role"`, and declare governance in full."""
    people = {name: await person(door, name, role) for name, role in {**ROLES, **more}.items()}
    expect_all([await door.submit(SYSTEM, DeclareGovernance(mode="full", window_days=window_days), "declare")])
    return Company(door, people)


def carried(command: Command) -> Carried:
    """Return a command as a change carries it."""
    from trueup.house import by_name

    name = next(name for name, verb in by_name().items() if verb.command is type(command))
    return Carried(name, json.to_plain(command))


def proposal(*commands: Command, **values: Any) -> ProposeChange:
    """A proposal of these commands."""
    return ProposeChange(
        title=values.pop("title", "A better rule"),
        reason=values.pop("reason", "it is better"),
        edits=tuple(carried(command) for command in commands),
        **values,
    )


def edited(change: str, *commands: Command, **values: Any) -> EditChange:
    """The change with these commands instead."""
    return EditChange(
        change=change,
        title=values.pop("title", "A better rule"),
        reason=values.pop("reason", "it is better"),
        edits=tuple(carried(command) for command in commands),
        **values,
    )


def published(kind: str, name: str = "default", **document: Any) -> PublishPolicy:
    """A policy document to publish: `published("holds", timezone="Europe/Berlin")`."""
    return PublishPolicy(policy_kind=kind, policy_name=name, document=msgspec.to_builtins(document), reason="test")
