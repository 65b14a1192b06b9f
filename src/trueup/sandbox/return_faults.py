"""Plant returns of what was never bought."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Protocol

from trueup.sandbox.answer_key import RETURN_WITHOUT_PURCHASE, Planted
from trueup.sandbox.catalogue import Item
from trueup.sandbox.order_history import Order, OrderLine, line_of, price_in

_APART = timedelta(days=2)
"""So far a return lies before the first purchase, that no date format and no zone brings them together."""


class Trade(Protocol):
    """What is needed of a history."""

    @property
    def items(self) -> list[Item]:
        """The assortment."""
        ...

    @property
    def documents(self) -> list[Order]:
        """Orders and credit documents, by date."""
        ...


def returned_goods(documents: Sequence[Order]) -> set[tuple[str, str]]:
    """The (customer, SKU) pairs that credit documents name."""
    return {
        (document.customer_id, line.sku)
        for document in documents
        if document.kind == "credit"
        for line in document.lines
    }


def plant_returns_without_purchase(rng: Random, history: Trade, count: int) -> int:
    """Plant one such line in each of `count` credit documents and return in how many it could be done.

    In turn: an item that this customer never bought; one bought only after the return; more units than were ever
    bought. In the first two a line is added, in the third the units of a line are raised; the totals follow.
    """
    credits = [document for document in history.documents if document.kind == "credit"]
    ledger = _Ledger.of(history.documents)
    planted = 0
    for document in rng.sample(credits, len(credits)):
        if planted == count:
            break
        planted += (
            (planted % 3 == 0 and _return_too_many(rng, ledger, document))
            or (planted % 3 == 1 and _return_too_early(rng, ledger, document, history.items))
            or _return_never_bought(rng, ledger, document, history.items)
        )
    return planted


@dataclass(slots=True)
class _Ledger:
    """Per customer and SKU: what was ever ordered, in whatever status, and which lines return it."""

    ordered: dict[str, dict[str, list[tuple[Order, OrderLine]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    returned: dict[tuple[str, str], list[OrderLine]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, documents: Sequence[Order]) -> "_Ledger":
        ledger = cls()
        for document in documents:
            for line in document.lines:
                if document.kind == "credit":
                    ledger.returned[document.customer_id, line.sku].append(line)
                else:
                    ledger.ordered[document.customer_id][line.sku].append((document, line))
        return ledger


def _return_too_many(rng: Random, ledger: _Ledger, document: Order) -> bool:
    once = [line for line in document.lines if len(ledger.returned[document.customer_id, line.sku]) == 1]
    if not once:
        return False
    line = rng.choice(once)
    ordered = sum(bought.quantity for _, bought in ledger.ordered[document.customer_id][line.sku])
    line.quantity = -(ordered + rng.choice((1, 1, 2, 3)))
    line.amount = line.quantity * line.unit_price
    document.add_up()
    detail = f"returns {-line.quantity} of {line.sku}; this customer ordered {ordered} in all"
    line.planted = Planted(RETURN_WITHOUT_PURCHASE, detail)
    return True


def _return_too_early(rng: Random, ledger: _Ledger, document: Order, items: Sequence[Item]) -> bool:
    later = [
        sku
        for sku, bought in ledger.ordered[document.customer_id].items()
        if not ledger.returned[document.customer_id, sku] and bought[0][0].placed_at >= document.placed_at + _APART
    ]
    if not later:
        return False
    sku = rng.choice(later)
    item = next(item for item in items if item.sku == sku)
    _add_return(ledger, document, item, f"returns {sku} before this customer first ordered it")
    return True


def _return_never_bought(rng: Random, ledger: _Ledger, document: Order, items: Sequence[Item]) -> bool:
    ordered = ledger.ordered[document.customer_id]
    never = [item for item in items if item.sku not in ordered and not ledger.returned[document.customer_id, item.sku]]
    if not never:
        return False
    item = rng.choice(never)
    _add_return(ledger, document, item, f"returns {item.sku}, which this customer never ordered")
    return True


def _add_return(ledger: _Ledger, document: Order, item: Item, detail: str) -> None:
    line = line_of(document, item, -1, price_in(document.currency, item.unit_price))
    line.planted = Planted(RETURN_WITHOUT_PURCHASE, detail)
    document.lines.append(line)
    document.add_up()
    ledger.returned[document.customer_id, item.sku].append(line)
