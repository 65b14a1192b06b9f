"""A hypothesis state machine that trades with three locations through the door, and holds each outcome to the model.

The model predicts refusals, totals, units and states. Where sourcing takes units from is read, and must be allowed: no
request claims more than there is, no place is asked again that rejected a line, nothing held is allocated.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.machine.machine import NUMBERS
from tests.proof import problems_of
from tests.trade.goods import WANTED, WHERE, Goods
from tests.trade.model import KINDS, PLACES, PRICE, STOCKED, Order, Wanted
from tests.trade.watching import (
    CAPPED,
    Seen,
    demand_allowed,
    demand_enough,
    demand_gave_way,
    demand_whole,
    needed,
    see,
    unallocated,
)

from trueup import house
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.orders.cancel import CancelLine, CancelOrder
from trueup.orders.hold import PlaceHold, ReleaseHold
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.allocate import AllocateUnits, ReleaseAllocation
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.parts import MovePart, PartUnits
from trueup.sourcing.reject import RejectPart
from trueup.storyline import settled


class Trade(Goods):
    """Place, hold, source, move, reject, release, allocate by hand, cancel; beside all that happens to goods."""

    def see(self, order: str) -> Seen:
        return self.bench.runner.run(see(self.bench.reads, order))

    # --- what was seen becomes the model's, when it is allowed -----------------------------------------------------

    def adopt(self, order: str, seen: Seen) -> None:
        """Take over where an order's claims lie; no request may have claimed beyond what there was."""
        before = {(item, place): self.shop.counting(item, place) for item in STOCKED for place in PLACES}
        self.shop.claims = [claim for claim in self.shop.claims if claim.holder != order] + seen.claims
        pegged = {number: line.pegged for number, line in self.shop.orders[order].lines.items() if line.pegged}
        assert seen.pegs == pegged, ("waits for supply", seen.pegs, pegged)
        self.demand_covered(before)
        demand_whole(self.shop, order, seen)

    def demand_covered(self, before: dict[tuple[str, str], int]) -> None:
        for (item, place), claimed in before.items():
            most = max(claimed, self.shop.on_hand[item, place] - self.shop.safety[item, place])
            assert self.shop.counting(item, place) <= most, (item, place, "more was claimed than there is")

    def chosen(self, which: int) -> tuple[str, Order]:
        """One of the orders; those that are over now and then only."""
        live = [id_ for id_, order in self.shop.orders.items() if order.state != "cancelled"]
        orders = live if live and which % 12 else list(self.shop.orders)
        id_ = orders[which % len(orders)]
        return id_, self.shop.orders[id_]

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS, line=st.integers(1, 4), units=st.integers(0, 3), whole=st.sampled_from((False, False, True)))
    def somebody_cancels(self, which: int, line: int, units: int, whole: bool) -> None:
        if whole:
            self.cancel_the_rest(which)
        else:
            self.cancel(which, line, units)

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS, type_=st.sampled_from(("manual", "compliance")), line=st.sampled_from((None, 1, 2, 3)))
    def somebody_holds_or_releases(self, which: int, type_: str, line: int | None) -> None:
        if any(order.holds for order in self.shop.orders.values()) and which % 2:
            self.release_a_hold(which)
        else:
            self.hold(which, type_, line)

    @precondition(lambda self: self.shop.orders)
    @rule(at_once=st.booleans())
    def everything_is_sourced(self, at_once: bool) -> None:
        if at_once:
            self.source_all_at_once()
        else:
            self.settle()

    @precondition(lambda self: self.shop.orders)
    @rule(
        how=st.sampled_from(("allocate", "fill", "fill", "release", "release")),
        which=NUMBERS,
        line=st.integers(1, 4),
        place=WHERE,
        units=st.integers(0, 3),
    )
    def somebody_decides_by_hand(self, how: str, which: int, line: int, place: str, units: int) -> None:
        if how == "allocate":
            self.allocate_by_hand(self.chosen(which)[0], line, place, units)
        elif how == "fill":
            self.fill_by_hand(which, place, units // 2)
        else:
            self.release_by_hand(which, place, units)

    # --- orders -----------------------------------------------------------------------------------------------

    @rule(wanted=WANTED)
    def place(self, wanted: Wanted) -> None:
        self.pass_time(timedelta(seconds=1))  # whose turn it is goes by the time, and then by ids, which are random
        taken = self.shop.taking(wanted)
        lines = tuple(PlaceLine(self.name(item), Quantity(units), Amount(PRICE)) for item, units in wanted)
        command = PlaceOrder(channel=self.name("shop"), currency="EUR", lines=lines)
        if taken.refused:
            refusal = self.told(command, "refused", "stock.short").refusal
            assert refusal is not None
            assert [detail.where for detail in refusal.details] == taken.short
            return
        order = self.told(command).result["order"]
        self.shop.orders[order] = Order(taken.lines)
        seen = self.see(order)
        assert not seen.by_place("allocation")
        for number, line in self.shop.orders[order].goods().items():
            assert seen.lines[number][1] == line.open - line.waiting, (number, "reserved", seen.lines[number])
        self.adopt(order, seen)

    def cancel(self, which: int, line: int, units: int) -> None:
        id_, order = self.chosen(which)
        command = CancelOrder(order=id_, lines=(CancelLine(line, Quantity(units)),))
        known = order.lines.get(line)
        if known is None:
            self.told(command, "refused", "orders.unknown_line")
        elif known.parent is not None:
            self.told(command, "refused", "orders.part_of_kit")
        elif not 0 < units <= known.open:
            self.told(command, "refused", "orders.too_many")
        else:
            self.cancelling(command, id_, {line: units})

    def cancel_the_rest(self, which: int) -> None:
        id_, order = self.chosen(which)
        rest = {number: line.open for number, line in order.lines.items() if line.open and line.parent is None}
        if not rest:
            self.told(CancelOrder(order=id_), "refused", "orders.nothing_left")
        else:
            self.cancelling(CancelOrder(order=id_), id_, rest)

    def cancelling(self, command: CancelOrder, id_: str, units: dict[int, int]) -> None:
        """Cancel units that are there to be cancelled, unless a hold stops it."""
        order = self.shop.orders[id_]
        gone = {number for number, line in order.lines.items() if {number, line.parent} & units.keys()}
        if any(type_ == "compliance" and on in {None, *gone} for type_, on in order.holds.values()):
            self.told(command, "refused", "orders.held")
            return
        left = self.shop.cancel(id_, units)
        result = self.told(command).result
        assert Decimal(result["total"]) == self.shop.total(id_)
        seen = self.see(id_)
        assert {number: seen.lines[number][1:] for number in left} == left
        for kind in KINDS:
            assert not seen.by_place(kind) - self.shop.by_place(id_, kind), "a cancellation claims nothing"
        self.adopt(id_, seen)

    def hold(self, which: int, type_: str, line: int | None) -> None:
        id_, order = self.chosen(which)
        command = PlaceHold(order=id_, type=type_, line=line, reason=f"look {self.submitted}")
        if line is not None and line not in order.lines:
            self.told(command, "refused", "orders.unknown_line")
        elif not any(known.open for number, known in order.lines.items() if line in (None, number)):
            self.told(command, "refused", "orders.nothing_to_hold")
        else:
            order.holds[self.told(command).result["hold"]] = (type_, line)
            self.adopt(id_, self.see(id_))

    def release_a_hold(self, which: int) -> None:
        held = [(id_, hold) for id_, order in self.shop.orders.items() for hold in order.holds]
        id_, hold = held[which % len(held)]
        self.told(ReleaseHold(hold=hold, reason="looked"))
        del self.shop.orders[id_].holds[hold]
        self.adopt(id_, self.see(id_))

    # --- sourcing ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS)
    def source(self, which: int) -> None:
        id_, order = self.chosen(which)
        needs = needed(self.shop, id_, {})
        if order.state == "cancelled":
            self.told(AssignOrder(order=id_), "refused", "orders.transition")
        elif not needs and order.holds:
            self.told(AssignOrder(order=id_), "refused", "orders.held")
        elif not needs:
            self.told(AssignOrder(order=id_), "merged")
        else:
            self.sourcing(id_, order)

    def sourcing(self, id_: str, order: Order) -> None:
        """Source an order of which something is to be sourced; what came of it must be allowed, and enough."""
        needs = needed(self.shop, id_, CAPPED)
        (outcome,) = self.submit(AssignOrder(order=id_))
        seen = self.see(id_)
        gains = seen.by_place("allocation") - self.shop.by_place(id_, "allocation")
        assert not self.shop.by_place(id_, "allocation") - seen.by_place("allocation"), "sourcing gives nothing back"
        demand_allowed(self.shop, id_, needs, gains, self.how)
        demand_enough(self.shop, id_, needs, gains, self.how)
        for place in {place for _, place in gains}:
            self.shop.loads[place, self.shop.now.date()] += 1
        parts = {part["location"]: part["lines"] for part in outcome.result["fulfilment_orders"]}
        assert {(int(n), p): int(u) for p, lines in parts.items() for n, u in lines.items()} == {
            (number, self.name(place)): units for (number, place), units in gains.items()
        }
        demand_gave_way(self.shop, id_, seen, gains)
        for need in needs:
            line = order.lines[need.line]
            line.pegged = min(line.pegged, need.units - sum(u for (of, _), u in gains.items() if of == need.line))
        self.expect_outcome(outcome, sum(need.units for need in needs) - sum(gains.values()), bool(gains), seen)
        order.state = "waiting" if unallocated(order, seen) else "sourced"
        self.adopt(id_, seen)

    def expect_outcome(self, outcome: Outcome, short: int, served: bool, seen: Seen) -> None:
        if not short:
            assert (outcome.status, outcome.result["outcome"], seen.queue) == ("applied", "assigned", None)
        elif self.how.whole:
            assert (outcome.status, outcome.result["outcome"], seen.queue) == ("queued", "queued", "by hand")
        else:
            assert (outcome.status, outcome.result["outcome"]) == ("applied", "partly" if served else "unserved")

    def source_all_at_once(self) -> None:
        outcomes = self.submit(*(AssignOrder(order=order) for order in self.shop.orders))
        assert all(outcome.status != "quarantined" for outcome in outcomes), outcomes
        self.look_at_all()

    def settle(self) -> None:
        self.bench.runner.run(settled(self.bench.door, self.bench.url, house.build()))
        self.look_at_all()

    def look_at_all(self) -> None:
        """See what became of every order when many were sourced at once: all of it together must be allowed."""
        before = {(item, place): self.shop.counting(item, place) for item in STOCKED for place in PLACES}
        everything = {id_: self.see(id_) for id_ in self.shop.orders}
        for id_, seen in everything.items():
            self.compare(id_, self.shop.orders[id_], seen)
        holders = self.shop.orders.keys()
        self.shop.claims = [claim for claim in self.shop.claims if claim.holder not in holders]
        self.shop.claims += [claim for seen in everything.values() for claim in seen.claims]
        self.demand_covered(before)
        for place, most in CAPPED.items():
            taken = self.bench.runner.run(self.load(place))
            assert taken <= max(most, self.shop.loads[place, self.shop.now.date()]), (place, "took more than it can")
            self.shop.loads[place, self.shop.now.date()] = taken
        for id_, seen in everything.items():
            demand_whole(self.shop, id_, seen)

    def compare(self, id_: str, order: Order, seen: Seen) -> None:
        """Demand of one order that it was sourced where it may be, and not at all where it is held."""
        was = {kind: self.shop.by_place(id_, kind) for kind in KINDS}
        gains = seen.by_place("allocation") - was["allocation"]
        for (number, place), units in gains.items():
            assert not order.held(number), (number, units, "allocated under a hold")
            assert place not in order.lines[number].rejected, (number, place, "rejected it, and was asked again")
        assert not seen.by_place("reservation") - was["reservation"], "sourcing reserves nothing"
        for number, line in order.goods().items():
            _, reserved, allocated = seen.lines[number]
            line.waiting = line.open - reserved - allocated
            line.pegged = seen.pegs.get(number, 0)
        left = unallocated(order, seen)
        if seen.by_place("allocation") != was["allocation"]:
            order.state = "waiting" if left else "sourced"
        elif left and order.state == "placed" and seen.state == "waiting":
            assert not all(order.held(number) for number in order.goods())
            order.state = "waiting"

    async def load(self, place: str) -> int:
        rows = await self.bench.reads.execute(
            "select orders from sourcing_load s join location l on l.id = s.location where l.code = %s and day = %s",
            [self.name(place), self.shop.now.date()],
        )
        row = await rows.fetchone()
        return int(row[0]) if row else 0

    # --- by hand ----------------------------------------------------------------------------------------------

    def allocate_by_hand(self, id_: str, line: int, place: str, units: int) -> None:
        order = self.shop.orders[id_]
        command = AllocateUnits(order=id_, line=line, location=self.name(place), quantity=Quantity(units))
        known = order.goods().get(line)
        if order.state == "cancelled":
            self.told(command, "refused", "orders.transition")
        elif known is None:
            self.told(command, "refused", "orders.unknown_line")
        elif order.held(line):
            self.told(command, "refused", "orders.held")
        elif not 0 < units <= self.may_have(id_, line, place):
            self.told(command, "refused", "sourcing.too_many")
        else:
            reserved = self.shop.held_by(id_, line, "reservation")
            self.told(command)
            known.waiting -= max(0, units - reserved)
            known.pegged = min(known.pegged, known.waiting)
            seen = self.see(id_)
            assert seen.by_place("allocation") - self.shop.by_place(id_, "allocation") == {(line, place): units}
            assert seen.lines[line][1] == max(0, reserved - units)
            order.state = "waiting" if unallocated(order, seen) else "sourced"
            self.shop.loads[place, self.shop.now.date()] += 1
            self.adopt(id_, seen)

    def may_have(self, id_: str, line: int, place: str) -> int:
        """Units of a line that are to be had at a place and not allocated yet."""
        known = self.shop.orders[id_].lines[line]
        wanted = known.open - self.shop.held_by(id_, line, "allocation")
        return min(wanted, self.shop.available_to(id_, known.item, place, (line,)))

    def fill_by_hand(self, which: int, place: str, short: int) -> None:
        """Allocate what a line may have, less some units."""
        id_, order = self.chosen(which)
        lines = list(order.goods())
        line = lines[which % len(lines)]
        units = self.may_have(id_, line, place) - short
        if units > 0:
            self.allocate_by_hand(id_, line, place, units)

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS, more=st.integers(0, 1), by_hand=st.booleans())
    def goods_come_for_somebody_who_waits(self, which: int, more: int, by_hand: bool) -> None:
        waiting = [(id_, n) for id_, order in self.shop.orders.items() for n, x in order.lines.items() if x.pegged]
        if not waiting:
            return
        id_, number = waiting[which % len(waiting)]
        line = self.shop.orders[id_].lines[number]
        self.receive(line.item, PLACES[0], line.waiting + more)
        units = self.may_have(id_, number, PLACES[0])
        if by_hand and units > 0:
            self.allocate_by_hand(id_, number, PLACES[0], units)
        else:
            self.settle()

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS, line=st.integers(1, 3))
    def source_around_a_hold(self, which: int, line: int) -> None:
        id_, order = self.chosen(which)
        self.hold(which, "manual", line)
        for place in PLACES if line in order.goods() else ():
            if (units := self.may_have(id_, line, place)) > 0:
                self.allocate_by_hand(id_, line, place, units)
        self.source(which)

    def release_by_hand(self, which: int, place: str, units: int) -> None:
        """Give back units of a line that has some; or try to at a place where it has not."""
        id_, _ = self.chosen(which)
        there = sorted(self.shop.by_place(id_, "allocation"))
        line, at = there[which % len(there)] if there and units else (1, place)
        self.release_an_allocation(which, line, at, units)

    def release_an_allocation(self, which: int, line: int, place: str, units: int) -> None:
        id_, order = self.chosen(which)
        command = ReleaseAllocation(order=id_, line=line, location=self.name(place), quantity=Quantity(units))
        there = self.shop.by_place(id_, "allocation")
        if not 0 < units <= there[line, place]:
            self.told(command, "refused", "sourcing.not_allocated")
            return
        self.told(command)
        there[line, place] -= units
        order.lines[line].waiting += units
        order.state = "waiting"
        seen = self.see(id_)
        assert seen.by_place("allocation") == +there
        self.adopt(id_, seen)

    def a_part(self, which: int) -> tuple[str, str, str, dict[int, int]] | None:
        """An open fulfilment order: its order, id, place, and what it owes by line."""
        parts = [(id_, part, *owes) for id_ in self.shop.orders for part, owes in self.see(id_).parts.items()]
        return parts[which % len(parts)] if parts else None

    @precondition(lambda self: self.shop.orders)
    @rule(
        which=NUMBERS,
        reason=st.sampled_from(("damaged", "not_found", "no_capacity", "other")),
        units=st.integers(0, 3),
    )
    def reject(self, which: int, reason: str, units: int) -> None:
        """Reject a part whole (0 units), or so many units of its first line."""
        part = self.a_part(which)
        if part is None:
            return
        id_, fulfilment_order, place, owed = part
        first = min(owed)
        units = units % (owed[first] + 2)
        lines = (PartUnits(first, Quantity(units)),) if units else ()
        command = RejectPart(order=id_, fulfilment_order=fulfilment_order, reason=reason, lines=lines)  # type: ignore[arg-type]
        if units > owed[first]:
            self.told(command, "refused", "sourcing.too_many")
            return
        self.told(command)
        order, there = self.shop.orders[id_], self.shop.by_place(id_, "allocation")
        for number, gone in ({first: units} if units else owed).items():
            line = order.lines[number]
            there[number, place] -= gone
            line.waiting += gone
            line.rejected.add(place)
            if reason == "damaged":
                self.shop.spoil(line.item, place, gone)
            elif reason == "not_found":
                self.shop.adjust(line.item, place, -gone)
        order.state = "waiting"
        seen = self.see(id_)
        assert seen.by_place("allocation") == +there
        self.adopt(id_, seen)

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS, to=WHERE)
    def move_a_part(self, which: int, to: str) -> None:
        part = self.a_part(which)
        if part is None:
            return
        id_, fulfilment_order, place, owed = part
        command = MovePart(order=id_, fulfilment_order=fulfilment_order, location=self.name(to))
        order, there = self.shop.orders[id_], self.shop.by_place(id_, "allocation")
        wanted = Counter[str]()
        for line, units in owed.items():
            wanted[order.lines[line].item] += units
            there[line, place] -= units
            there[line, to] += units
        if place == to:
            self.told(command, "refused", "sourcing.same_location")
        elif any(units > self.shop.available(item, to) for item, units in wanted.items()):
            self.told(command, "refused", "sourcing.short")
        else:
            self.told(command)
            seen = self.see(id_)
            assert seen.by_place("allocation") == +there
            self.shop.loads[to, self.shop.now.date()] += 1
            self.adopt(id_, seen)

    def teardown(self) -> None:
        if self.submitted:
            self.settle()
            self.what_can_be_read_is_what_the_model_says()
            self.demand_conserved()
        assert self.bench.runner.run(problems_of(self.bench.url)) == []
