"""Who decides what: the register that maps everything governed to one decider. Nobody may change what is not mapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec

from trueup.authority.shipped_decisions import SHIPPED
from trueup.authority.standing import ROLES
from trueup.core.errors import Refusal
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.verb import Actor, Governed

Domain = Literal["IT", "Operations", "joint"]
Role = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
BOARD = "Change Control Board"
SMALL_MAX = 4
"""A company of under five people cannot have a board; it has the small mode."""
PROCESS_OWNERS: dict[str, tuple[str, ...]] = {
    "IT": ("IT Process Owner",),
    "Operations": ("Operations Process Owner",),
    "joint": ("IT Process Owner", "Operations Process Owner"),
}


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who decides some keys. keys: `kind.field` of a policy, `item.field`, `role.<name>`...; `key:entry` refines one.

    decider: the one role whose yes is needed. consulted: who is told and asked. hours: within which it is decided.
    tie_breaker: who decides when these have passed without a decision.
    """

    keys: tuple[Annotated[str, msgspec.Meta(pattern=r"^[a-z_]+\.[^:\s][^:]*(:.+)?$", max_length=200)], ...]
    domain: Domain
    decider: Role
    consulted: tuple[Role, ...] = ()
    hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 48
    tie_breaker: Role = "Sponsor"


def _shipped() -> tuple[Decision, ...]:
    return tuple(
        Decision(keys=tuple(keys.split()), domain=domain, decider=decider, consulted=consulted)
        for domain, decider, consulted, keys in SHIPPED
    )


class Quorum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many different people of the board or the domain's process owners must approve a normal change.

    unreplayed: how many more where the effect cannot be replayed beforehand.
    """

    it: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    operations: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    joint: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2
    unreplayed: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1

    def of(self, domain: str) -> int:
        """Return the number for a domain."""
        return {"IT": self.it, "Operations": self.operations, "joint": self.joint}[domain]


class DecisionRights(Policy, frozen=True, kw_only=True):
    """The register. Every key there is stands in exactly one decision."""

    kind: ClassVar[str] = "decision_rights"
    unreplayed: ClassVar[str] = "it says who decides changes, which no command about an order depends on"
    names: ClassVar[tuple[str, ...]] = ("default",)
    decisions: tuple[Decision, ...] = msgspec.field(default_factory=_shipped)
    quorum: Quorum = Quorum()

    def faults(self, known: Known) -> list[Fault]:
        """Return holes, overlaps, keys nobody knows, and roles there are not."""
        found: list[Fault] = []
        for at, decision in enumerate(self.decisions):
            where = f"decisions[{at}]"
            if "Administrator" in (decision.decider, decision.tie_breaker):
                found.append(Fault(f"{where}.decider", "Administrator", "an administrator decides nothing"))
            for role in (decision.decider, decision.tie_breaker, *decision.consulted):
                if role not in ROLES:
                    found.append(Fault(where, role, f"there is no role {role!r}; use one of {', '.join(ROLES)}"))
            found += [
                Fault(f"{where}.keys", key, f"nothing governed is called {key!r}")
                for key in decision.keys
                if key.partition(":")[0] not in known.governed
            ]
        counted = Counter(key for decision in self.decisions for key in decision.keys)
        found += [Fault("decisions", key, f"{key!r} is decided {n} times") for key, n in counted.items() if n > 1]
        holes = sorted(known.governed - counted.keys())
        found += [Fault("decisions", key, f"nobody decides {key!r}") for key in holes]
        return found

    def of(self, key: str) -> Decision | None:
        """Return who decides a key; an entry of it (`key:entry`) that is not mapped is decided as the key is."""
        mapped = {known: decision for decision in self.decisions for known in decision.keys}
        return mapped.get(key) or mapped.get(key.partition(":")[0])


class Need(msgspec.Struct, frozen=True):
    """What a normal change needs: so many different people of these roles. why: the objects or the domain.

    over: parts, of which one who holds the role over a part must hold one. then: who decides too once it is overdue.
    """

    roles: tuple[str, ...]
    count: int
    why: str
    over: tuple[str, ...] = ()
    then: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """Whose yes counts, in words."""
        return deciders_named(self.roles, self.over)

    def met_by(self, deciding: Iterable[str]) -> bool:
        """Tell whether somebody who decides by these roles (`Actor.deciding`) counts here."""
        wanted = {*self.roles, *(f"{role}@{part}" for role in self.roles for part in self.over)}
        return not wanted.isdisjoint(deciding)


_IN_PARTS = frozenset({"Integration Owner", "Master Data Owner"})


def deciders_named(roles: Sequence[str], over: Sequence[str]) -> str:
    """Return roles in words, with the parts where one of them is commonly given over parts."""
    where = f" over {' or '.join(over)}, or all" if over and not _IN_PARTS.isdisjoint(roles) else ""
    return f"{' or '.join(roles)}{where}"


def needs(
    register: DecisionRights, objects: Iterable[Governed], *, unreplayed: bool, small: bool, overdue: bool = False
) -> tuple[Need, ...] | Refusal:
    """Return whose approvals objects need: the decider of each, and each domain's quorum.

    unreplayed: whether the effect cannot be replayed, which needs more. small: in the small mode, any one other person
    who decides one of them, or the Sponsor. overdue: the decider's time is over, and the tie-breaker decides as well.
    Refuses an object that nobody decides.
    """
    owners: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    breakers: dict[tuple[tuple[str, ...], tuple[str, ...]], set[str]] = {}
    domains: set[str] = set()
    for one in objects:
        decision = register.of(one.key)
        if decision is None:
            return unmapped(one.key)
        deciders = (decision.decider, decision.tie_breaker) if overdue else (decision.decider,)
        group = (tuple(dict.fromkeys(deciders)), one.over)
        owners.setdefault(group, []).append(one.key)
        breakers.setdefault(group, set()).update({decision.tie_breaker} - {*deciders})
        domains.add(decision.domain)
    found = [
        Need(group[0], 1, _listed(keys), group[1], tuple(sorted(breakers[group])))
        for group, keys in sorted(owners.items())
    ]
    for domain in sorted(domains):
        found.append(_quorum(register, domain, unreplayed=unreplayed))
    if small:
        roles = {role for need in found for role in need.roles} | {"Sponsor"}
        return (Need(tuple(sorted(roles)), 1, "small company: one other person"),)
    return tuple(found)


def quorum_of(policies: Policies, key: str) -> Need | None:
    """Return who else has to say yes to a change of one key, in the full mode; None for what nobody decides."""
    register = policies.get(DecisionRights)
    decision = register.of(key)
    kind = policies.kinds.get(key.partition(".")[0])
    unreplayed = kind is None or bool(kind.unreplayed)
    return _quorum(register, decision.domain, unreplayed=unreplayed) if decision is not None else None


def _quorum(register: DecisionRights, domain: str, *, unreplayed: bool) -> Need:
    count = register.quorum.of(domain) + (register.quorum.unreplayed if unreplayed else 0)
    return Need((BOARD, *PROCESS_OWNERS[domain]), count, f"quorum of {domain}")


def may_decide(actor: Actor, roles: tuple[str, ...], one: Governed) -> bool:
    """Tell whether somebody holds one of the roles over this object, or over everything."""
    return Need(roles, 1, "", one.over).met_by(actor.deciding())


def deciding_roles(policies: Policies) -> frozenset[str]:
    """Return the roles whose holders have a vote on some change."""
    register = policies.get(DecisionRights).decisions
    named = {role for decision in register for role in (decision.decider, decision.tie_breaker)}
    return frozenset(named.union({BOARD}, *PROCESS_OWNERS.values()))


def small_holds(mode: str, people: int) -> bool:
    """Tell whether the small mode holds: it was declared, and there are still fewer than five people."""
    return mode == "small" and people <= SMALL_MAX


def who_decides(policies: Policies, key: str) -> str:
    """Return who decides a key and how long that takes, as a sentence for a refusal or a page."""
    decision = policies.get(DecisionRights).of(key)
    if decision is None:
        return f"Nobody decides {key}; the Sponsor has to map it in the policy decision_rights first."
    consulted = f" after asking {', '.join(decision.consulted)}" if decision.consulted else ""
    return (
        f"{decision.decider} decides {key}{consulted} ({decision.domain}), within {decision.hours} hours; "
        f"then {decision.tie_breaker} does."
    )


def unmapped(key: str) -> Refusal:
    """Return why what nobody decides cannot be changed."""
    return Refusal(
        "authority.unmapped",
        f"Nobody decides {key!r}, so nobody may change it.",
        "Propose a change of the policy decision_rights that maps it to a decider.",
        "key",
        key,
    )


def _listed(keys: list[str]) -> str:
    shown = sorted(set(keys))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
