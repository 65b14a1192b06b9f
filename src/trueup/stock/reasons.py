"""Why stock may be adjusted: the reason codes, where each posts, and how much one person may adjust alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec

from trueup.core.errors import Refusal
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import Quantity
from trueup.core.verb import Bound

Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reason. account: where the difference is booked.

    units_max: more at once waits until somebody with `role_above` confirms it.
    """

    account: Literal["adjustment", "scrapped", "shortage"] = "adjustment"
    units_max: Quantity | None = None
    role_above: Annotated[str, msgspec.Meta(min_length=1, max_length=80)] = "Fulfilment Lead"


def _usual() -> dict[str, Reason]:
    codes = ("broken", "correction", "found", "lost", "migration_undone", "sample", "theft")
    reasons = {code: Reason() for code in codes}
    return {**reasons, "broken": Reason(account="scrapped"), "scrapped": Reason(account="scrapped")}


class AdjustmentReasons(Policy, frozen=True, kw_only=True):
    """The reason codes there are: code -> what it does."""

    kind: ClassVar[str] = "adjustment_reasons"
    unreplayed: ClassVar[str] = "what was adjusted is taken as it was recorded"
    reasons: Annotated[dict[Code, Reason], msgspec.Meta(min_length=1, max_length=200)] = msgspec.field(
        default_factory=_usual
    )


def reason_for(policies: Policies, code: str) -> Reason | Refusal:
    """Return what a reason code does. Refuses one that the policy does not know."""
    reasons = policies.get(AdjustmentReasons).reasons
    reason = reasons.get(code)
    if reason is None:
        return Refusal("stock.unknown_reason", f"{code[:80]!r} is no reason to adjust stock.",
                       f"Use one of: {', '.join(sorted(reasons))}; or add it to the policy adjustment_reasons.",
                       "reason", code[:80])  # fmt: skip
    return reason


def alone(policies: Policies, code: str) -> Bound | None:
    """Return how many units one person may adjust alone for this reason; above it somebody with the role confirms."""
    reason = policies.get(AdjustmentReasons).reasons.get(code)
    if reason is None or reason.units_max is None:
        return None
    return Bound(Decimal(reason.units_max), "units", (reason.role_above,))
