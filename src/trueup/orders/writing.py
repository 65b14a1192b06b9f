"""What each command writes, as the cohorts of the writer registry see it: orders, items, customers, stock by place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trueup.authority.cohorts import Written
from trueup.catalogue.amend import AmendItems
from trueup.catalogue.cost import RecordCost
from trueup.catalogue.register import RegisterItem
from trueup.catalogue.state import Catalogue
from trueup.core.fields import Value
from trueup.core.verb import State, Verb
from trueup.orders.basket import Basket
from trueup.orders.draft import ConfirmDraft
from trueup.orders.draft_state import Drafts
from trueup.orders.hold_state import Holds
from trueup.orders.record import RecordOrder
from trueup.orders.state import OrderRow, Orders
from trueup.parties.record import RecordCustomer
from trueup.parties.state import Parties

GROUP = "customer_group"
"""The custom field of orders and customers by which cohorts tell them apart."""


def writes(state: State, verb: Verb[Any], command: Any) -> tuple[Written, ...]:
    """Return what a command writes; of what moves stock between places, both."""
    find = _BY_ROOM.get(verb.name.partition(".")[0])
    return tuple(find(state, verb, command)) if find is not None else ()


def _orders(state: State, verb: Verb[Any], command: Any) -> Iterable[Written]:
    if verb.name in ("orders.draft", "orders.discard_draft", "orders.expire_draft"):
        return ()
    if isinstance(command, ConfirmDraft):
        row = state.of(Drafts).draft(command.draft)
        return (_begun(state, row.draft.basket),) if row is not None else ()
    if isinstance(command, Basket):
        return (_begun(state, command),)
    if isinstance(command, RecordOrder):
        known = state.of(Orders).numbered(command.document, command.source)
        return (_recorded(state, command) if known is None else written_order(known),)
    rows = (state.of(Orders).order(order) for order in _orders_of(state, command))
    return [written_order(row) for row in rows if row is not None]


def _orders_of(state: State, command: Any) -> list[str]:
    """Return the ids of the orders that a command names, by itself or by their holds."""
    known = state.of(Holds).known
    named = [*getattr(command, "holds", ()), getattr(command, "hold", None)]
    found = [known[hold][0] for hold in named if hold in known]
    order = getattr(command, "order", None)
    return [*([order] if isinstance(order, str) else []), *found]


def written_order(row: OrderRow) -> Written:
    """Return an order as cohorts see it: by what it was captured with, which never changes."""
    order = row.captured
    return Written(
        entity="order",
        channel=order.channel,
        location=next((line.location for line in row.lines if line.location is not None), None),
        customer_group=_group(order.fields),
        key=order.customer or _first(order.external_ids),
    )


def _begun(state: State, basket: Basket) -> Written:
    customer = state.of(Parties).customer(basket.customer_source, basket.customer) if basket.customer else None
    return Written(
        entity="order",
        channel=basket.channel,
        location=basket.location,
        customer_group=_group(basket.fields),
        key=customer.id if customer is not None else _first(basket.external_ids),
    )


def _recorded(state: State, command: RecordOrder) -> Written:
    customer = state.of(Parties).customer(command.source, command.customer) if command.customer else None
    key = customer.id if customer is not None else _first({command.source: command.document})
    return Written(entity="order", channel=command.channel, key=key)


def _first(external_ids: Mapping[str, str]) -> str:
    """Return the first, by name, of the numbers other systems know it by; what has none all falls into one share."""
    return min((f"{source}:{number}" for source, number in external_ids.items()), default="")


def _group(fields: Any) -> str | None:
    value = (fields or {}).get(GROUP)
    return value if isinstance(value, str) else None


def _stock(state: State, verb: Verb[Any], command: Any) -> Iterable[Written]:
    if verb.moves is None:
        return ()
    sites = {movement.site for movement in verb.moves(state, command)}
    return [Written(entity="stock", location=site) for site in sorted(sites)]


def _items(state: State, verb: Verb[Any], command: Any) -> Iterable[Written]:
    if isinstance(command, AmendItems):
        named = [row.sku for row in command.rows]
    else:
        named = [command.sku] if isinstance(command, RegisterItem | RecordCost) else []
    known = ((sku, state.of(Catalogue).item(sku)) for sku in dict.fromkeys(named))
    return [Written(entity="item", key=item.sku if item is not None else sku) for sku, item in known]


def _customers(state: State, verb: Verb[Any], command: Any) -> Iterable[Written]:
    if not isinstance(command, RecordCustomer):
        return ()
    known = state.of(Parties).customer(command.source, command.number)
    key = f"{command.source}:{command.number}"
    fields: Mapping[str, Value] = known.fields if known is not None else {}
    return (Written(entity="customer", customer_group=_group(fields) or _group(command.fields), key=key),)


_BY_ROOM: dict[str, Callable[[State, Verb[Any], Any], Iterable[Written]]] = {
    "orders": _orders,
    "sourcing": _orders,
    "stock": _stock,
    "catalogue": _items,
    "parties": _customers,
}
