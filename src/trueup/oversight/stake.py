"""Prices for cases whose kind has no formula of its own: the orders they touch, by `cases.pricing`.

Cases stand above orders and import none of them: the worker hands the price in by a command.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from trueup.authority.read import version_in_force
from trueup.cases.pricing import AtStake, CasePricing, PriceCase, price_of
from trueup.core.database import Connection
from trueup.core.money import Amount
from trueup.core.verb import Command

AT_ONCE = 500


async def due_to_price(connection: Connection, now: datetime) -> Sequence[tuple[str, Command]]:
    """Return a command for each open case that the formula has not priced yet, or not with what it concerns now.

    Only orders that are not cancelled count. At most AT_ONCE at once; the rest follow next time.
    """
    policy, version = await version_in_force(connection, CasePricing)
    rows = await connection.execute(
        """with due as (
            select c.id, c.subjects from cases c where c.closed_at is null and c.subjects > 0
                and (c.price_per_hour = 0 or c.source ? 'priced_subjects')
                and (c.source ->> 'priced_subjects')::integer is distinct from c.subjects
                and exists (select from case_subject s where s.case_id = c.id and s.subject_type = 'order')
            order by c.id limit %s
        )
        select d.id, d.subjects, o.currency, count(*)::int, sum(o.total)
        from due d join case_subject s on s.case_id = d.id and s.subject_type = 'order'
        join orders o on o.id = s.subject and o.fulfilment_status <> 'cancelled'
        group by d.id, d.subjects, o.currency order by d.id""",
        [AT_ONCE],
    )
    touched: dict[tuple[str, int], list[AtStake]] = {}
    for case, subjects, currency, orders, value in await rows.fetchall():
        touched.setdefault((case, subjects), []).append(AtStake(currency, orders, value))
    commands = []
    for (case, subjects), found in touched.items():
        priced = price_of(found, policy, confirmed=bool(version))
        assert priced is not None
        command = PriceCase(case=case, price_per_hour=_amount(priced.per_hour), currency=priced.currency,
                            source=priced.source, subjects=subjects)  # fmt: skip
        commands.append((f"{case}/{subjects}/{priced.per_hour}/{now:%Y-%m-%dT%H}", command))
    return commands


def _amount(value: Decimal) -> Amount:
    return Amount(value)
