"""The organisation as a tree of brands, companies, regions, sites and channels, which people and keys are scoped to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.authority.register import touches_authority, wants_authority
from trueup.authority.state import Authority, Node, NodeKind, NodeRemoved, NodeSet
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^\S(.*\S)?$")]
_LEAVES = ("site", "channel")


class SetNode(Command, frozen=True, kw_only=True):
    """Put a part of the organisation into the tree, or change or move it.

    code: unique; a site's is its location's code, a channel's the channel's name. parent: None for a root.
    """

    code: Code
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    kind: NodeKind
    parent: Code | None = None


class RemoveNode(Command, frozen=True, kw_only=True):
    """Take a part out of the tree."""

    code: Code


def set_node(state: State, command: SetNode, context: Context) -> Decision:
    """Set the node; the same again is merged.

    Refuses an unknown parent, a site or channel with parts of its own, and a parent that lies under the node itself.
    """
    nodes = state.of(Authority).nodes
    known = nodes.get(command.code)
    refusal = _refusal(nodes, command)
    if refusal is not None:
        return refusal
    node = Node(command.code, command.name, command.kind, command.parent)
    if node == known:
        return Accepted((), command.code, {"node": command.code}, "merged")
    return Accepted([NodeSet(node=node, at=context.now)], command.code, {"node": command.code})


def remove_node(state: State, command: RemoveNode, context: Context) -> Decision:
    """Remove the node. Refuses one with parts of its own, and one that somebody's or a working key's scope names."""
    authority = state.of(Authority)
    if command.code not in authority.nodes:
        return _unknown(command.code, "code")
    below = sorted(node.code for node in authority.nodes.values() if node.parent == command.code)
    if below:
        return Refusal("authority.node_not_empty", f"{command.code!r} has parts: {', '.join(below[:5])}.",
                       "Move or remove them first.", "code", command.code)  # fmt: skip
    scoped = sorted(actor.name for actor in authority.actors.values() if command.code in actor.scope)
    scoped += sorted(f"key {key}" for key, scope in authority.key_scopes.items() if command.code in scope)
    if scoped:
        return Refusal("authority.node_in_use", f"{command.code!r} is in the scope of {', '.join(scoped[:5])}.",
                       "Change their scope first; without this node it would name nothing.",
                       "code", command.code)  # fmt: skip
    return Accepted([NodeRemoved(code=command.code, at=context.now)], command.code, {"node": command.code})


def _refusal(nodes: dict[str, Node], command: SetNode) -> Refusal | None:
    above = nodes.get(command.parent) if command.parent is not None else None
    if command.parent is not None and above is None:
        return _unknown(command.parent, "parent")
    if above is not None and above.kind in _LEAVES:
        return Refusal("authority.node_parent", f"{above.code!r} is a {above.kind}, which has no parts.",
                       "Put the node under a brand, company or region.", "parent", above.code)  # fmt: skip
    if command.kind in _LEAVES and any(node.parent == command.code for node in nodes.values()):
        return Refusal("authority.node_not_empty", f"{command.code!r} has parts; a {command.kind} has none.",
                       "Move them first.", "kind", command.kind)  # fmt: skip
    while above is not None:
        if above.code == command.code:
            return Refusal("authority.node_cycle", f"{command.parent!r} lies under {command.code!r} itself.",
                           "Choose a parent outside of it.", "parent", str(command.parent))  # fmt: skip
        above = nodes.get(above.parent) if above.parent is not None else None
    return None


def _unknown(code: str, where: str) -> Refusal:
    return Refusal("authority.unknown_node", f"The organisation has no part {code!r}.",
                   "Set it first, or correct its code.", where, code)  # fmt: skip


VERBS = (
    Verb(
        name="authority.set_node",
        command=SetNode,
        decide=set_node,
        wants=wants_authority,
        touches=touches_authority,
    ),
    Verb(
        name="authority.remove_node",
        command=RemoveNode,
        decide=remove_node,
        wants=wants_authority,
        touches=touches_authority,
    ),
)
