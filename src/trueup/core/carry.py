"""Commands inside of commands: a change carries what it will do, a case's rung what it may do.

A carrier is a command with `Carried` parts. Its verb asks for the rows that the carried commands want, and its rule
decides them with their own rules: so there is one rule per act, whoever brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import C, Command, Context, Decision, State, Verb

Verbs = Callable[[], Mapping[str, Verb[Any]]]
"""The house's verbs by name, asked for when they are needed: a carrier is one of them itself."""


class Carried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command as plain data. verb: `room.verb`; command: its body."""

    verb: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    command: dict[str, Any]


class Opened(msgspec.Struct, frozen=True):
    """A carried command that is one."""

    verb: Verb[Any]
    command: Command


def opened(verbs: Mapping[str, Verb[Any]], carried: Carried, where: str) -> Opened | Refusal:
    """Return the verb and command that were carried; refuses what there is no verb for, and a body that is none.

    where: the path to it in the carrier, for the refusal.
    """
    verb = verbs.get(carried.verb)
    if verb is None:
        return Refusal("carry.unknown_verb", f"There is no act {carried.verb!r}.",
                       "`trueup verbs` lists them.", f"{where}.verb", carried.verb)  # fmt: skip
    try:
        return Opened(verb, json.from_plain(carried.command, verb.command))
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        at = f"{where}.command{path.rstrip('`')}"
        return Refusal("carry.invalid", f"This is no {carried.verb}: {what}.", "Correct it and send it again.", at)


def readable(verbs: Mapping[str, Verb[Any]], carried: Sequence[Carried]) -> list[Opened]:
    """Return those that can be opened; what cannot is refused by the carrier's rule, and wants no rows before."""
    found = (opened(verbs, part, "") for part in carried)
    return [part for part in found if isinstance(part, Opened)]


def bound(
    rule: Callable[[Verbs, State, C, Context], Decision], verbs: Verbs
) -> Callable[[State, C, Context], Decision]:
    """Return a carrier's rule with the house's verbs at hand, saying of itself what the rule says."""

    def decide(state: State, command: C, context: Context) -> Decision:
        return rule(verbs, state, command, context)

    decide.__doc__ = rule.__doc__
    return decide


def want(verbs: Mapping[str, Verb[Any]], carried: Sequence[Carried], state: State, policies: Policies) -> None:
    """Ask for the rows that the carried commands want; for a carrier's `wants`."""
    for part in readable(verbs, carried):
        part.verb.wants(state, part.command, policies)


def then_want(verbs: Mapping[str, Verb[Any]], carried: Sequence[Carried], state: State, policies: Policies) -> None:
    """Ask for what those rows name; for a carrier's `then_wants`."""
    for part in readable(verbs, carried):
        if part.verb.then_wants is not None:
            part.verb.then_wants(state, part.command, policies)
