"""When a promise at risk is a case, how grave and whose: the fields of the policy `promise`, both ways."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import placed
from tests.stock.depth import done
from tests.stock.test_freeze import publish

from trueup import worker
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.supply import ExpectSupply, RescheduleSupply

LATE = next(notice for notice in worker.NOTICES if notice.name == "notice_late_supply")
NOON = datetime.fromisoformat("2026-03-04T12:00:00+00:00")


async def awaited(door: Door) -> str:
    """Two mugs that an order waits for, due at noon; return the supply."""
    await stocked(door, MUG=0)
    await publish(door, "channel", "web", short="backorder")
    expected = ExpectSupply(location="MAIN", sku="MUG", quantity=Quantity(2), due=NOON.isoformat(), reference="PO-1",
                            source="purchasing")  # fmt: skip
    supply = str((await done(door, expected)).result["supply"])
    await placed(door, MUG=2)
    return supply


@pytest.mark.parametrize(("policy", "hours"), [({}, 0), ({"overdue_after_hours": 24}, 24)])
async def test_how_late_supply_may_be_before_it_is_a_case(
    door: Door, url: str, clock: TurnedClock, policy: dict[str, Any], hours: int
):
    """As shipped it is one as soon as the time passed; not a second before what the policy says."""
    await awaited(door)
    await publish(door, "promise", **policy)
    clock.turn(NOON + timedelta(hours=hours) - clock.now())
    await worker.notice_now(url, door, LATE)
    assert await rows(url, "select * from cases") == []
    clock.turn(timedelta(hours=1))
    await worker.notice_now(url, door, LATE)
    assert await rows(url, "select kind, severity, owner_role from cases") == [
        ("promise_at_risk", 2, "Fulfilment Lead")
    ]
    await prove(url)


@pytest.mark.parametrize(("policy", "later", "notice"), [
    ({}, 0, None),
    ({}, 1, "must be told"),
    ({"notice_after_days": 2}, 1, ""),
    ({"notice_after_days": 2}, 2, "must be told"),
    ({}, 29, "must be told"),
    ({}, 30, "must consent"),
    ({"consent_after_days": 7}, 7, "must consent"),
    ({"consent_after_days": None}, 300, "must be told"),
])  # fmt: skip
async def test_what_a_customer_must_be_told_of_a_delay(
    door: Door, url: str, policy: dict[str, Any], later: int, notice: str | None
):
    """Moved by so many days; severity and role are the policy's, too."""
    supply = await awaited(door)
    await publish(door, "promise", severity=3, owner_role="Order Agent", **policy)
    due = (NOON + timedelta(days=later)).isoformat()
    if later:
        await done(door, RescheduleSupply(supply=supply, due=due))
    told = await rows(url, "select severity, owner_role, detail from cases c join case_subject s on s.case_id = c.id")
    if notice is None:
        assert told == []
    else:
        ((severity, role, detail),) = told
        assert (severity, role) == (3, "Order Agent")
        words = [words for words in ("must be told", "must consent") if words in detail]
        assert words == ([notice] if notice else []), detail
    await prove(url)
