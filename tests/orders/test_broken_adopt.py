"""Broken variants of adopting a workflow: each must make the test that guards it fail, else the test proves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.catching import caught
from tests.orders import test_adopt as adopting
from tests.oversight import test_impact_adoption as replaying

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders import adopt, read_adoptions
from trueup.orders.workflow import Workflow
from trueup.oversight.impact_orders import Adopting

Proof = Callable[..., Awaitable[None]]
_WHOLE = adopt.returning


def any_state_will_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(adopt, "place_of", lambda state, former, version, states: states.get(state, state))


def a_way_back_is_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    for room in (adopt, read_adoptions):
        patch.setattr(room, "place_of", lambda state, former, version, states: states.get(state, state))


def what_was_mapped_is_not_mapped_back(patch: pytest.MonkeyPatch) -> None:
    def returning(row: Any, made: Any, policies: Any, now: Any) -> Any:
        return _WHOLE(row, msgspec.structs.replace(made, from_state=made.state), policies, now)

    patch.setattr(adopt, "returning", returning)


def what_has_ended_moves_too(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Workflow, "ends", lambda self, state: False)


def nobody_decides_who_goes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(adopt, "_object", lambda *_: ())


def the_replay_leaves_orders_pinned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Adopting, "_follow", lambda *_: None)


def rolling_back_leaves_them(patch: pytest.MonkeyPatch) -> None:
    async def none(*_: Any) -> list[Any]:
        return []

    patch.setattr(read_adoptions, "_returning", none)


BROKEN: dict[Callable[[pytest.MonkeyPatch], None], Proof] = {
    any_state_will_do: adopting.test_it_refuses_orders_that_stand_where_the_version_has_no_state_and_names_them,
    a_way_back_is_not_looked_for: adopting.test_an_order_without_a_way_back_stays_where_it_is_until_it_has_one,
    what_was_mapped_is_not_mapped_back: adopting.test_rolling_the_change_back_puts_exactly_those_orders_back,
    rolling_back_leaves_them: adopting.test_rolling_the_change_back_puts_exactly_those_orders_back,
    what_has_ended_moves_too: adopting.test_what_has_ended_is_left_alone_and_a_draft_follows_once_it_is_an_order,
    nobody_decides_who_goes_back: adopting.test_before_governance_it_goes_directly_and_after_only_by_a_change,
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_adoption_is_caught(
    door: Door, url: str, monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]
):
    broken(monkeypatch)
    async with caught(url):
        await BROKEN[broken](door, url)


async def test_a_replay_that_leaves_orders_pinned_is_caught(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    the_replay_leaves_orders_pinned(monkeypatch)
    async with caught(url):
        await replaying.test_the_replay_shows_the_orders_in_flight_that_a_change_migrates(door, url, clock)
