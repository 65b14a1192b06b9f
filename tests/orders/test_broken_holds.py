"""Broken variants of the rules of holds: each must make the test that guards it fail, else the test proves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.catching import noticed
from tests.orders import test_duplicates as duplicates
from tests.orders import test_holds as holds
from tests.orders import test_holds_advance as advancing
from tests.orders import test_holds_rules as rules

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders import advance, cancel, hold, hold_upkeep, place, suspect
from trueup.orders import holds as policy
from trueup.orders.hold_state import Holds
from trueup.orders.state import Orders

Proof = Callable[..., Awaitable[None]]


def blocks_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cancel, "blocking", lambda *_: ())


def blocks_ignored_on_request(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(advance, "blocking", lambda *_: ())


def what_is_blocked_is_read_now(patch: pytest.MonkeyPatch) -> None:
    def blocking(state: Any, row: Any, event: str, context: Any, lines: Any = None) -> Any:
        kinds = policy.rules_of(state.of(Holds).broken_policies, row.captured.channel).by_name
        return tuple(h for h in state.of(Holds).open_on(row.captured.id) if event in kinds[h.type].blocks)

    patch.setattr(Holds, "under", lambda self, policies: setattr(self, "broken_policies", policies))
    patch.setattr(cancel, "blocking", blocking)


def line_holds_stop_the_order(patch: pytest.MonkeyPatch) -> None:
    whole = policy.blocking
    patch.setattr(cancel, "blocking", lambda state, row, event, context, lines: whole(state, row, event, context))


def line_holds_stop_nothing(patch: pytest.MonkeyPatch) -> None:
    whole = policy.blocking
    patch.setattr(cancel, "blocking", lambda *asked: tuple(found for found in whole(*asked) if found.line is None))


def a_rule_releases_fraud(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hold_upkeep, "ONLY_PEOPLE", ())
    patch.setattr(hold_upkeep, "_by_rule", lambda *_: True)


def a_rule_releases_what_its_type_forbids(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hold_upkeep, "_by_rule", lambda *_: True)


def fraud_may_be_released_by_rule(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(policy, "ONLY_PEOPLE", ())


def the_cause_is_not_asked_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hold_upkeep, "stands", lambda *_: False)


def the_counter_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Orders, "_freed", lambda self, event: None)


def the_counter_counts_twice(patch: pytest.MonkeyPatch) -> None:
    def twice(self: Orders, event: Any) -> None:
        self.orders[event.hold.order].holds += 2

    patch.setattr(Orders, "_held", twice)


def anybody_releases(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hold, "_not_theirs", lambda *_: None)


def first_asks_every_rule(patch: pytest.MonkeyPatch) -> None:
    def hold_events(state: Any, context: Any, order: Any, lines: Any, on: str = "placed") -> Any:
        found = policy.rules_of(context.policies, order.channel)
        every = msgspec.structs.replace(
            found, tables=tuple(msgspec.structs.replace(table, hit="all") for table in found.tables)
        )
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(policy, "rules_of", lambda *_: every)
            return policy.hold_events(state, context, order, lines, on)

    patch.setattr(place, "hold_events", hold_events)


def a_hold_is_noticed_again_and_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Holds, "_noticed", lambda self, event: None)


def units_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suspect, "units_of", lambda lines: b"same")


def a_suspicion_never_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suspect, "timedelta", lambda minutes: timedelta(days=1))


VARIANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Proof, dict[str, Any]]] = [
    (blocks_ignored, holds.test_a_hold_stops_what_its_type_names_and_nothing_else, {}),
    (blocks_ignored_on_request, advancing.test_a_hold_blocks_the_request_and_never_the_report, {"blocks": "check"}),
    (what_is_blocked_is_read_now, holds.test_what_a_type_blocks_is_a_policy_and_is_settled_when_the_hold_is_placed,
     {"blocks": ("cancelled",)}),
    (line_holds_stop_the_order, holds.test_a_hold_on_a_line_stops_that_line_alone, {}),
    (line_holds_stop_nothing, holds.test_a_hold_on_a_line_stops_that_line_alone, {}),
    (a_rule_releases_fraud, rules.test_behaviour_40_people_alone_release_fraud_manual_and_compliance, {}),
    (a_rule_releases_what_its_type_forbids, rules.test_whether_a_rule_releases_a_type_is_a_policy, {"allowed": False}),
    (fraud_may_be_released_by_rule, rules.test_a_document_with_a_mistake_is_refused_with_its_place,
     dict(zip(("document", "where", "what"), rules.BROKEN[0], strict=True))),
    (the_cause_is_not_asked_again, rules.test_a_tables_hold_goes_when_its_cause_is_gone_and_not_before, {}),
    (the_counter_stays, holds.test_several_holds_stand_at_once_and_each_is_released_once, {}),
    (the_counter_counts_twice, holds.test_several_holds_stand_at_once_and_each_is_released_once, {}),
    (anybody_releases, holds.test_roles_named_by_the_type_alone_release_it, {}),
    (first_asks_every_rule, rules.test_first_stops_at_the_first_match_and_all_asks_every_rule, {}),
    (a_hold_is_noticed_again_and_again, rules.test_holds_that_grow_old_are_one_case_per_type_and_channel, {}),
    (units_are_not_compared, duplicates.test_other_people_other_goods_and_other_units_are_not_suspected, {}),
    (a_suspicion_never_ends, duplicates.test_how_long_an_earlier_order_counts_is_a_policy,
     {"minutes": 10, "later": 11, "suspected": False}),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "proof", "more"), VARIANTS, ids=[variant[0].__name__ for variant in VARIANTS])
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
