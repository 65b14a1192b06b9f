"""Assemble kits from their components, and take them apart again; an assembled kit has stock of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from trueup.catalogue.state import Catalogue, Item
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Command, Context, Decision, Movement, State, Verb, concerns_location
from trueup.stock.facts import by_lot, lot_case, stocked_item, unidentified, want_cases
from trueup.stock.lot_state import Lots
from trueup.stock.receive import Reference
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Move, Stock, StockMoved


class AssembleKits(Command, frozen=True, kw_only=True):
    """Make so many kits of their components at a location. sku: any key of the kit. reference: the work order."""

    location: str
    sku: str
    quantity: Quantity
    reference: Reference


class DisassembleKits(Command, frozen=True, kw_only=True):
    """Take so many kits apart at a location. sku: any key of the kit. reference: the work order."""

    location: str
    sku: str
    quantity: Quantity
    reference: Reference


def assemble(state: State, command: AssembleKits, context: Context) -> Decision:
    """Take the components from on hand and put the kits there.

    Refuses when components are short, naming each with what is available; what is promised stays. Refuses what is no
    kit, and a phantom kit, which is never assembled. Source: behaviour 14.
    """
    return _convert(state, command, context, "assembled")


def disassemble(state: State, command: DisassembleKits, context: Context) -> Decision:
    """Take the kits from on hand and put their components there. Refuses more kits than are available.

    Components of an item that is tracked come back unidentified, which is a case. Source: behaviour 14.
    """
    return _convert(state, command, context, "disassembled")


def _convert(
    state: State,
    command: AssembleKits | DisassembleKits,
    context: Context,
    how: Literal["assembled", "disassembled"],
) -> Decision:
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    kit = stocked_item(state, command.sku, "")
    if isinstance(kit, Refusal):
        return kit
    if command.quantity <= 0:
        return bad_line("quantity", command.sku, command.quantity, kit)
    if not kit.components:
        return Refusal("stock.not_a_kit", f"{kit.sku} has no components.", "Register it as a kit with its components.",
                       "sku", command.sku)  # fmt: skip
    parts = {item: state.of(Catalogue).items[item] for item, _ in _parts(kit)}
    used = [(parts[item], per_kit * command.quantity) for item, per_kit in _parts(kit)]
    made = [(kit, Decimal(command.quantity))]
    leaving, coming = (used, made) if how == "assembled" else (made, used)
    refusal = _short(state, leaving, place.id, place.code)
    if refusal is not None:
        return refusal
    moves: list[Move] = []
    doubts = []
    for item, units in leaving:
        moves += by_lot(state, item, [Move(item.id, units, "on_hand", place.id, "assembly", None)])
    for item, units in coming:
        into = by_lot(state, item, [Move(item.id, units, "assembly", None, "on_hand", place.id)])
        doubts += unidentified(item, place, into)
        moves += into
    moved = StockMoved(reference=command.reference, reason=how, moves=tuple(moves), at=context.now)
    result = {"reference": command.reference, "kits": plain(command.quantity)}
    return Accepted([moved, *lot_case(state, context, place, doubts)], command.reference, result)


def _parts(kit: Item) -> list[tuple[str, Decimal]]:
    return [(part.item, part.quantity) for part in kit.components]


def _short(state: State, leaving: list[tuple[Item, Decimal]], location: str, code: str) -> Refusal | None:
    short = []
    for item, units in leaving:
        available = max(ZERO, state.of(Stock).available(item.id, location))
        if available < units:
            what = f"{item.sku}: {plain(units)} asked, {plain(available)} available"
            short.append(RefusalDetail("quantity", plain(units), what))
    if not short:
        return None
    return Refusal("stock.short", f"Not enough stock at {code}: " + "; ".join(detail.what for detail in short) + ".",
                   "Lower the quantity, or wait for a receipt.", "quantity", short[0].value, tuple(short))  # fmt: skip


def _wants(state: State, command: AssembleKits | DisassembleKits, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    state.of(Catalogue).want_item(command.sku)
    state.of(Stock).want(command.sku, command.location)
    state.of(Lots).want(command.sku, command.location)
    want_cases(state, command.location)


def _then_wants(state: State, command: AssembleKits | DisassembleKits, policies: Policies) -> None:
    kit, place = state.of(Catalogue).item(command.sku), state.of(Catalogue).location(command.location)
    if kit is None or place is None:
        return
    for item, _ in _parts(kit):
        state.of(Catalogue).want_item_id(item)
        state.of(Stock).want_at(item, place.id)
        state.of(Lots).want_at(item, place.id)


def _moves(state: State, command: AssembleKits | DisassembleKits) -> tuple[Movement, ...]:
    kit = state.of(Catalogue).item(command.sku)
    parts = [state.of(Catalogue).item_of(item) for item, _ in _parts(kit)] if kit is not None else []
    keys = (command.sku, *(part.sku for part in parts if part is not None))
    return (Movement(command.location, keys, "restate", fact=False),)


VERBS = (
    Verb(
        name="stock.assemble",
        command=AssembleKits,
        decide=assemble,
        wants=_wants,
        then_wants=_then_wants,
        concerns=concerns_location,
        moves=_moves,
    ),
    Verb(
        name="stock.disassemble",
        command=DisassembleKits,
        decide=disassemble,
        wants=_wants,
        then_wants=_then_wants,
        concerns=concerns_location,
        moves=_moves,
    ),
)
