"""Amend partners and the terms agreed with them, field by field; integrations read them, and lead times follow them."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated

import msgspec

from trueup.catalogue.amend import (
    ROWS_MAX,
    Amendable,
    Patched,
    Reason,
    amend,
    given_of,
    patched_fields,
    touched,
    undone,
)
from trueup.catalogue.amendments import Amendments
from trueup.catalogue.given import Days, Minutes, Text, TimeOfDay
from trueup.catalogue.ownership import KEYS
from trueup.catalogue.partner_state import Incoterm, Partner, PartnerRegistered, Partners
from trueup.catalogue.sound import unsound_partner
from trueup.core.errors import Refusal
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.verb import Body, Command, Context, Decision, Governance, State, Verb


class PartnerFields(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields of a partner that can be amended, in the units of `RegisterPartner`; what is left out stays.

    null takes away what may be missing. fields: custom ones by name, each by itself.
    """

    name: Text | msgspec.UnsetType = msgspec.UNSET
    gln: str | msgspec.UnsetType | None = msgspec.UNSET
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | msgspec.UnsetType | None = msgspec.UNSET
    timezone: str | msgspec.UnsetType = msgspec.UNSET
    currency: str | msgspec.UnsetType | None = msgspec.UNSET
    in_force_from: date | msgspec.UnsetType | None = msgspec.UNSET
    in_force_until: date | msgspec.UnsetType | None = msgspec.UNSET
    lead_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    minimum_order: Amount | msgspec.UnsetType | None = msgspec.UNSET
    payment_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    incoterm: Incoterm | msgspec.UnsetType | None = msgspec.UNSET
    claim_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    returns_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    answer_within_minutes: Minutes | msgspec.UnsetType | None = msgspec.UNSET
    order_cutoff: TimeOfDay | msgspec.UnsetType | None = msgspec.UNSET
    fields: Patched | msgspec.UnsetType = msgspec.UNSET


class PartnerPatch(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields of one partner (by its code), what they become, and the day there from which it holds.

    withdraw_planned: take back what is planned for these fields on later days.
    """

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    fields: PartnerFields
    effective_from: date | None = None
    withdraw_planned: bool = False


class AmendPartners(Command, frozen=True, kw_only=True):
    """Change fields of partners, all rows or none. reason: why, in the record."""

    rows: Annotated[tuple[PartnerPatch, ...], msgspec.Meta(min_length=1, max_length=ROWS_MAX)]
    reason: Reason = ""


def amend_partners(state: State, command: AmendPartners, context: Context) -> Decision:
    """Amend the partners, or plan it for the day it takes effect there; all rows, or none of them.

    Refuses, naming each row and field, a partner nobody knows and a term that cannot be like this (a GLN whose check
    digit is wrong, a least order value without a currency); nothing is written then. What changes nothing ends as
    merged. What the partner does for us stays as it was registered.
    """
    return amend(PARTNERS, state, command, context)


def _unknown(code: str, where: str) -> Refusal:
    return Refusal("catalogue.unknown_partner", f"There is no partner {code[:80]!r}.",
                   "Register it first, or correct the code.", f"{where}.code", code[:80])  # fmt: skip


def patched_partner(before: Partner, patch: PartnerFields, policies: Policies, where: str) -> Partner | Refusal:
    """Return the partner with the fields of a patch, or why it cannot be like that."""
    given = given_of(patch)
    fields = patched_fields(before, given, policies, where)
    if isinstance(fields, Refusal):
        return fields
    after = msgspec.structs.replace(before, **{**given, "fields": fields})
    return unsound_partner(after, where) or after


PARTNERS: Amendable[Partner] = Amendable(
    entity="partner",
    key="code",
    plural="partners",
    rows=AmendPartners,
    patch=PartnerPatch,
    fields=PartnerFields,
    find=lambda state, key: state.of(Partners).partner(key),
    held=lambda state, id_: state.of(Partners).partners.get(id_),
    unknown=_unknown,
    patched=patched_partner,
    timezone=lambda partner, policies: partner.timezone,
    registered=lambda partner, **said: PartnerRegistered(partner=partner, **said),
)


def _wants(state: State, command: AmendPartners, policies: Policies) -> None:
    for row in command.rows:
        state.of(Partners).want(row.code, change=True)
        state.of(Amendments).want(partner=row.code)


VERBS = (
    Verb(
        name="catalogue.amend_partners",
        command=AmendPartners,
        decide=amend_partners,
        wants=_wants,
        touches=lambda command: tuple(f"partner:{row.code}" for row in command.rows),
        governance=Governance(keys=KEYS["partner"], objects=partial(touched, PARTNERS), undo=partial(undone, PARTNERS)),
    ),
)
