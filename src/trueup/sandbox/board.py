"""Who decides in the sandbox shop, who owns its data, and what they have before them: changes, a breach, a loan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from trueup.authority.apply import ApplyChange
from trueup.authority.appoint import AcceptAppointment, Appoint
from trueup.authority.approve import ApproveChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.overrides import AskOverride
from trueup.authority.propose import ProposeChange
from trueup.authority.publish import PublishPolicy
from trueup.catalogue.amend_partners import AmendPartners, PartnerFields, PartnerPatch
from trueup.catalogue.contract import Contract, Entity, Field
from trueup.catalogue.ownership import Entity as MasterData
from trueup.catalogue.ownership import FieldOwner, FieldOwnership, Mode
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.policy import Policies, Policy
from trueup.orders.conditions import Condition
from trueup.orders.holds import HoldRule, HoldRules
from trueup.sandbox.premises import SUPPLIERS
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
    ("Tara Tea", "tea@example.com", ()),
    ("Kai Kitchen", "kitchen@example.com", ()),
)
# Who is appointed to what, over which part, with which deputy; all by their place among the people.
_APPOINTED = ((7, "Master Data Owner", "category:food", 3), (8, "Master Data Owner", "category:Kitchen", 7))
DECLARED = DeclareGovernance(mode="full")
# Fields and who owns them; what becomes of a write by anybody else; whether they change only by a change.
_OWNED: tuple[tuple[MasterData, str, Mode, bool, str], ...] = (
    ("item", "Master Data Owner", "propose", True, "gtin units packs components"),
    ("item", "Master Data Owner", "accept_and_log", False, "name kind category brand weight_g length_mm width_mm"
     " height_mm tracking expires phantom net_content net_content_unit formulation certifications supplier"),
    ("item", "Finance", "propose", True, "tax_class"),
    ("item", "Finance", "accept_and_log", False, "unit_price currency price_on_pack"),
    ("item", "Operations Process Owner", "accept_and_log", False, "lead_days return_days"),
    ("partner", "Master Data Owner", "propose", True, "gln lead_days"),
    ("partner", "Master Data Owner", "accept_and_log", False, "name kind country timezone claim_days returns_days"),
    ("partner", "Finance", "propose", True, "payment_days minimum_order currency incoterm in_force_from"
     " in_force_until"),
    ("partner", "Integration Owner", "accept_and_log", False, "answer_within_minutes order_cutoff"),
)  # fmt: skip


def founding() -> list[PublishPolicy]:
    """Return what is in force before governance is declared: who owns which field, and what each item must hold."""
    owners = [
        FieldOwner(entity=entity, field=field, owner=owner, mode=mode, governed=governed)
        for entity, owner, mode, governed, fields in _OWNED
        for field in fields.split()
    ]
    weighed = Entity(name="item", fields=(Field(name="weight_g", required=True),))
    parcels = Contract(id="parcels", severity=3, containment="quarantine_item", entities=(weighed,))
    return [
        _publish("default", FieldOwnership(owners=tuple(owners)), "whoever knows a field best owns it"),
        _publish("parcels", parcels, "a parcel whose weight is not known goes at the wrong price"),
    ]


def appointments(ids: Sequence[str]) -> list[Appoint]:
    """Return who is appointed over a part of the assortment, by the ids of the people."""
    return [Appoint(actor=ids[who], role=role, over=over, deputy=ids[deputy]) for who, role, over, deputy in _APPOINTED]


def accepted(appointment: Appoint, made: str) -> list[tuple[str, AcceptAppointment]]:
    """Return who accepts an appointment (`apt_...`): who was appointed, and the deputy."""
    return [(who, AcceptAppointment(appointment=made)) for who in (appointment.actor, appointment.deputy) if who]


def loan(site: str, now: datetime) -> AskOverride:
    """Return what is asked for against a rule, and waits to be decided: more orders a day at a site than its band."""
    return AskOverride(
        rule="catalogue.outside_band",
        objects=(site,),
        reason="Two vans more until the week is over",
        department="operations",
        expires_at=now + timedelta(days=5),
    )


def proposals(policies: Policies, channel: str) -> tuple[ProposeChange, ...]:
    """Return what the planner asks for, from the documents in force: the first is then applied, the others wait."""
    holds, routing, counts = policies.get(HoldRules, channel), policies.get(Routing), policies.get(CountPolicy)
    rarely = msgspec.structs.replace(routing, when=When(every_minutes=30))
    return (
        _proposed("Source every half hour", "Fewer, fuller parcels", rarely, ("splits", "backorders")),
        _proposed("Look at orders over 400", "Chargebacks of dear orders doubled in October",
                  _stricter(holds), ("holds", "cancellations"), channel),
        _proposed("Small differences of a count need no approval", "Recounts of a few pieces took half a day",
                  msgspec.structs.replace(counts, tolerance_units=counts.tolerance_units + 2)),
        _faster(),
    )  # fmt: skip


def _faster() -> ProposeChange:
    """Return other terms of a supplier: the two fields have two owners, who both are asked."""
    terms = PartnerFields(lead_days=9, payment_days=14)
    amended = AmendPartners(rows=(PartnerPatch(code=SUPPLIERS[0].code, fields=terms),))
    return ProposeChange(
        title="Brno delivers within nine days and is paid within fourteen",
        reason="Agreed at the fair; the offer stands until the month is over",
        edits=(Carried("catalogue.amend_partners", json.to_plain(amended)),),
    )


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
    command = _publish(name, document, reason)
    return ProposeChange(
        title=title,
        reason=reason,
        edits=(Carried("authority.publish_policy", json.to_plain(command)),),
        indicators=indicators,
    )


def _publish(name: str, document: Policy, reason: str) -> PublishPolicy:
    return PublishPolicy(policy_kind=document.kind, policy_name=name, document=json.to_plain(document), reason=reason)
