"""Publish a policy document: validated, versioned, in force from the next batch."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from trueup.authority.register import touches_authority, wants_authority
from trueup.authority.state import Authority, PolicyPublished
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Policy, digest, read_document
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class PublishPolicy(Command, frozen=True, kw_only=True):
    """Put a document in force. policy_kind: one of the kinds the rooms declare. reason: why, for the record."""

    policy_kind: Name
    policy_name: Name
    document: dict[str, Any]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


def publishing(kinds: dict[str, type[Policy]]) -> Verb[PublishPolicy]:
    """Return the verb that publishes documents of these kinds."""

    def publish_policy(state: State, command: PublishPolicy, context: Context) -> Decision:
        """Publish the next version. Refuses an unknown kind and a document that is not one; the same one is merged."""
        document = read_document(kinds, command.policy_kind, command.document)
        if isinstance(document, Refusal):
            return document
        body = json.encode(document)
        sealed = digest(body).hex()
        subject = f"{command.policy_kind}/{command.policy_name}"
        version, current = state.of(Authority).versions.get((command.policy_kind, command.policy_name), (0, ""))
        if current == sealed:
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
    )
