"""Broken variants of the registry, of overrides and of what guards cost: each is caught by an example's assertion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.authority import test_guard_costs as costs
from tests.authority import test_overrides as loans
from tests.authority import test_writers as writing
from tests.catching import caught

from trueup import house
from trueup.authority import cohorts, overrides, refusals, writers
from trueup.authority.overrides_state import Override
from trueup.authority.writers_policy import WritingSystems
from trueup.core import refused
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

Proof = Callable[..., Awaitable[None]]


def a_rule_holds_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cohorts.WriterRule, "live", lambda *_: True)


def everything_was_born_here(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WritingSystems, "born", lambda *_: cohorts.OURS)


def what_was_born_elsewhere_is_merged(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writers, "SetAside", lambda refusal: None)


def a_cohort_is_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cohorts.Cohort, "holds", lambda *_: True)


def rules_may_meet(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cohorts.WriterRule, "clashes", lambda *_: False)


def only_people_are_stopped(patch: pytest.MonkeyPatch) -> None:
    born = WritingSystems.born
    patch.setattr(
        WritingSystems, "born", lambda self, actor, command: "legacy" if actor.kind == "service" and
        getattr(command, "order", None) else born(self, actor, command)
    )  # fmt: skip


def an_override_never_expires(patch: pytest.MonkeyPatch) -> None:
    life = Override.life
    patch.setattr(Override, "life", lambda self, now: "active" if (is_ := life(self, now)) == "expired" else is_)


def asking_is_enough(patch: pytest.MonkeyPatch) -> None:
    life = Override.life
    patch.setattr(Override, "life", lambda self, now: "active" if (is_ := life(self, now)) == "asked" else is_)


def an_override_is_for_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refusals, "_covers", lambda one, stop: one.rule == stop.rule and one.life(stop.now) == "active")


def a_use_is_not_recorded(patch: pytest.MonkeyPatch) -> None:
    judge = refusals.judge

    def silent(standing: Any, stop: Any) -> Any:
        return msgspec.structs.replace(judge(standing, stop), events=())

    patch.setattr("trueup.house.refusals.judge", silent)


def anybody_grants(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(overrides, "_not_decider", lambda *_: None)


def a_department_has_no_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(overrides, "decider", lambda one, others, policy, now: policy.bearers[one.department].role)


def the_role_guard_can_be_off(patch: pytest.MonkeyPatch) -> None:
    loose = {name: msgspec.structs.replace(guard, modes=refusals.ANY) for name, guard in refusals.GUARDS.items()}
    patch.setattr(refusals, "GUARDS", loose)


def what_was_stopped_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refused, "keep", lambda *_: [])


def a_simulated_guard_stops_all_the_same(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refusals.GuardModes, "faults", lambda *_: [])
    patch.setattr("trueup.house.refusals.judge", refused.stands)


BROKEN: tuple[tuple[Callable[[pytest.MonkeyPatch], None], Proof], ...] = (
    (a_rule_holds_for_ever, writing.test_a_cohort_comes_back_by_itself_when_its_period_is_over),
    (everything_was_born_here, writing.test_what_a_service_of_another_system_brings_was_born_there),
    (
        what_was_born_elsewhere_is_merged,
        writing.test_a_change_born_in_another_system_for_a_cohort_that_is_ours_is_quarantined_and_never_merged,
    ),
    (
        a_cohort_is_everything,
        writing.test_a_write_to_a_cohort_of_another_system_is_refused_naming_it_until_when_and_who_decides,
    ),
    (only_people_are_stopped,
     writing.test_every_later_act_on_an_order_of_the_cohort_is_refused_for_jobs_and_people_alike),
    (an_override_never_expires, loans.test_an_expired_override_bites_by_itself_without_any_job),
    (
        asking_is_enough,
        loans.test_one_that_was_only_asked_for_lets_nothing_pass_nor_one_that_was_declined_or_given_back,
    ),
    (
        an_override_is_for_everything,
        loans.test_an_override_lets_one_rule_pass_for_its_scope_and_each_use_is_recorded_on_the_loan,
    ),
    (
        a_use_is_not_recorded,
        loans.test_an_override_lets_one_rule_pass_for_its_scope_and_each_use_is_recorded_on_the_loan,
    ),
    (anybody_grants, loans.test_nobody_grants_their_own_and_only_who_decides_for_the_department_does),
    (
        a_department_has_no_limit,
        loans.test_above_the_departments_limit_of_debt_or_days_only_the_sponsor_decides,
    ),
    (the_role_guard_can_be_off, costs.test_a_document_that_says_so_all_the_same_switches_nothing_off),
    (
        what_was_stopped_is_not_kept,
        costs.test_it_tells_how_many_acts_a_guard_stopped_how_long_they_waited_and_the_orders_money,
    ),
    (
        a_simulated_guard_stops_all_the_same,
        costs.test_a_simulated_guard_is_asked_its_refusal_kept_and_the_act_goes_through,
    ),
)  # fmt: skip


@pytest.mark.parametrize(("breaking", "example"), BROKEN, ids=[breaking.__name__ for breaking, _ in BROKEN])
async def test_a_broken_variant_is_caught(
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
    breaking: Callable[[pytest.MonkeyPatch], None],
    example: Proof,
):
    breaking(monkeypatch)
    given = {"url": url, "clock": clock}
    async with Door(url, house.build(), clock=clock) as door, caught(url):
        names = example.__code__.co_varnames[: example.__code__.co_argcount]
        await example(door=door, **{name: value for name, value in given.items() if name in names})


async def test_rules_that_may_meet_are_stopped_by_the_database(url: str, door: Door, monkeypatch: pytest.MonkeyPatch):
    rules_may_meet(monkeypatch)
    async with caught(url):
        await writing.test_it_refuses_a_rule_that_is_none(door, url, {"channel": "web"}, "authority.writer_clash")
    with pytest.raises(AssertionError, match="two of one rank meet"):
        writing.test_no_order_has_two_writers_at_any_time()
