"""Publish a policy document: validated, versioned, in force from the next batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec

from trueup.authority.register import touches_authority, wants_authority
from trueup.authority.state import Authority, PolicyPublished
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Known, Policies, Policy, digest, keys_of, read_document
from trueup.core.verb import Accepted, Command, Context, Decision, Governance, Governed, State, Verb

Kinds = dict[str, type[Policy]]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class PublishPolicy(Command, frozen=True, kw_only=True):
    """Put a document in force. policy_kind: one of the kinds the rooms declare. reason: why, for the record."""

    policy_kind: Name
    policy_name: Name
    document: dict[str, Any]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


def publishing(kinds: Kinds, known: Callable[[], Known]) -> Verb[PublishPolicy]:
    """Return the verb that publishes documents of these kinds; `known` tells what they may refer to."""

    def publish_policy(state: State, command: PublishPolicy, context: Context) -> Decision:
        """Publish the next version. Refuses an unknown kind or name and a document that is none; the same is merged."""
        document = read_document(kinds, command.policy_kind, command.document, known())
        if isinstance(document, Refusal):
            return document
        if document.names and command.policy_name not in document.names:
            return Refusal(
                "policy.unknown_name",
                f"No {command.policy_kind} policy is read as {command.policy_name!r}.",
                f"Name it one of: {', '.join(document.names)}.",
                "policy_name",
                command.policy_name,
            )
        body = json.encode(document)
        sealed = digest(body).hex()
        subject = f"{command.policy_kind}/{command.policy_name}"
        version, current = state.of(Authority).versions.get((command.policy_kind, command.policy_name), (0, ""))
        as_shipped = (
            version == 0 and document == type(document)() and _is_read_as_shipped(document, command.policy_name)
        )
        # Once changes rest on what is in force, writing down what is shipped would move their base and change nothing.
        if current == sealed or (as_shipped and state.of(Authority).declared is not None):
            return Accepted((), subject, {"version": version, "digest": sealed}, "merged")
        event = PolicyPublished(
            policy_kind=command.policy_kind,
            policy_name=command.policy_name,
            version=version + 1,
            digest=sealed,
            document=body.decode(),
            reason=command.reason,
            by=context.actor.id,
            at=context.now,
        )
        return Accepted([event], subject, {"version": version + 1, "digest": sealed})

    return Verb(
        name="authority.publish_policy",
        command=PublishPolicy,
        decide=publish_policy,
        wants=wants_authority,
        touches=touches_authority,
        governance=Governance(
            keys=tuple(sorted(keys_of(kinds))), objects=partial(_objects, kinds), undo=partial(_undo, kinds)
        ),
    )


def _objects(kinds: Kinds, state: State, command: PublishPolicy, policies: Policies) -> tuple[Governed, ...]:
    """Return the fields that would be another; all of them rest on the document that is in force as a whole."""
    proposed = read_document(kinds, command.policy_kind, command.document)
    if isinstance(proposed, Refusal):
        return ()
    kind = kinds[command.policy_kind]
    present = policies.find(kind, command.policy_name)
    _, base = state.of(Authority).versions.get((command.policy_kind, command.policy_name), (0, ""))
    name = f"policy/{command.policy_kind}/{command.policy_name}"
    over = (f"integration:{command.policy_name}",)
    keys = differing(present or kind(), proposed)
    if present is None and not keys and not _is_read_as_shipped(kind, command.policy_name):
        keys = sorted(keys_of({kind.kind: kind}))  # what is read until now need not be what is shipped
    return tuple(Governed(key, f"{name}#{key.partition('.')[2]}", base, over) for key in keys)


def _undo(kinds: Kinds, state: State, command: PublishPolicy, policies: Policies) -> Command | Refusal:
    """Return the command that publishes what is in force now; where nothing was published, what is shipped."""
    kind = kinds[command.policy_kind]
    present = policies.find(kind, command.policy_name) or kind()
    return PublishPolicy(
        policy_kind=command.policy_kind,
        policy_name=command.policy_name,
        document=json.to_plain(present),
        reason="rolled back",
    )


def _is_read_as_shipped(kind: Policy | type[Policy], name: str) -> bool:
    """Tell whether what is shipped is in force under a name that nobody published; others may fall back elsewhere."""
    return bool(kind.names) or name == "default"


def differing(present: Policy, proposed: Policy) -> list[str]:
    """Return the governed keys in which two documents of a kind differ: `kind.field`, or `kind.field:entry`."""
    found: list[str] = []
    for field in present.__struct_fields__:
        before, after = getattr(present, field), getattr(proposed, field)
        if before == after:
            continue
        parts, others = present.named_parts(field), proposed.named_parts(field)
        names = [name for name in {**parts, **others} if parts.get(name) != others.get(name)]
        left = [[name for name in known if name not in names] for known in (parts, others)]
        listed = not isinstance(before, dict)
        # No entry's own decider decides in which order the others stand, nor how often.
        if not names or (listed and (left[0] != left[1] or len(others) < len(after))):
            found.append(f"{present.kind}.{field}")
        else:
            found += [f"{present.kind}.{field}:{name}" for name in names]
    return found
