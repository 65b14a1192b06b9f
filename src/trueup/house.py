"""The one file that knows every room: it hands the door its verbs, rows and guards, in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from trueup import storyline
from trueup.authority import (
    apply,
    appoint,
    approve,
    carried,
    change_control,
    changes_state,
    confirm,
    decision_rights,
    declare,
    delegate,
    drift,
    employ,
    for_case,
    governed,
    lent,
    organisation,
    overridable,
    overrides,
    overrides_state,
    pending_state,
    people_policy,
    people_state,
    propose,
    publish,
    refusals,
    register,
    resign,
    separation,
    stalemate,
    standing,
    writers,
    writers_policy,
    writers_state,
)
from trueup.authority import checks as authority_checks
from trueup.authority import limits as amounts
from trueup.authority import past as authority_past
from trueup.authority import state as authority
from trueup.authority.parts import Places, under_parts
from trueup.cases import act, close, ladder, merge, own, pause, pricing
from trueup.cases import checks as cases_checks
from trueup.cases import open as open_
from trueup.cases import state as cases
from trueup.catalogue import (
    amend,
    amend_locations,
    amend_partners,
    amendments,
    apply_amendment,
    breach,
    breach_checks,
    breach_state,
    contract,
    contract_import,
    cost,
    operate,
    owned,
    ownership,
    partner_state,
    quarantine,
    readiness,
    register_partner,
)
from trueup.catalogue import checks as catalogue_checks
from trueup.catalogue import register as catalogue_register
from trueup.catalogue import state as catalogue
from trueup.catalogue.parts import parts_written
from trueup.core import checks as core_checks
from trueup.core.batch import House
from trueup.core.calendars import WorkCalendar
from trueup.core.checks import Check
from trueup.core.fields import CustomFields
from trueup.core.past import Rooms
from trueup.core.policy import Known, Policy, keys_of
from trueup.core.verb import Event, Slice, State, Verb
from trueup.migrate import checks as migrate_checks
from trueup.migrate.mapping import Mapping
from trueup.orders import (
    adopt,
    adoption,
    advance,
    cancel,
    changes,
    channel,
    commit_tax,
    draft,
    draft_state,
    expire,
    fulfilment_orders,
    held,
    hold,
    hold_checks,
    hold_state,
    hold_upkeep,
    holds,
    place,
    record,
    revise,
    suspect,
    tax,
    tax_state,
    workflow,
    writing,
)
from trueup.orders import checks as orders_checks
from trueup.orders import past as orders_past
from trueup.orders import state as orders
from trueup.oversight.exposure import ExposurePolicy
from trueup.parties import checks as parties_checks
from trueup.parties import record as parties_record
from trueup.parties import state as parties
from trueup.sourcing import allocate, assign, finish_run, parts, ready, reject
from trueup.sourcing import checks as sourcing_checks
from trueup.sourcing import lent as loans
from trueup.sourcing import past as sourcing_past
from trueup.sourcing import policy as sourcing_policy
from trueup.sourcing import state as sourcing
from trueup.stock import (
    buckets,
    count,
    count_state,
    counting,
    feed,
    feed_checks,
    feed_settle,
    feed_state,
    freeze,
    freeze_checks,
    freeze_state,
    intents,
    kits,
    ledger,
    limits,
    lot_state,
    lots,
    pools,
    reasons,
    receive,
    reserve,
    supply,
    supply_checks,
    supply_state,
    transfer,
    transfer_state,
)
from trueup.stock import checks as stock_checks
from trueup.stock import past as stock_past
from trueup.stock import promise as stock_promise
from trueup.stock import state as stock
from trueup.stock.parts import feed_of

POLICY_KINDS: dict[str, type[Policy]] = {
    kind.kind: kind
    for kind in (
        standing.Rights,
        decision_rights.DecisionRights,
        change_control.ChangeControl,
        people_policy.PeoplePolicy,
        amounts.AmountLimits,
        people_policy.Separation,
        writers_policy.WritingSystems,
        overridable.Overriding,
        refusals.GuardModes,
        CustomFields,
        ladder.Ladder,
        ladder.Rota,
        ladder.RootCauses,
        pricing.CasePricing,
        WorkCalendar,
        stock_promise.PromisePolicy,
        stock_promise.ShippingMethods,
        freeze.Freezing,
        limits.Buffers,
        feed.Feeding,
        operate.SiteBands,
        contract.Contract,
        readiness.ReadinessPolicy,
        ownership.FieldOwnership,
        channel.Channel,
        tax.TaxTable,
        workflow.Workflow,
        holds.HoldRules,
        sourcing_policy.Routing,
        reasons.AdjustmentReasons,
        counting.CountPolicy,
        Mapping,
        ExposurePolicy,
    )
}


@cache
def by_name() -> dict[str, Verb[Any]]:
    """Return the verbs by name with their bare rules: an approved change has asked everybody who has to be asked."""
    return {verb.name: verb for verb in VERBS}


@cache
def confirmed_by_name() -> dict[str, Verb[Any]]:
    """Return the verbs by name as the door has them, but for limits.

    Those are asked of what carries them: an act for a case, or the second person's word that is given by now.
    """
    return {verb.name: _watched(verb, limited=False) for verb in VERBS}


@cache
def proposed_by_name() -> dict[str, Verb[Any]]:
    """Return the verbs by name as a proposal tries them: a change gives no right to what it is not voted on for."""
    return {verb.name: owned.as_proposed(verb) for verb in VERBS}


@cache
def known() -> Known:
    """Return what documents may refer to: the commands there are, and the keys that need a decider."""
    governed_by_verbs = (verb.governance.keys for verb in VERBS if verb.governance is not None)
    keys = frozenset(key for keys in governed_by_verbs for key in keys)
    return Known({verb.name: verb.command for verb in VERBS}, keys | keys_of(POLICY_KINDS),
                 frozenset(standing.ROLES))  # fmt: skip


VERBS: tuple[Verb[Any], ...] = (
    *register.VERBS,
    *appoint.VERBS,
    *resign.VERBS,
    *delegate.VERBS,
    *employ.VERBS,
    *confirm.confirming(lambda: confirmed_by_name()),
    *organisation.VERBS,
    publish.publishing(POLICY_KINDS, lambda: known()),
    publish.withdrawing(POLICY_KINDS),
    *writers.VERBS,
    *overrides.VERBS,
    *declare.VERBS,
    *drift.VERBS,
    *stalemate.VERBS,
    *propose.proposing(lambda: proposed_by_name()),
    *propose.VERBS,
    *approve.approving(lambda: by_name()),
    *apply.applying(lambda: by_name()),
    *open_.VERBS,
    *act.VERBS,
    *close.VERBS,
    *own.VERBS,
    *pause.VERBS,
    *merge.VERBS,
    *pricing.VERBS,
    *for_case.acting_for_cases(lambda: confirmed_by_name(), lambda state, event: written(state, event)),
    *catalogue_register.VERBS,
    *amend.VERBS,
    *amend_locations.VERBS,
    *register_partner.VERBS,
    *amend_partners.VERBS,
    *apply_amendment.VERBS,
    *cost.VERBS,
    *operate.VERBS,
    *breach.VERBS,
    *quarantine.VERBS,
    contract_import.importing(lambda: by_name()["authority.publish_policy"]),
    *parties_record.VERBS,
    *reserve.VERBS,
    *receive.VERBS,
    *count.VERBS,
    *counting.VERBS,
    *buckets.VERBS,
    *lots.VERBS,
    *transfer.VERBS,
    *kits.VERBS,
    *supply.VERBS,
    *freeze.VERBS,
    *intents.VERBS,
    *pools.VERBS,
    *feed.VERBS,
    *feed_settle.VERBS,
    *place.VERBS,
    *cancel.VERBS,
    *draft.VERBS,
    *expire.VERBS,
    *revise.VERBS,
    *commit_tax.VERBS,
    *hold.VERBS,
    *hold_upkeep.VERBS,
    *advance.VERBS,
    *adopt.VERBS,
    *suspect.VERBS,
    *record.VERBS,
    *assign.VERBS,
    *allocate.VERBS,
    *parts.VERBS,
    *reject.VERBS,
    *finish_run.VERBS,
)

# The order of locks: names, sites (shared; a freeze's start alone), orders by id, balances by (item, location), cases;
# the registry of writers (shared; its change alone) and rights, which lock the epoch, come before all.
SLICES: tuple[type[Slice], ...] = (
    writers_state.Writers,
    authority.Authority,
    overrides_state.Overrides,
    people_state.People,
    pending_state.PendingActs,
    separation.Acts,
    changes_state.Changes,
    catalogue.Catalogue,
    partner_state.Partners,
    amendments.Amendments,
    cost.Costs,
    parties.Parties,
    freeze_state.Freezes,
    draft_state.Drafts,
    adoption.Adoptions,
    orders.Orders,
    tax_state.OrderTaxes,
    hold_state.Holds,
    suspect.Suspects,
    fulfilment_orders.FulfilmentOrders,
    transfer_state.Transfers,
    count_state.Counts,
    stock.Stock,
    lot_state.Lots,
    ledger.Ledger,
    feed_state.Feeds,
    supply_state.SupplyPlaces,
    supply_state.Supply,
    sourcing.Sourcing,
    cases.Cases,
    breach_state.Breaches,
)

EVENTS: tuple[type[Event], ...] = (
    *authority.EVENTS,
    *writers_state.EVENTS,
    *overrides_state.EVENTS,
    *people_state.EVENTS,
    *pending_state.EVENTS,
    *changes_state.EVENTS,
    *cases.EVENTS,
    *catalogue.EVENTS,
    *partner_state.EVENTS,
    *amendments.EVENTS,
    *cost.EVENTS,
    *breach_state.EVENTS,
    *parties.EVENTS,
    *stock.EVENTS,
    *transfer_state.EVENTS,
    *count_state.EVENTS,
    limits.PoolSet,
    *freeze_state.EVENTS,
    *feed_state.EVENTS,
    *supply_state.EVENTS,
    *orders.EVENTS,
    *changes.EVENTS,
    *adoption.EVENTS,
    *tax_state.EVENTS,
    *draft_state.EVENTS,
    *held.EVENTS,
    *fulfilment_orders.EVENTS,
    *sourcing.EVENTS,
)

CHECKS: tuple[Check, ...] = (
    *core_checks.CHECKS,
    *cases_checks.CHECKS,
    *authority_checks.CHECKS,
    *catalogue_checks.CHECKS,
    *breach_checks.CHECKS,
    *parties_checks.CHECKS,
    *stock_checks.CHECKS,
    *supply_checks.CHECKS,
    *freeze_checks.CHECKS,
    *feed_checks.CHECKS,
    *orders_checks.CHECKS,
    *hold_checks.CHECKS,
    *sourcing_checks.CHECKS,
    *migrate_checks.CHECKS,
)


# What happened to the world is a fact under any policy; who asks for something is answered again.
_ASKED = (
    "stock.reserve", "stock.release_reservation", "stock.receive", "stock.set_safety", "stock.set_pool",
    "stock.expect_supply", "stock.reschedule_supply", "stock.cancel_supply", "stock.notice_late_supply",
)  # fmt: skip
_HISTORY = ("orders.record", "orders.withdraw_record", "sourcing.finish_run", "orders.adopt_workflow",
            "orders.return_workflow")  # fmt: skip


def _as_recorded(verb: str) -> bool:
    return verb in _HISTORY or not (verb in _ASKED or verb.startswith(("orders.", "sourcing.")))


# The index `journal_few` says the same.
FEW = (
    "kind = 'e' and name !~ '^(orders|sourcing|cases|parties"
    "|stock[.](reserved|allocated|claims_released|moved|feed|count|transfer))'"
)

PAST = Rooms(
    system=standing.SYSTEM,
    standing=authority_past.standing_then,
    standing_events=authority_past.STANDING_EVENTS,
    as_recorded=_as_recorded,
    pasts=(stock_past.StockPast, orders_past.OrdersPast, sourcing_past.SourcingPast),
    following=storyline.InMemory,
    follow_ups=storyline.follow_ups,
    followed=storyline.is_follow_up,
    few=FEW,
    shared=("stock.pool_set", "stock.freeze_started"),
    watched="ord_",
    unread=(
        "orders.placed", "stock.reserved", "stock.allocated", "sourcing.decided", "sourcing.run_finished",
        *(event.name for event in EVENTS if event.name.startswith(("stock.feed_", "stock.count_", "stock.transfer_"))),
        *(event.name for event in cases.EVENTS),
    ),
)  # fmt: skip


def written(state: State, event: Event) -> Places | None:
    """Return in which parts lies what an event writes; None for one that is about no part."""
    return parts_written(state, event) or feed_of(state, event)


LIMITED = partial(confirm.under_limits, written=written)
WATCHES: tuple[Callable[[Verb[Any]], Verb[Any]], ...] = (
    partial(under_parts, written=written),  # a right that is held over a part serves there alone
    freeze.under_freezes,  # what moves goods asks for the sites' freezes before anything is locked
    breach.while_failing,  # the case of a breach does not end while its rule fails
    LIMITED,  # what is above an amount waits for a second person
    separation.apart,  # what was done to the same objects before is asked for
    partial(owned.under_owners, verbs=lambda: by_name()),  # an owned field is written by its owner
    ready.under_readiness,  # what is not shippable is allocated to no parcel
    loans.under_loans,  # sourcing gives what open loans let pass, and says which
    overridable.telling,  # a refusal says whether it can be lent past
)
"""What watches every verb, innermost first. A guard stops a command before its rule; these look at what it would do."""


def _watched(verb: Verb[Any], *, limited: bool = True) -> Verb[Any]:
    """Return a verb as the door knows it. limited: not as a second person confirms it, whose word lifts the limit."""
    for watch in WATCHES:
        if limited or watch is not LIMITED:
            verb = watch(verb)
    return verb


def build() -> House:
    """Return the house as shipped."""
    return House(
        verbs={verb.command: _watched(verb) for verb in VERBS},
        slices=SLICES,
        guards=(
            standing.role_guard,
            standing.scope_guard,
            for_case.for_case_guard,
            carried.seeing(separation.separation_guard, by_name),
            governed.change_guard,
            freeze.freeze_guard,
            carried.seeing(writers.writer_guard_of(writing.writes), by_name),
        ),
        load_standing=lent.lending(standing.loader(POLICY_KINDS)),
        judge=refusals.judge,
        events={event.name: event for event in EVENTS},
        checks=CHECKS,
        kinds=POLICY_KINDS,
        past=PAST,
    )
