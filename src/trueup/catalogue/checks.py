"""What the catalogue promises, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

_ITEM = f"i.id {CHANGED}"

CHECKS: tuple[Check, ...] = (
    promise(
        "catalogue.sku_is_a_key",
        "An item answers to its SKU.",
        """select 'item', i.id, 'does not answer to ' || i.sku from item i
        where {changed} and not exists (select from item_key k where k.key = i.sku and k.item = i.id)""",
        _ITEM,
    ),
    promise(
        "catalogue.items_came_through_the_door",
        "The journal tells how every item came to be.",
        """select 'item', i.id, 'the journal does not know it' from item i
        where {changed} and not exists (select from journal j where j.subject = i.id and j.kind = 'e')""",
        _ITEM,
    ),
    promise(
        "catalogue.locations_came_through_the_door",
        "The journal tells how every location came to be.",
        """select 'location', i.id, 'the journal does not know it' from location i
        where {changed} and not exists (select from journal j where j.subject = i.id and j.kind = 'e')""",
        _ITEM,
    ),
    promise(
        "catalogue.partners_came_through_the_door",
        "The journal tells how every partner came to be.",
        """select 'partner', i.id, 'the journal does not know it' from partner i
        where {changed} and not exists (select from journal j where j.subject = i.id and j.kind = 'e')""",
        _ITEM,
    ),
    promise(
        "catalogue.suppliers_are_partners",
        "The supplier that an item names is a partner of that kind.",
        """select 'item', i.id, 'its supplier ' || i.supplier || ' is none' from item i
        where {changed} and i.supplier is not null
            and not exists (select from partner p where p.code = i.supplier and p.kind = 'supplier')""",
        _ITEM,
    ),
)
