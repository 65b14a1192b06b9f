"""Publish a policy document: validated, versioned, in force from the next batch; or withdraw it.

Where a document is withdrawn, its name is read as if nothing had ever been published under it. Its versions stay: who
pinned one keeps it, and the next one published has the next number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from trueup.authority.register import touches_authority, wants_authority
from trueup.authority.state import Authority, PolicyPublished, PolicyWithdrawn
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Known, Policies, Policy, digest, keys_of, read_document
from trueup.core.verb import Accepted, Command, Context, Decision, Governance, Governed, State, Verb

Kinds = dict[str, type[Policy]]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class PublishPolicy(Command, frozen=True, kw_only=True):
    """Put a document in force. policy_kind: one of the kinds the rooms declare. reason: why, for the record."""

    policy_kind: Name
    policy_name: Name
    document: dict[str, Any]
    reason: Reason


class WithdrawPolicy(Command, frozen=True, kw_only=True):
    """Take a document out of force, so that its name is read as before there was one. reason: why, for the record."""

    policy_kind: Name
    policy_name: Name
    reason: Reason


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
        authority = state.of(Authority)
        _, current = authority.versions.get((command.policy_kind, command.policy_name), (0, ""))
        as_shipped = not current and document == type(document)() and _is_read_as_shipped(document, command.policy_name)
        # Once changes rest on what is in force, writing down what is shipped would move their base and change nothing.
        if current == sealed or (as_shipped and authority.declared is not None):
            version, _ = authority.versions.get((command.policy_kind, command.policy_name), (0, ""))
            return Accepted((), subject, {"version": version, "digest": sealed}, "merged")
        version = authority.last_version(command.policy_kind, command.policy_name)
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


def withdrawing(kinds: Kinds) -> Verb[WithdrawPolicy]:
    """Return the verb that takes documents of these kinds out of force."""

    def withdraw_policy(state: State, command: WithdrawPolicy, context: Context) -> Decision:
        """Withdraw the document in force; where it says what is shipped, and that would be read, it is merged.

        Refuses a name under which nothing is in force.
        """
        subject = f"{command.policy_kind}/{command.policy_name}"
        version, _ = state.of(Authority).versions.get((command.policy_kind, command.policy_name), (0, ""))
        if not version:
            return Refusal(
                "policy.not_in_force",
                f"No document of {command.policy_kind} is in force as {command.policy_name!r}.",
                "Look at the versions there are: `trueup show /v1/policies`.",
                "policy_name",
                command.policy_name,
            )
        kind = kinds.get(command.policy_kind)
        if kind is not None and state.of(Authority).declared is not None and not _withdrawn(
            kind, command.policy_name, context.policies
        ):  # fmt: skip
            return Accepted((), subject, {"version": version}, "merged")
        event = PolicyWithdrawn(
            policy_kind=command.policy_kind,
            policy_name=command.policy_name,
            version=version,
            reason=command.reason,
            by=context.actor.id,
            at=context.now,
        )
        return Accepted([event], subject, {"withdrawn": version})

    return Verb(
        name="authority.withdraw_policy",
        command=WithdrawPolicy,
        decide=withdraw_policy,
        wants=wants_authority,
        touches=touches_authority,
        governance=Governance(
            keys=tuple(sorted(keys_of(kinds))),
            objects=partial(_objects_withdrawn, kinds),
            undo=partial(_undo_withdrawn, kinds),
        ),
    )


def _objects(kinds: Kinds, state: State, command: PublishPolicy, policies: Policies) -> tuple[Governed, ...]:
    """Return the fields that would be another; all of them rest on the document that is in force as a whole."""
    proposed = read_document(kinds, command.policy_kind, command.document)
    if isinstance(proposed, Refusal):
        return ()
    kind = kinds[command.policy_kind]
    present = policies.find(kind, command.policy_name)
    keys = differing(present or policies.read_as(kind, command.policy_name), proposed)
    if present is None and not keys and not _is_read_as_shipped(kind, command.policy_name):
        keys = sorted(keys_of({kind.kind: kind}))  # it stands by itself from then on, whatever becomes of the others
    return _touched(state, command, keys, _base(kind, state, command, first=present is None))


def _objects_withdrawn(
    kinds: Kinds, state: State, command: WithdrawPolicy, policies: Policies
) -> tuple[Governed, ...]:  # fmt: skip
    """Return the fields that would be read otherwise: as `default` says, where the kind falls back, or as shipped.

    They rest on both documents: what is read afterwards is the other one's word.
    """
    kind = kinds.get(command.policy_kind)
    if kind is None:
        return ()
    keys = _withdrawn(kind, command.policy_name, policies)
    return _touched(state, command, keys, _base(kind, state, command, first=True))


def _withdrawn(kind: type[Policy], name: str, policies: Policies) -> list[str]:
    """Return the governed keys that withdrawing a document changes: all, where it says what falls back to others."""
    present = policies.find(kind, name)
    if present is None:
        return []
    keys = differing(present, _read_without(kind, name, policies))
    return keys if keys or _is_read_as_shipped(kind, name) else sorted(keys_of({kind.kind: kind}))


def _read_without(kind: type[Policy], name: str, policies: Policies) -> Policy:
    return kind() if name == "default" else policies.read_as(kind, name)


def _touched(
    state: State, command: PublishPolicy | WithdrawPolicy, keys: Sequence[str], base: str
) -> tuple[Governed, ...]:  # fmt: skip
    name = f"policy/{command.policy_kind}/{command.policy_name}"
    over = (f"integration:{command.policy_name}",)
    return tuple(Governed(key, f"{name}#{key.partition('.')[2]}", base, over) for key in keys)


def _base(kind: type[Policy], state: State, command: PublishPolicy | WithdrawPolicy, *, first: bool) -> str:
    """Return what a command rests on: the document in force, and with `first` what is read where there is none."""
    versions = state.of(Authority).versions
    _, own = versions.get((kind.kind, command.policy_name), (0, ""))
    _, default = versions.get((kind.kind, "default"), (0, ""))
    falls = first and kind.falls_back and command.policy_name != "default" and default
    return f"{own}{BESIDE}{default}" if falls else own


def _undo(kinds: Kinds, state: State, command: PublishPolicy, policies: Policies) -> Command | Refusal:
    """Return the command that publishes what is in force now; where nothing is, the one that withdraws."""
    present = policies.find(kinds[command.policy_kind], command.policy_name)
    if present is None:
        return WithdrawPolicy(
            policy_kind=command.policy_kind, policy_name=command.policy_name, reason="rolled back"
        )  # fmt: skip
    return _publishing(command, present)


def _undo_withdrawn(kinds: Kinds, state: State, command: WithdrawPolicy, policies: Policies) -> Command | Refusal:
    """Return the command that publishes what would be withdrawn."""
    present = policies.find(kinds[command.policy_kind], command.policy_name)
    assert present is not None, "what changes something withdraws a document"
    return _publishing(command, present)


def _publishing(command: PublishPolicy | WithdrawPolicy, document: Policy) -> PublishPolicy:
    return PublishPolicy(
        policy_kind=command.policy_kind,
        policy_name=command.policy_name,
        document=json.to_plain(document),
        reason="rolled back",
    )


def _is_read_as_shipped(kind: Policy | type[Policy], name: str) -> bool:
    """Tell whether what is shipped is in force under a name that nobody published; others may fall back elsewhere."""
    return bool(kind.names) or name == "default"


BESIDE = "+"
"""Between the digests of a base: of the document itself, and of `default`, which is read where it is not."""


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
