"""Broken variants of what is lent, to whom and how long: each is caught by an example's assertion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.authority import test_overrides_everywhere as loans
from tests.catching import noticed

from trueup import house
from trueup.authority import confirm, overridable, overrides, refusals
from trueup.authority.overridable import OVERRIDABLE, Overriding
from trueup.catalogue.owned import Written
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders import holds

Proof = Callable[..., Awaitable[None]]
STORY = (
    loans.test_an_override_passes_its_rule_in_its_scope_until_just_before_it_expires_and_then_the_rule_bites_by_itself
)


def everything_is_lent(patch: pytest.MonkeyPatch) -> None:
    class Everything(dict[str, Any]):
        def get(self, rule: str, default: Any = None) -> Any:
            return OVERRIDABLE.get(rule, OVERRIDABLE["stock.frozen"])

    patch.setattr(refusals, "OVERRIDABLE", Everything(OVERRIDABLE))


def who_decides_a_hold_is_lent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holds, "_rule_of", lambda *_: holds.HELD)


def a_field_is_lent_with_its_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Written, "name", property(lambda self: f"{self.change.field}#item.name"))


def a_loan_of_an_amount_is_for_every_site(patch: pytest.MonkeyPatch) -> None:
    borrowed = refusals.borrowed

    def anywhere(loans: Any, stop: Any) -> Any:
        return borrowed([msgspec.structs.replace(one, sites=()) for one in loans], stop)

    patch.setattr(confirm, "borrowed", anywhere)


def nobody_is_told_what_is_lent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(overridable, "told", lambda refusal, *_: refusal)


def any_department_bears_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Overriding, "bearing", lambda self, rule: tuple(self.bearers))


def nobody_notices_that_it_is_undecided(patch: pytest.MonkeyPatch) -> None:
    noticeable = overrides.noticeable
    patch.setattr(overrides, "noticeable", lambda *given: None if (what := noticeable(*given)) == "undecided" else what)


BROKEN: tuple[tuple[Callable[[pytest.MonkeyPatch], None], Proof, dict[str, str]], ...] = (
    (everything_is_lent, loans.test_who_may_decide_and_approve_is_never_lent, {"what": "approvals"}),
    (who_decides_a_hold_is_lent, loans.test_a_hold_that_only_certain_roles_release_is_not_lent_by_others, {}),
    (a_field_is_lent_with_its_record, loans.test_an_override_of_one_field_of_one_record_is_for_no_other, {}),
    (a_loan_of_an_amount_is_for_every_site, STORY, {"rule": "limits.amount"}),
    (nobody_is_told_what_is_lent, STORY, {"rule": "catalogue.outside_band"}),
    (any_department_bears_anything,
     loans.test_only_a_department_that_bears_a_rules_risk_can_be_named_and_the_first_is_the_default, {}),
    (nobody_notices_that_it_is_undecided,
     loans.test_an_override_that_nobody_decides_in_time_is_a_case_for_the_sponsor, {}),
)  # fmt: skip


@pytest.mark.parametrize(("breaking", "example", "given"), BROKEN, ids=[breaking.__name__ for breaking, *_ in BROKEN])
async def test_a_broken_variant_is_caught(
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
    breaking: Callable[[pytest.MonkeyPatch], None],
    example: Proof,
    given: dict[str, str],
):
    breaking(monkeypatch)
    async with Door(url, house.build(), clock=clock) as door:
        await noticed(example, door=door, url=url, clock=clock, **given)
