"""Who holds which role: the one question that approvals, cases and pages ask."""

from __future__ import annotations

from datetime import datetime

from trueup.authority.standing import Standing


def holders(standing: Standing, role: str, over: str | None, now: datetime) -> tuple[str, ...]:
    """Return the ids of the people who hold a role over something at a moment, each deputy after the holder.

    over: what the decision is about (`category:tea`, `brand:acme`, `integration:erp`): those appointed to that come
    first, then those who hold the role for everything, then those it was delegated to. None asks for the role over
    everything. Where an appointment's holder and deputy are both gone, the sponsors stand in.
    """
    return standing.holders(role, over, now)
