"""Register a partner with the terms agreed with it, or replace them."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec

from trueup.catalogue.amend import PUT_BACK, present, put_back
from trueup.catalogue.amend_partners import PARTNERS, AmendPartners, PartnerFields
from trueup.catalogue.amendments import Amendments
from trueup.catalogue.given import Days, Key, Minutes, Text, TimeOfDay
from trueup.catalogue.governed import governed_fields
from trueup.catalogue.ownership import KEYS
from trueup.catalogue.partner_state import Incoterm, Partner, PartnerKind, PartnerRegistered, Partners
from trueup.catalogue.sound import unsound_partner
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields, Given, Value, checked
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Governance, Governed, State, Verb


class RegisterPartner(Command, frozen=True, kw_only=True):
    """Make a partner known, or replace its terms; what is left out is not agreed.

    code: what it is called; unique, letter case counts. kind: what it does for us; it stays. gln: 13 digits (GS1).
    country: ISO 3166-1 alpha-2. timezone: IANA name. currency: ISO 4217, of its minimum order. in_force_from,
    in_force_until: first and last day of the agreement there. lead_days: from ordering an item to receiving it.
    minimum_order: least value of one order. payment_days: after its invoice. incoterm: Incoterms 2020. claim_days:
    after receipt, to claim a damage or a shortage. returns_days: after receipt, within which it takes goods back; 0 is
    never. answer_within_minutes: by when it answers what is handed to it. order_cutoff: HH:MM there; what comes later
    counts as the next day's.
    """

    code: Key
    name: Text
    kind: PartnerKind = "supplier"
    gln: str | None = None
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    timezone: str = "UTC"
    currency: str | None = None
    in_force_from: date | None = None
    in_force_until: date | None = None
    lead_days: Days | None = None
    minimum_order: Amount | None = None
    payment_days: Days | None = None
    incoterm: Incoterm | None = None
    claim_days: Days | None = None
    returns_days: Days | None = None
    answer_within_minutes: Minutes | None = None
    order_cutoff: TimeOfDay | None = None
    fields: Given = msgspec.field(default_factory=dict)


def register_partner(state: State, command: RegisterPartner, context: Context) -> Decision:
    """Register the partner; a repetition that changes nothing ends as merged.

    Refuses another kind for a partner that is known, since items and policies refer to it as what it is; a GLN whose
    check digit is wrong, an unknown time zone or currency, a least order value without a currency, an agreement that
    ends before it begins, and unknown custom fields. Nothing is written then.
    Source: GS1 General Specifications (GLN); Incoterms 2020.
    """
    known = state.of(Partners).partner(command.code)
    if known is not None and known.kind != command.kind:
        return Refusal("catalogue.partner_kind", f"{command.code!r} is a {known.kind} and stays one.",
                       "Register what the company does besides under a code of its own.", "kind",
                       command.kind)  # fmt: skip
    fields = checked(context.policies.get(CustomFields, "partner"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return fields
    partner = _partner(command, known, fields, context.new_id("par"))
    refusal = unsound_partner(partner)
    if refusal is not None:
        return refusal
    result = {"partner": partner.id, "code": partner.code}
    if known is not None and msgspec.structs.replace(partner, version=known.version) == known:
        return Accepted((), partner.id, result, "merged")
    return Accepted([PartnerRegistered(partner=partner, at=context.now)], partner.id, result)


def _partner(command: RegisterPartner, known: Partner | None, fields: dict[str, Value], new_id: str) -> Partner:
    said = {name: getattr(command, name) for name in command.__struct_fields__}
    version = known.version + 1 if known else 1
    return Partner(**{**said, "id": known.id if known else new_id, "version": version, "fields": fields})


def _objects(state: State, command: RegisterPartner, policies: Policies) -> tuple[Governed, ...]:
    """Return the governed fields that the registration would change; of a new partner, those it gives a value."""
    known = state.of(Partners).partner(command.code)
    fields = checked(policies.get(CustomFields, "partner"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return ()
    partner = _partner(command, known, fields, f"code:{command.code}")
    return tuple(sorted(governed_fields(state, "partner", known, partner, policies), key=lambda one: one.object))


def _undo(state: State, command: RegisterPartner, policies: Policies) -> AmendPartners | Refusal:
    """Return the amendment that puts back what a known partner is; what is new is not made unknown again."""
    known = state.of(Partners).partner(command.code)
    if known is None:
        return Refusal("catalogue.registered",
                       f"{command.code!r} is registered by this; what is known does not become unknown.",
                       "Amend its fields instead, its last day among them.", "code", command.code)  # fmt: skip
    given = dict.fromkeys(name for name in PartnerFields.__struct_fields__ if name != "fields")
    fields = {**present(known, given), "fields": {**dict.fromkeys(command.fields), **known.fields}}
    return json.convert({"rows": [put_back(PARTNERS, known, fields)], "reason": PUT_BACK}, AmendPartners)


def _wants(state: State, command: RegisterPartner, policies: Policies) -> None:
    state.of(Partners).want(command.code, change=True)
    state.of(Amendments).want(partner=command.code)


VERBS = (
    Verb(
        name="catalogue.register_partner",
        command=RegisterPartner,
        decide=register_partner,
        wants=_wants,
        touches=lambda command: (f"partner:{command.code}",),
        governance=Governance(keys=KEYS["partner"], objects=_objects, undo=_undo),
    ),
)
