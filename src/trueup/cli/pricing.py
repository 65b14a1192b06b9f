"""What a kind of finding costs per day: oversight's formula, handed to the migration that stands above it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from trueup.authority.standing import loader
from trueup.core.database import Connection
from trueup.house import POLICY_KINDS
from trueup.migrate.report import Price
from trueup.oversight.exposure import ExposurePolicy, Input, correction_cost, misalignment, orders_per_day

_load_standing = loader(POLICY_KINDS)


async def price_of(connection: Connection, run: str, kind: str, count: int, rows: int) -> Price:
    """Return orders per day x correction cost x rows with the finding / rows of the run, each input with its rows."""
    policy = (await _load_standing(connection)).policies.get(ExposurePolicy)
    exposure = misalignment(
        await orders_per_day(connection, policy, datetime.now(UTC)),
        correction_cost(policy),
        Input("wrong rows", Decimal(count), "rows", "measured", f"/migrations/{run}?kind={kind}"),
        Input("rows", Decimal(rows), "rows", "measured", f"/migrations/{run}"),
        policy.currency,
    )
    return Price(exposure.per_day, exposure.per_hour(), exposure.currency, exposure.source())
