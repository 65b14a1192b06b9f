"""What the parties' room promises, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

_CUSTOMER = f"c.id {CHANGED}"

CHECKS: tuple[Check, ...] = (
    promise(
        "parties.person_exists",
        "The personal data that a customer refers to are there.",
        """select 'customer', c.id, 'refers to ' || c.person from customer c
        where {changed} and c.person is not null and not exists (select from person p where p.id = c.person)""",
        _CUSTOMER,
    ),
    promise(
        "parties.erased_is_empty",
        "Nothing personal is left of a person who was erased.",
        """select 'person', p.id, 'erased, but words are left' from person p
        where p.erased_at is not null and coalesce(
            p.name, p.email, p.phone, p.ship_to::text, p.bill_to::text, p.line_ship_to::text) is not null""",
    ),
    promise(
        "parties.customers_came_through_the_door",
        "The journal tells how every customer came to be.",
        """select 'customer', c.id, 'the journal does not know it' from customer c
        where {changed} and not exists (select from journal j where j.subject = c.id and j.kind = 'e')""",
        _CUSTOMER,
    ),
)
