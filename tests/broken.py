"""A house with verbs that break, each in one way, so that tests can see the door stand."""

from __future__ import annotations

from typing import Literal

import msgspec

from trueup import house
from trueup.catalogue.state import Catalogue, Item, ItemRegistered
from trueup.core.batch import House
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb
from trueup.stock.state import Claim, ClaimsReleased, SafetyStockSet, Stock

How = Literal["constraint", "clash", "decide", "evolve", "wants"]


class Break(Command, frozen=True, kw_only=True):
    """Break in this way, on the item MUG at MAIN."""

    how: How


def break_(state: State, command: Break, context: Context) -> Decision:
    """Emit what the database refuses, or raise."""
    item = state.of(Catalogue).item("MUG")
    place = state.of(Catalogue).location("MAIN")
    assert item is not None
    assert place is not None
    if command.how == "decide":
        raise RuntimeError("this rule is broken")
    if command.how == "evolve":
        claims = (Claim(1, item.id, place.id, Quantity(1)),)
        return Accepted([ClaimsReleased(holder="nobody", claims=claims, reason="no", at=context.now)], item.id)
    if command.how == "clash":
        twin = Item(id=context.new_id("itm"), sku="MUG", name="Twin", kind="good")
        return Accepted([ItemRegistered(item=twin, at=context.now)], twin.id)
    return Accepted([SafetyStockSet(item=item.id, location=place.id, quantity=Quantity(-1), at=context.now)], item.id)


def _wants(state: State, command: Break, policies: Policies) -> None:
    if command.how == "wants":
        raise RuntimeError("this cannot name its rows")
    state.of(Catalogue).want_item("MUG")
    state.of(Catalogue).want_location("MAIN")
    state.of(Stock).want("MUG", "MAIN")


def broken_house() -> House:
    """The house as shipped, and one verb that breaks."""
    built = house.build()
    verb = Verb(name="stock.break", command=Break, decide=break_, wants=_wants)
    return msgspec.structs.replace(built, verbs={**built.verbs, Break: verb})
