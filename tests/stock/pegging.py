"""Three acts that only peg, let go and receive, so that supply can be tested without orders around it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.state import Catalogue
from trueup.core.batch import House
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb
from trueup.stock.peg import peg_events, release_events
from trueup.stock.reserve import Demand
from trueup.stock.state import Move, Stock, StockMoved
from trueup.stock.supply import ExpectSupply, receive_against
from trueup.stock.supply_state import Supply


class Backorder(Command, frozen=True, kw_only=True):
    """Let units of an item wait at a location, as an order that is short does."""

    sku: str
    quantity: Quantity
    location: str = "MAIN"


class LetGo(Command, frozen=True, kw_only=True):
    """Let units of line 1 wait no longer; None is all."""

    holder: str
    sku: str
    quantity: Quantity | None = None
    reason: Literal["cancelled", "filled"] = "cancelled"


class Arrive(Command, frozen=True, kw_only=True):
    """Receive units under a reference."""

    sku: str
    quantity: Quantity
    reference: str
    location: str = "MAIN"


def _named(state: State, sku: str, code: str) -> tuple[str, str]:
    item, place = state.of(Catalogue).item(sku), state.of(Catalogue).location(code)
    assert item is not None
    assert place is not None
    return item.id, place.id


def _backorder(state: State, command: Backorder, context: Context) -> Decision:
    _, place = _named(state, command.sku, command.location)
    item = state.of(Catalogue).item(command.sku)
    assert item is not None
    holder = context.new_id("ord")
    demands = [Demand(1, item, command.quantity, "")]
    return Accepted(peg_events(state, holder, demands, place, context.now), holder, {"holder": holder})


def _let_go(state: State, command: LetGo, context: Context) -> Decision:
    item = state.of(Catalogue).item(command.sku)
    assert item is not None
    units = None if command.quantity is None else {(1, item.id): command.quantity}
    return Accepted(release_events(state, command.holder, units, command.reason, context.now), command.holder)


def _arrive(state: State, command: Arrive, context: Context) -> Decision:
    item, place = _named(state, command.sku, command.location)
    moves = (Move(item, command.quantity, "supplier", None, "on_hand", place),)
    events: list[Event] = [StockMoved(reference=command.reference, reason="received", moves=moves, at=context.now)]
    events += receive_against(state, item, place, command.quantity, command.reference, context.now)
    return Accepted(events, command.reference)


def _wants(state: State, command: Backorder | Arrive, policies: Policies) -> None:
    state.of(Catalogue).want_item(command.sku)
    state.of(Catalogue).want_location(command.location)
    state.of(Stock).want(command.sku, command.location)
    state.of(Supply).want(command.sku, command.location)
    if isinstance(command, Arrive):
        state.of(Supply).want_arrival(command.reference, command.sku, command.location)


def _wants_pegs(state: State, command: LetGo, policies: Policies) -> None:
    state.of(Catalogue).want_item(command.sku)
    state.of(Supply).want_pegs(command.holder)


def pegging_house() -> House:
    """The house as shipped, and the three acts."""
    built = house.build()
    verbs = (
        Verb(name="stock.test_backorder", command=Backorder, decide=_backorder, wants=_wants),
        Verb(name="stock.test_let_go", command=LetGo, decide=_let_go, wants=_wants_pegs),
        Verb(name="stock.test_arrive", command=Arrive, decide=_arrive, wants=_wants),
    )
    return msgspec.structs.replace(built, verbs={**built.verbs, **{verb.command: verb for verb in verbs}})


class Yard:
    """Says in few words what is expected, waits and comes in; every act must be applied."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._number = 0

    async def act(self, command: Command, status: str = "applied") -> dict[str, str]:
        self._number += 1
        outcome = await self.door.submit(SYSTEM, command, f"{type(command).__name__} {self._number}")
        assert outcome.status == status, outcome
        return outcome.result

    async def expect(self, units: int, due: str | datetime, reference: str = "PO-1", sku: str = "MUG") -> str:
        text = due if isinstance(due, str) else due.isoformat()
        command = ExpectSupply(location="MAIN", sku=sku, quantity=Quantity(units), due=text, reference=reference,
                               source="purchasing")  # fmt: skip
        return (await self.act(command))["supply"]

    async def backorder(self, units: int, sku: str = "MUG") -> str:
        return (await self.act(Backorder(sku=sku, quantity=Quantity(units))))["holder"]
