"""Broken variants of the rules about people: each must make the test that guards it fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from tests.authority import test_limits as limits
from tests.authority import test_people as people
from tests.authority import test_separation as apart
from tests.catching import noticed

from trueup.authority import appoint, confirm, delegate, employ, passing, people_policy, register, separation, tenure
from trueup.authority import limits as amounts
from trueup.authority.people_state import Appointment, Delegation, Employment
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import State

Proof = Callable[..., Awaitable[None]]


def a_role_is_handed_to_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register, "vacated", lambda *_: None)


def an_appointment_is_given_back_to_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(appoint, "vacated", lambda *_: None)


def who_did_not_accept_counts_as_successor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Appointment, "holds", lambda self, now: self.from_at <= now and self.open(now))


def revoking_leaves_the_role_vacant(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register, "leaving", lambda *_: [])


def the_sponsor_is_given_what_has_a_deputy(patch: pytest.MonkeyPatch) -> None:
    def passed(context: Any, roll: Any, appointment: Any, why: Any, subjects: Any) -> Any:
        return passing._to_sponsor(context, roll, appointment.actor, appointment.role, why, subjects, appointment)

    patch.setattr(passing, "_passed", passed)


def an_appointment_never_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Appointment, "open", lambda self, now: self.ended_at is None)


def a_delegation_never_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Delegation, "holds", lambda self, now: self.ended_at is None)


def what_is_lent_is_passed_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delegate, "_not_own", lambda *_: None)
    patch.setattr(tenure, "_given", lambda d, held, now, allows: [d.role] if d.role and d.holds(now) else [])


def a_lent_right_is_any_right(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tenure, "_given", lambda d, held, now, allows: [tenure.RIGHT + "orders.place"])


def a_contract_ends_at_midnight_utc(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people_policy, "ZoneInfo", lambda name: UTC)


def access_outlives_the_contract(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Employment, "over", lambda self, now: False)


def a_consultant_holds_it_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register, "left_to_consultants", lambda *_: None)


def roles_are_looked_at_in_registering_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(appoint, "may_hold", lambda *_: None)


def roles_are_not_looked_at_in_delegating(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delegate, "may_hold", lambda *_: None)


def deputies_go_in_circles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(appoint, "_circle", lambda *_: None)


def acts_of_one_batch_are_not_seen(patch: pytest.MonkeyPatch) -> None:
    class Forgetful(set[Any]):
        def add(self, entry: Any) -> None:
            return None

    whole = State.__init__

    def init(self: State, slices: Any) -> None:
        whole(self, slices)
        self.acts = Forgetful()

    patch.setattr(State, "__init__", init)


def acts_on_other_objects_count(patch: pytest.MonkeyPatch) -> None:
    def did(self: Any, actor: str, act: str, objects: Any) -> str | None:
        return "any" if any(entry[0] == act and entry[2] == actor for entry in self._here | self._done) else None

    patch.setattr(separation.Acts, "did", did)


def the_asker_confirms(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(confirm, "may_approve", lambda *_, **__: None)


def what_waits_happens_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(confirm, "exceeded", lambda *_: None)


def own_confirmations_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    whole = separation.may_approve

    def hurried(*asked: Any, asked_at: Any) -> Any:
        found = whole(*asked, asked_at=asked_at)
        return None if found is not None and found.rule == "authority.own_approval_waits" else found

    patch.setattr(confirm, "may_approve", hurried)


def own_confirmations_are_silent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(confirm, "_told", lambda *_: [])


def the_lowest_limit_of_any_currency(patch: pytest.MonkeyPatch) -> None:
    def of(self: Any, act: str, unit: str) -> Any:
        return {limit.role: limit.amount for limit in self.limits if limit.act == act} | {"Fulfilment Lead": 0}

    patch.setattr(amounts.AmountLimits, "of", of)


def the_notice_comes_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(employ, "timedelta", lambda days: timedelta(days=365))


VARIANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Proof]] = [
    (a_role_is_handed_to_nobody,
     people.test_handing_over_the_only_integration_owners_role_on_day_40),
    (revoking_leaves_the_role_vacant,
     people.test_handing_over_the_only_integration_owners_role_on_day_40),
    (an_appointment_is_given_back_to_nobody,
     people.test_the_only_appointees_role_cannot_be_given_back_but_to_a_successor_or_deputy_who_accepted),
    (who_did_not_accept_counts_as_successor, people.test_an_appointment_counts_once_accepted_and_ends_by_itself),
    (the_sponsor_is_given_what_has_a_deputy, people.test_a_revoked_holders_role_goes_to_the_deputy_who_accepted),
    (an_appointment_never_ends, people.test_an_appointment_counts_once_accepted_and_ends_by_itself),
    (a_delegation_never_ends, people.test_a_delegation_ends_by_itself_and_cannot_be_passed_on),
    (what_is_lent_is_passed_on, people.test_a_delegation_ends_by_itself_and_cannot_be_passed_on),
    (a_lent_right_is_any_right, people.test_single_rights_are_delegated_and_end_with_their_givers_access),
    (a_contract_ends_at_midnight_utc,
     people.test_access_ends_with_the_contract_at_the_end_of_that_day_in_the_business_zone),
    (access_outlives_the_contract,
     people.test_access_ends_with_the_contract_at_the_end_of_that_day_in_the_business_zone),
    (the_notice_comes_at_once,
     people.test_a_case_tells_before_a_contract_ends_and_the_roles_pass_on_after_it),
    (a_consultant_holds_it_alone, people.test_a_consultant_is_never_the_only_holder_of_a_governance_role),
    (roles_are_looked_at_in_registering_alone,
     people.test_roles_that_do_not_go_together_are_refused_however_they_are_given),
    (roles_are_not_looked_at_in_delegating,
     people.test_roles_that_do_not_go_together_are_refused_however_they_are_given),
    (deputies_go_in_circles, people.test_bad_input_is_refused_with_the_place),
    (acts_of_one_batch_are_not_seen,
     apart.test_acts_are_kept_apart_within_one_batch_and_over_batches_and_only_on_one_object),
    (acts_on_other_objects_count,
     apart.test_acts_are_kept_apart_within_one_batch_and_over_batches_and_only_on_one_object),
    (the_asker_confirms, limits.test_above_the_limit_the_act_waits_and_a_second_person_carries_it_out),
    (what_waits_happens_at_once, limits.test_above_the_limit_the_act_waits_and_a_second_person_carries_it_out),
    (own_confirmations_do_not_wait,
     limits.test_in_a_company_of_one_an_own_confirmation_waits_a_day_and_is_told_by_a_case),
    (own_confirmations_are_silent,
     limits.test_in_a_company_of_one_an_own_confirmation_waits_a_day_and_is_told_by_a_case),
    (the_lowest_limit_of_any_currency,
     limits.test_money_is_limited_like_units_and_whoever_has_no_limit_is_not_asked),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "proof"), VARIANTS, ids=[variant[0].__name__ for variant in VARIANTS])
async def test_a_broken_variant_is_caught(
    broken: Callable[[pytest.MonkeyPatch], None],
    proof: Proof,
    door: Door,
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
):
    broken(monkeypatch)
    await noticed(proof, door=door, url=url, clock=clock)
