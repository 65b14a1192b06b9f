"""Transfer goods between locations: they leave one, are on their way, and arrive, with what is over or short."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.catalogue.state import Catalogue, Item, Location
from trueup.catalogue.units import to_base
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Concerns, Context, Decision, Event, Movement, State, Verb
from trueup.stock.facts import by_lot, stocked_item
from trueup.stock.lot_state import UNIDENTIFIED, Lots
from trueup.stock.lots import choose_lots
from trueup.stock.receive import BUCKET_OF, LotName, Reference, StockStatus, not_tracked
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Account, Move, Stock, StockMoved
from trueup.stock.transfer_state import Transfer, TransferLine, TransferReceived, Transfers, TransferShipped


class TransferredLine(Body, frozen=True, forbid_unknown_fields=True):
    """Units of an item (any key), above zero, in `unit` (base units without one). lot: of an item that is tracked."""

    sku: str
    quantity: Quantity
    unit: str | None = None
    lot: LotName | None = None


class ShipTransfer(Command, frozen=True, kw_only=True):
    """Send goods from one location (code) to another. reference: the transfer's document."""

    from_location: str
    to_location: str
    lines: Annotated[tuple[TransferredLine, ...], msgspec.Meta(min_length=1, max_length=500)]
    reference: Reference


class ReceivedTransferLine(Body, frozen=True, forbid_unknown_fields=True):
    """Units of an item that arrived. status: the bucket they go to."""

    sku: str
    quantity: Quantity
    unit: str | None = None
    lot: LotName | None = None
    status: StockStatus = "available"


class ReceiveTransfer(Command, frozen=True, kw_only=True):
    """Report what of a transfer (`trf_...`) arrived. close: nothing more is expected; what is open is missing."""

    transfer: str
    lines: Annotated[tuple[ReceivedTransferLine, ...], msgspec.Meta(max_length=500)] = ()
    close: bool = False


def ship_transfer(state: State, command: ShipTransfer, context: Context) -> Decision:
    """Take the units from on hand and put them in transit, under the transfer's id.

    Refuses the whole where a line asks for more than is available, naming every such line; so no promise is broken. A
    tracked item's lots go first expired first, unless named. Refuses unknown names, phantom kits, and one's own place.
    """
    catalogue = state.of(Catalogue)
    source, target = catalogue.location(command.from_location), catalogue.location(command.to_location)
    if source is None or target is None:
        return unknown_location(command.from_location if source is None else command.to_location)
    if source.id == target.id:
        return Refusal("stock.transfer_to_itself", f"{source.code} is both ends of the transfer.",
                       "Name two locations.", "to_location", target.code)  # fmt: skip
    wanted = _wanted(state, command.lines)
    if isinstance(wanted, Refusal):
        return wanted
    short = _short(state, wanted, source)
    if short is not None:
        return short
    lines: list[TransferLine] = []
    taken: dict[tuple[str, str], Decimal] = {}
    for at, (item, units, lot) in enumerate(wanted):
        chosen = _lots(state, source, item, units, lot, taken, context, f"lines[{at}]")
        if isinstance(chosen, Refusal):
            return chosen
        for name, part in chosen:
            date = state.of(Lots).lot(item.id, source.id, name).expires_on if name else None
            lines.append(TransferLine(len(lines) + 1, item.id, name, part, date))
    transfer = Transfer(
        id=context.new_id("trf"),
        reference=command.reference,
        from_location=source.id,
        to_location=target.id,
        shipped_at=context.now,
    )
    moves = tuple(
        Move(line.item, line.shipped, "on_hand", source.id, "in_transit", target.id, line.lot, line.expires_on)
        for line in lines
    )
    events = [
        TransferShipped(transfer=transfer, lines=tuple(lines)),
        StockMoved(reference=transfer.id, reason="transfer shipped", moves=moves, at=context.now),
    ]
    return Accepted(events, transfer.id, {"transfer": transfer.id, "lines": len(lines)})


def receive_transfer(state: State, command: ReceiveTransfer, context: Context) -> Decision:
    """Post what arrived: up to what is on its way from there, and what is over from the shortage account.

    Closing books what is still on its way to the shortage account. Both differences are a case. What arrives after the
    close is over, too. Refuses a transfer and names that nobody knows; nothing to say ends as merged. Behaviour 37.
    """
    transfer = state.of(Transfers).transfers.get(command.transfer)
    if transfer is None:
        return Refusal("stock.unknown_transfer", f"There is no transfer {command.transfer[:60]!r}.",
                       "Use the id that shipping it returned.", "transfer", command.transfer[:60])  # fmt: skip
    target = state.of(Catalogue).place_of(transfer.to_location)
    assert target is not None, "the transfer's location was asked for"
    arrival = _Arrival(state, transfer, target)
    for at, line in enumerate(command.lines):
        refusal = arrival.take(line, f"lines[{at}]")
        if refusal is not None:
            return refusal
    closing = command.close and transfer.closed_at is None
    if closing:
        arrival.close()
    result: dict[str, Any] = {"transfer": transfer.id, "open": plain(arrival.open())}
    if not arrival.changed and not closing:
        return Accepted((), transfer.id, result, "merged")
    events: list[Event] = [
        TransferReceived(
            transfer=transfer.id,
            lines=tuple(arrival.lines[number] for number in sorted(arrival.changed)),
            closed=closing,
            at=context.now,
        )
    ]
    if arrival.moves:
        reason = "transfer received"
        events.append(StockMoved(reference=transfer.id, reason=reason, moves=tuple(arrival.moves), at=context.now))
    events += _case(state, context, transfer, target, arrival.differences)
    return Accepted(events, transfer.id, result)


class _Arrival:
    """What one receipt does to a transfer's lines."""

    def __init__(self, state: State, transfer: Transfer, target: Location) -> None:
        self.state = state
        self.target = target
        self.lines = {line.line: line for line in state.of(Transfers).lines(transfer.id)}
        self.changed: set[int] = set()
        self.moves: list[Move] = []
        self.differences: list[CaseSubject] = []

    def open(self) -> Decimal:
        return sum((line.open for line in self.lines.values()), ZERO)

    def take(self, said: ReceivedTransferLine, where: str) -> Refusal | None:
        """Take one received line in: from the lines of its item (and lot) that are open, then as over."""
        item = stocked_item(self.state, said.sku, where)
        if isinstance(item, Refusal):
            return item
        units = to_base(item, said.quantity, said.unit)
        if isinstance(units, Refusal):
            return units
        if units <= 0:
            return bad_line(where, said.sku, said.quantity, item)
        if said.lot is not None and item.tracking == "none":
            return not_tracked(item, f"{where}.lot", said.lot)
        for line in list(self.lines.values()):
            part = min(units, line.open)
            if line.item == item.id and said.lot in (None, line.lot) and part > 0:
                units -= part
                self._set(msgspec.structs.replace(line, received=line.received + part))
                self._move(item, part, "in_transit", said.status, line)
        if units:
            self._over(item, units, said)
        return None

    def _over(self, item: Item, units: Decimal, said: ReceivedTransferLine) -> None:
        same = (line for line in self.lines.values() if line.item == item.id and said.lot in (None, line.lot))
        lot = said.lot or (UNIDENTIFIED if item.tracking != "none" else "")
        if item.tracking == "serial" and self.state.of(Lots).place_of_serial(item.id, lot) is not None:
            lot = UNIDENTIFIED
        line = next(same, None) or TransferLine(len(self.lines) + 1, item.id, lot, ZERO)
        self._set(msgspec.structs.replace(line, over=line.over + units))
        self._move(item, units, "shortage", said.status, msgspec.structs.replace(line, lot=lot))
        self._differs(item, f"{plain(units)} more than were on their way")

    def close(self) -> None:
        """Give up what is still on its way."""
        for line in list(self.lines.values()):
            if line.open > 0:
                item = self.state.of(Catalogue).items[line.item]
                self.moves.append(Move(item.id, line.open, "in_transit", self.target.id, "shortage", None, line.lot))
                self._differs(item, f"{plain(line.open)} never arrived")
                self._set(msgspec.structs.replace(line, missing=line.missing + line.open))

    def _set(self, line: TransferLine) -> None:
        self.lines[line.line] = line
        self.changed.add(line.line)

    def _move(self, item: Item, units: Decimal, account: Account, status: str, line: TransferLine) -> None:
        source = self.target.id if account == "in_transit" else None
        move = Move(item.id, units, account, source, BUCKET_OF[status], self.target.id, line.lot, line.expires_on)
        self.moves += by_lot(self.state, item, [move])

    def _differs(self, item: Item, what: str) -> None:
        self.differences.append(CaseSubject("item", item.id, f"{item.sku} to {self.target.code}: {what}"))


def _wanted(state: State, lines: tuple[TransferredLine, ...]) -> list[tuple[Item, Decimal, str | None]] | Refusal:
    wanted: list[tuple[Item, Decimal, str | None]] = []
    for at, line in enumerate(lines):
        item = stocked_item(state, line.sku, f"lines[{at}]")
        if isinstance(item, Refusal):
            return item
        units = to_base(item, line.quantity, line.unit)
        if isinstance(units, Refusal):
            return msgspec.structs.replace(units, where=f"lines[{at}].{units.where}")
        if units <= 0:
            return bad_line(f"lines[{at}]", line.sku, line.quantity, item)
        if line.lot is not None and item.tracking == "none":
            return not_tracked(item, f"lines[{at}].lot", line.lot)
        wanted.append((item, units, line.lot))
    return wanted


def _short(state: State, wanted: list[tuple[Item, Decimal, str | None]], source: Location) -> Refusal | None:
    asked: dict[str, Decimal] = {}
    short = []
    for at, (item, units, _) in enumerate(wanted):
        asked[item.id] = asked.get(item.id, ZERO) + units
        available = max(ZERO, state.of(Stock).available(item.id, source.id))
        if asked[item.id] > available:
            what = f"{item.sku}: {plain(asked[item.id])} asked, {plain(available)} available"
            short.append(RefusalDetail(f"lines[{at}].quantity", plain(units), what))
    if not short:
        return None
    return Refusal("stock.short", f"Not enough stock at {source.code}: {'; '.join(d.what for d in short)}.",
                   "Lower the quantities, or wait for a receipt.", short[0].where, short[0].value,
                   tuple(short))  # fmt: skip


def _lots(
    state: State,
    source: Location,
    item: Item,
    units: Decimal,
    lot: str | None,
    taken: dict[tuple[str, str], Decimal],
    context: Context,
    where: str,
) -> list[tuple[str, Decimal]] | Refusal:
    """Return the lots a line takes, and remember them in `taken`; without tracking it has one without a name."""
    if item.tracking == "none":
        return [("", units)]
    there = [known for known in state.of(Lots).at(item.id, source.id) if lot in (None, known.lot)]
    mine = {name: part for (of, name), part in taken.items() if of == item.id}
    choice = choose_lots(there, units, context.now.date(), taken=mine)
    if choice.short:
        return Refusal("stock.lot_short", f"{item.sku} at {source.code}: {plain(units - choice.short)} of "
                       f"{plain(units)} are in lots that are not expired or allocated.",
                       "Lower the quantity, or name another lot.", where, lot or "")  # fmt: skip
    for name, part in choice.lots:
        taken[item.id, name] = taken.get((item.id, name), ZERO) + part
    return list(choice.lots)


def _case(
    state: State, context: Context, transfer: Transfer, target: Location, differences: list[CaseSubject]
) -> list[Event]:
    if not differences:
        return []
    return case_events(
        state,
        context,
        cause=_cause(transfer.id),
        kind="transfer_discrepancy",
        title=f"The transfer {transfer.reference} to {target.code} did not arrive as it was shipped",
        severity=3,
        owner_role="Fulfilment Lead",
        subjects=differences,
    )


def _cause(transfer: str) -> str:
    return f"stock:transfer:{transfer}"


def _wants_shipped(state: State, command: ShipTransfer, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.from_location)
    state.of(Catalogue).want_location(command.to_location)
    for line in command.lines:
        state.of(Catalogue).want_item(line.sku)
        for code in (command.from_location, command.to_location):
            state.of(Stock).want(line.sku, code)
            state.of(Lots).want(line.sku, code)


def _wants_received(state: State, command: ReceiveTransfer, policies: Policies) -> None:
    state.of(Transfers).want(command.transfer)
    state.of(Cases).want_cause(_cause(command.transfer))
    for line in command.lines:
        state.of(Catalogue).want_item(line.sku)
        if line.lot is not None:
            state.of(Lots).want_serial(line.sku, line.lot)


def _then_wants_received(state: State, command: ReceiveTransfer, policies: Policies) -> None:
    transfer = state.of(Transfers).transfers.get(command.transfer)
    if transfer is None:
        return
    state.of(Catalogue).want_location(state.of(Transfers).codes[transfer.to_location])
    known = [state.of(Catalogue).item(line.sku) for line in command.lines]
    for item in {line.item for line in state.of(Transfers).lines(transfer.id)} | {i.id for i in known if i is not None}:
        state.of(Catalogue).want_item_id(item)
        state.of(Stock).want_at(item, transfer.to_location)
        state.of(Lots).want_at(item, transfer.to_location)


def _concerned(state: State, command: ReceiveTransfer) -> Concerns:
    transfers = state.of(Transfers)
    transfer = transfers.transfers.get(command.transfer)
    return Concerns(sites=(transfers.codes[transfer.to_location],) if transfer is not None else ())


def _moves_received(state: State, command: ReceiveTransfer) -> tuple[Movement, ...]:
    sites = _concerned(state, command).sites
    return tuple(Movement(site, tuple(line.sku for line in command.lines), "transfer") for site in sites)


VERBS = (
    Verb(
        name="stock.ship_transfer",
        command=ShipTransfer,
        decide=ship_transfer,
        wants=_wants_shipped,
        concerns=lambda state, command: Concerns(sites=(command.from_location,)),
        moves=lambda state, command: (
            Movement(command.from_location, tuple(line.sku for line in command.lines), "transfer", fact=False),
        ),
    ),
    Verb(
        name="stock.receive_transfer",
        command=ReceiveTransfer,
        decide=receive_transfer,
        wants=_wants_received,
        then_wants=_then_wants_received,
        touches=lambda command: (command.transfer,),
        concerns=_concerned,
        moves=_moves_received,
    ),
)
