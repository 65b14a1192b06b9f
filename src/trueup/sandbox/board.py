"""Who decides in the sandbox shop, and what they have before them: governance is declared, and changes are open."""

from __future__ import annotations

import msgspec

from trueup.authority.apply import ApplyChange
from trueup.authority.approve import ApproveChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.propose import ProposeChange
from trueup.authority.publish import PublishPolicy
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.policy import Policies, Policy
from trueup.core.verb import Command
from trueup.orders.conditions import Condition
from trueup.orders.holds import HoldRule, HoldRules
from trueup.sourcing.policy import Routing, When
from trueup.stock.counting import CountPolicy

# Name, e-mail and the roles of who decides.
PEOPLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Onno Operations", "operations@example.com", ("Operations Process Owner",)),
    ("Ivo Systems", "systems@example.com", ("IT Process Owner",)),
    ("Bea Board", "board@example.com", ("Change Control Board",)),
    ("Mira Masterdata", "masterdata@example.com", ("Master Data Owner",)),
    ("Ines Interface", "interface@example.com", ("Integration Owner",)),
    ("Finn Finance", "finance@example.com", ("Finance",)),
    ("Sonja Sponsor", "sponsor@example.com", ("Sponsor",)),
)
DECLARED = DeclareGovernance(mode="full")


def proposals(policies: Policies, channel: str) -> tuple[ProposeChange, ProposeChange, ProposeChange]:
    """Return what the planner asks for, from the documents in force: the first is then applied, the others wait."""
    holds, routing, counts = policies.get(HoldRules, channel), policies.get(Routing), policies.get(CountPolicy)
    rarely = msgspec.structs.replace(routing, when=When(every_minutes=30))
    return (
        _proposed("Source every half hour", "Fewer, fuller parcels", rarely, ("splits", "backorders")),
        _proposed("Look at orders over 400", "Chargebacks of dear orders doubled in October",
                  _stricter(holds), ("holds", "cancellations"), channel),
        _proposed("Small differences of a count need no approval", "Recounts of a few pieces took half a day",
                  msgspec.structs.replace(counts, tolerance_units=counts.tolerance_units + 2)),
    )  # fmt: skip


def _stricter(holds: HoldRules) -> HoldRules:
    """Return the channel's own rules with a lower limit for dear orders; its other rules stay."""
    when = (Condition("order.total", "over", "400"), Condition("order.currency", "is", "EUR"))
    dear = HoldRule("dear", "fraud", "More than 400 in one order", when)
    tables = [
        msgspec.structs.replace(table, rules=tuple(dear if rule.name == dear.name else rule for rule in table.rules))
        for table in holds.tables
    ]
    return msgspec.structs.replace(holds, tables=tuple(tables))


def voted(change: str, digest: str) -> tuple[ApproveChange, ApplyChange]:
    """Return the yes to a change, and the act that carries it out."""
    return ApproveChange(change=change, digest=digest), ApplyChange(change=change)


def _proposed(
    title: str, reason: str, document: Policy, indicators: tuple[str, ...] = (), name: str = "default"
) -> ProposeChange:
    command: Command = PublishPolicy(
        policy_kind=document.kind, policy_name=name, document=json.to_plain(document), reason=reason
    )
    return ProposeChange(
        title=title,
        reason=reason,
        edits=(Carried("authority.publish_policy", json.to_plain(command)),),
        indicators=indicators,
    )
