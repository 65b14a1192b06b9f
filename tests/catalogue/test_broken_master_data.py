"""Broken variants of the rules of master data: each must make the test that guards it fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.catalogue import test_amend as amending
from tests.catalogue import test_master_data_changes as changes
from tests.catalogue import test_ownership as owning
from tests.catalogue import test_partner_contracts as contracts
from tests.catalogue import test_partners as partners
from tests.catching import noticed
from tests.sourcing import test_readiness as sourcing

from trueup import storyline
from trueup.catalogue import (
    amend,
    apply_amendment,
    breach,
    bulk_amend,
    contract,
    governed,
    gtin,
    lead,
    owned,
    ownership,
    partner_state,
    register,
    state,
)
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.sourcing import assign, ready

Proof = Callable[..., Awaitable[None]]


def owners_are_not_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owned, "_written", lambda *_: [])


def everybody_owns_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owned, "owns", lambda *_: True)


def plans_are_not_asked_about(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owned, "_as_planned", lambda before, *_: before)


def strangers_write_without_a_word(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owned, "_settled", lambda decision, written, context: decision)


def a_gtin_always_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amend, "needs_no_gtin", lambda *_: None)


def check_digits_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gtin, "fault", lambda _: None)


def a_day_to_come_is_now(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amend, "started", lambda *_: None)


def every_day_begins_in_utc(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amend, "start_of", lambda day, zone: ownership.start_of(day, "UTC"))


def what_failed_is_forced(patch: pytest.MonkeyPatch) -> None:
    made = apply_amendment._made

    def forced(found: Any, plan: Any, policies: Any) -> Any:
        record = found.of(state.Catalogue).items[plan.object]
        better = msgspec.structs.replace(record, fields=plan.fields.get("fields", {}))
        return (record, better) if isinstance(made(found, plan, policies), Refusal) else made

    patch.setattr(apply_amendment, "_made", forced)


def the_last_snapshot_wins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(state, "merged", lambda known, after, amended: after)


def a_moved_base_is_not_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(governed, "governed_of", lambda e, o, f, base, over: ownership.governed_of(e, o, f, None))


def governed_fields_are_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ownership.FieldOwnership, "governs", lambda *_: False)


def proposals_are_carried_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owned, "_all_proposed", lambda *_: False)


def bad_rows_are_let_through(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bulk_amend, "_bad_row", lambda one, refusal: bulk_amend.BadRow(one.row, "", "", "", "", ""))


def anybody_is_a_supplier(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amend, "no_supplier", lambda *_: None)
    patch.setattr(register, "no_supplier", lambda *_: None)


def any_partner_is_a_supplier(patch: pytest.MonkeyPatch) -> None:
    asked = amend.no_supplier

    def of_any_kind(found: Any, code: str | None, where: str = "") -> Refusal | None:
        known = found.of(partner_state.Partners).partner(code or "")
        return None if known is not None else asked(found, code, where)

    patch.setattr(amend, "no_supplier", of_any_kind)


def numbers_of_places_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gtin, "gln_fault", lambda _: None)


def a_suppliers_lead_time_goes_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lead, "lead_days", lambda item, agreed: agreed if agreed is not None else item.lead_days)


def what_the_batch_agreed_is_not_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ready, "agreed_with", lambda found, item: found.of(state.Catalogue).agreed_lead_days(item.supplier))


def nobody_waits_for_a_lead_time(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> tuple[()]:
        return ()

    patch.setitem(storyline.STORY, partner_state.PartnerRegistered.name, (nothing,))


def contracts_do_not_look_at_partners(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(storyline.STORY, partner_state.PartnerRegistered.name, (storyline.source_when_supplied,))


def every_term_is_believed(patch: pytest.MonkeyPatch) -> None:
    asked = contract.fault_of
    patch.setattr(
        breach,
        "fault_of",
        lambda check, row, now: None if row.entity == "partner" and check.kind == "range" else asked(check, row, now),
    )


def a_partner_is_no_part_of_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owned, "parts_of", lambda _: ())


def partners_are_nobodys(patch: pytest.MonkeyPatch) -> None:
    asked = owned._written
    patch.setattr(
        owned,
        "_written",
        lambda found, event, *more: (
            [] if isinstance(event, partner_state.PartnerRegistered) else asked(found, event, *more)
        ),
    )


def a_partners_fields_are_free(patch: pytest.MonkeyPatch) -> None:
    governs = ownership.FieldOwnership.governs
    patch.setattr(
        ownership.FieldOwnership,
        "governs",
        lambda found, entity, field: entity != "partner" and governs(found, entity, field),
    )


def terms_begin_in_utc(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amend, "start_of", lambda day, zone: ownership.start_of(day, "UTC"))


def a_partner_becomes_anything(patch: pytest.MonkeyPatch) -> None:
    known = partner_state.Partners.partner

    def of_that_kind(found: partner_state.Partners, code: str) -> partner_state.Partner | None:
        one = known(found, code)
        return msgspec.structs.replace(one, kind="carrier") if one is not None else None

    patch.setattr(partner_state.Partners, "partner", of_that_kind)


def readiness_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ready, "_lacking", lambda *_: None)


def only_the_rules_of_routing_ask(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ready, "_refusal", lambda *_: None)


def one_line_keeps_the_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assign, "unready", lambda *_: {})


def what_is_picked_up_is_a_parcel(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ready, "_is_sent", lambda _: True)


VARIANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Proof, dict[str, Any]]] = [
    (owners_are_not_asked, owning.test_a_field_is_written_by_its_owner_alone_whichever_verb_writes_it,
     {"how": "register"}),
    (everybody_owns_everything, owning.test_a_field_is_written_by_its_owner_alone_whichever_verb_writes_it,
     {"how": "amend"}),
    (plans_are_not_asked_about, owning.test_a_field_is_written_by_its_owner_alone_whichever_verb_writes_it,
     {"how": "plan"}),
    (strangers_write_without_a_word, owning.test_what_is_accepted_and_logged_is_written_and_listed, {}),
    (a_gtin_always_stays, amending.test_a_change_that_asks_for_a_new_gtin_is_refused_without_it, {}),
    (check_digits_are_not_checked, amending.test_every_bad_row_is_named_and_nothing_is_written, {}),
    (a_day_to_come_is_now, amending.test_an_amendment_for_a_day_to_come_waits_for_its_local_day, {}),
    (every_day_begins_in_utc, amending.test_an_amendment_for_a_day_to_come_waits_for_its_local_day, {}),
    (what_failed_is_forced, amending.test_what_can_no_longer_be_on_its_day_fails_with_the_reason, {}),
    (the_last_snapshot_wins, changes.test_two_edits_of_one_item_in_one_change_both_hold_and_go_back_together, {}),
    (a_moved_base_is_not_seen, changes.test_parallel_changes_merge_by_field_and_conflict_only_on_the_same_one, {}),
    (governed_fields_are_free, changes.test_a_governed_field_is_written_directly_by_nobody_its_owner_included, {}),
    (proposals_are_carried_out, changes.test_who_does_not_own_a_field_that_asks_for_proposals_stages_one, {}),
    (bad_rows_are_let_through,
     changes.test_500_rows_with_3_bad_check_digits_stage_497_in_one_change_and_name_the_3, {}),
    (anybody_is_a_supplier,
     partners.test_an_item_is_bought_from_a_supplier_that_is_known_and_from_nobody_else, {"how": "register"}),
    (anybody_is_a_supplier,
     partners.test_an_item_is_bought_from_a_supplier_that_is_known_and_from_nobody_else, {"how": "plan"}),
    (any_partner_is_a_supplier,
     partners.test_an_item_is_bought_from_a_supplier_that_is_known_and_from_nobody_else, {"how": "amend"}),
    (numbers_of_places_are_not_checked, partners.test_it_refuses_what_a_partner_cannot_be_naming_every_row_and_field,
     {}),
    (a_suppliers_lead_time_goes_first,
     partners.test_the_lead_time_of_an_item_is_its_own_and_else_its_suppliers_wherever_it_is_asked, {}),
    (what_the_batch_agreed_is_not_seen,
     partners.test_a_lead_time_agreed_in_the_same_batch_holds_for_the_next_command, {}),
    (nobody_waits_for_a_lead_time,
     partners.test_what_waited_for_a_lead_time_is_sourced_once_it_is_agreed_with_the_supplier, {}),
    (contracts_do_not_look_at_partners,
     contracts.test_a_missing_or_implausible_term_is_a_case_at_that_moment_until_it_is_agreed, {}),
    (every_term_is_believed,
     contracts.test_a_missing_or_implausible_term_is_a_case_at_that_moment_until_it_is_agreed, {}),
    (a_partner_is_no_part_of_anything,
     partners.test_who_is_appointed_for_one_partner_owns_its_terms_and_no_others, {}),
    (partners_are_nobodys, partners.test_a_term_is_written_by_its_owner_alone_whichever_verb_writes_it,
     {"how": "create"}),
    (a_partners_fields_are_free, partners.test_a_governed_term_is_written_directly_by_nobody_its_owner_included, {}),
    (terms_begin_in_utc,
     partners.test_terms_for_a_day_to_come_wait_for_the_partners_day_and_are_told_as_of_any_time, {}),
    (a_partner_becomes_anything, partners.test_a_partner_stays_what_it_is_for_us, {}),
    (readiness_is_not_asked, sourcing.test_what_is_not_shippable_is_allocated_to_a_parcel_by_no_way, {}),
    (only_the_rules_of_routing_ask, sourcing.test_what_is_not_shippable_is_allocated_to_a_parcel_by_no_way, {}),
    (only_the_rules_of_routing_ask,
     sourcing.test_a_part_does_not_move_to_another_place_once_its_item_is_not_shippable, {}),
    (one_line_keeps_the_others, sourcing.test_the_other_lines_go_and_the_rest_follows_once_the_data_is_there, {}),
    (what_is_picked_up_is_a_parcel, sourcing.test_what_a_customer_picks_up_needs_no_parcel, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "proof", "more"), VARIANTS, ids=[f"{at} {variant[0].__name__}" for at, variant in enumerate(VARIANTS)]
)
async def test_a_broken_variant_is_caught(
    broken: Callable[[pytest.MonkeyPatch], None],
    proof: Proof,
    more: dict[str, Any],
    door: Door,
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
):
    broken(monkeypatch)
    await noticed(proof, door=door, url=url, clock=clock, **more)
