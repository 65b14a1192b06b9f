"""Suspect duplicates: the same person, the same goods, within minutes. They are flagged or held, never merged.

Who ordered is told by the customer, else by a digest of the e-mail address; the address itself stays where it can be
erased, and digests are forgotten after a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import plain
from trueup.core.verb import (
    Accepted,
    Batch,
    Command,
    Context,
    Decision,
    Event,
    Loading,
    Rebuilt,
    Rows,
    Slice,
    State,
    Statement,
    Takes,
    Verb,
)
from trueup.orders.channel import Channel
from trueup.orders.held import DuplicateDismissed, DuplicateSuspected
from trueup.orders.hold import concerns_order, releasing
from trueup.orders.hold_state import Holds
from trueup.orders.holds import placing, rules_of
from trueup.orders.state import Captured, Line, OrderPlaced, Orders, version_after
from trueup.orders.version import known_order, unknown_order
from trueup.parties.state import Contact

if TYPE_CHECKING:
    from trueup.orders.draft_state import DraftBasket
    from trueup.orders.place import PlaceOrder

FLAG = "suspected_duplicate"
RULE = "suspected_duplicate"


class DismissDuplicate(Command, frozen=True, kw_only=True):
    """Decide that a suspected duplicate is wanted; the hold that came with the suspicion ends, too."""

    order: str
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


Print = tuple[str, bytes, bytes]
"""Who, the SKUs, and the units of each; digests."""


class Last(NamedTuple):
    """The last order with one print. stands: it was not cancelled as a whole."""

    order: str
    at: datetime
    stands: bool


class Suspicion:
    """That an order may be a duplicate, while its batch runs."""

    __slots__ = ("at", "dismissed", "earlier", "is_new")

    def __init__(self, earlier: str, at: datetime, *, is_new: bool) -> None:
        self.earlier = earlier
        self.at = at
        self.is_new = is_new
        self.dismissed: tuple[Any, ...] = (None, None, None)


def suspicion(state: State, context: Context, order: Captured, lines: Sequence[Line]) -> tuple[Captured, list[Event]]:
    """Return the order with its flag, and the events of the suspicion; the order as it is where nothing is suspected.

    The channel's `duplicate_minutes` say how long an earlier order counts; `duplicates` whether the later one is only
    flagged, or held until a person decides.
    """
    channel = context.policies.get(Channel, order.channel)
    if not channel.duplicate_minutes:
        return order, []
    earlier = state.of(Suspects).last(order, lines)
    if earlier is None or not earlier.stands:
        return order, []
    if context.now - earlier.at > timedelta(minutes=channel.duplicate_minutes):
        return order, []
    events: list[Event] = [DuplicateSuspected(order=order.id, earlier=earlier.order, at=context.now)]
    if channel.duplicates == "hold":
        kind = rules_of(context.policies, order.channel).by_name["manual"]
        reason = f"may be a duplicate of {earlier.order}"
        events.append(placing(context, kind, order.id, reason, rule=RULE))
    return msgspec.structs.replace(order, flags=(*order.flags, FLAG)), events


def dismiss_duplicate(state: State, command: DismissDuplicate, context: Context) -> Decision:
    """Dismiss the suspicion and release its hold. One that was dismissed before ends as merged.

    Refuses an order that was never suspected.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    found = state.of(Suspects).suspicions.get(command.order)
    if found is None:
        return Refusal("orders.not_suspected", "Nobody suspects this order to be a duplicate.",
                       "Look at its flags.", "order", command.order)  # fmt: skip
    if found.dismissed[0] is not None:
        return Accepted((), command.order, {"order": command.order, "version": row.version}, "merged")
    events: list[Event] = [
        DuplicateDismissed(order=command.order, reason=command.reason, by=context.actor.id, at=context.now)
    ]
    held = [hold for hold in state.of(Holds).open_on(command.order) if hold.rule == RULE]
    events += [releasing(context, hold, command.reason) for hold in held]
    return Accepted(events, command.order, {"order": command.order, "version": version_after(row, events)})


def want_earlier(state: State, command: PlaceOrder | DraftBasket, policies: Policies) -> None:
    """Ask for earlier orders of the same person with the same SKUs, where the channel looks for duplicates."""
    if not policies.get(Channel, command.channel).duplicate_minutes:
        return
    mail = state.of(Suspects).mails.get(command.contact) if isinstance(command.contact, str) else None
    if command.customer or mail:
        goods = goods_of(line.sku for line in command.lines)
        state.of(Suspects).want(goods, (command.customer_source, command.customer) if command.customer else None, mail)


def mark_contact(state: State, person: str, contact: Contact) -> None:
    """Note the digest of an e-mail address under the id that stands for the words in the command."""
    if contact.email and contact.email.strip():
        address = contact.email.strip().lower().encode()
        state.of(Suspects).mails[person] = "mail:" + hashlib.blake2b(address, digest_size=16).hexdigest()


def goods_of(skus: Iterable[str]) -> bytes:
    """Return the digest of which goods an order names, in whatever order."""
    return _digest("\n".join(sorted(skus)))


def units_of(lines: Sequence[Line]) -> bytes:
    """Return the digest of how many base units of each an order wants."""
    return _digest("\n".join(sorted(f"{line.sku} {plain(line.quantity)}" for line in _sold(lines))))


def _sold(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.item is not None and line.parent is None]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Suspects(Slice):
    """The last orders of those who order in this batch, and suspicions that somebody decides about."""

    def __init__(self) -> None:
        self.mails: dict[str, str] = {}
        self._goods: set[bytes] = set()
        self._customers: set[tuple[str, str, bytes]] = set()
        self._mails: set[tuple[str, bytes]] = set()
        self._orders: set[str] = set()
        self._last: dict[Print, Last] = {}
        self._known: set[Print] = set()
        self._changed: set[Print] = set()
        self.suspicions: dict[str, Suspicion] = {}
        self._decided: set[str] = set()

    def want(self, goods: bytes, customer: tuple[str, str] | None, mail: str | None) -> None:
        """Ask for the last orders of these SKUs by a customer (source, number) or who has this address."""
        self._goods.add(goods)
        if customer is not None:
            self._customers.add((*customer, goods))
        if mail is not None:
            self._mails.add((mail, goods))

    def want_suspicion(self, order: str) -> None:
        """Ask whether an order is suspected."""
        self._orders.add(order)

    def last(self, order: Captured, lines: Sequence[Line]) -> Last | None:
        """Return the last order of the same person with the same goods and units."""
        found = self._print(order, lines)
        return None if found is None else self._last.get(found)

    def _print(self, order: Captured, lines: Sequence[Line]) -> Print | None:
        person = order.customer or self.mails.get(order.person or "")
        if person is None or not self._goods:
            return None
        goods = goods_of(line.sku for line in _sold(lines))
        return (person, goods, units_of(lines)) if goods in self._goods else None

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the last orders of the same in key order; the key itself guards what is not there yet."""
        customers, self._customers = sorted(self._customers), set()
        mails, self._mails = sorted(self._mails), set()
        orders, self._orders = sorted(self._orders), set()
        reads: list[tuple[Any, Statement]] = []
        if customers or mails:
            wanted = [[c[0] for c in customers], [c[1] for c in customers], [c[2] for c in customers],
                      [m[0] for m in mails], [m[1] for m in mails]]  # fmt: skip
            locking = " for no key update of f" if lock else ""
            reads.append((self._take_last, Statement(_READ_LAST + locking, wanted)))
        if orders:
            reads.append((self._take_suspicions, Statement(_READ_SUSPICIONS, [orders])))
        if reads:
            answers = yield [statement for _, statement in reads]
            for (take, _), rows in zip(reads, answers, strict=True):
                take(rows)

    def _take_last(self, rows: Rows) -> None:
        for person, goods, units, order, at, stands in rows:
            key = (person, bytes(goods), bytes(units))
            self._last[key] = Last(order, at, bool(stands))
            self._known.add(key)

    def _take_suspicions(self, rows: Rows) -> None:
        for order, earlier, at, *dismissed in rows:
            self.suspicions[order] = found = Suspicion(earlier, at, is_new=False)
            found.dismissed = tuple(dismissed)

    def takes(self) -> Takes:
        """Take an order, a suspicion, or its dismissal in."""
        return {OrderPlaced: self._placed, DuplicateSuspected: self._suspected, DuplicateDismissed: self._dismissed}

    def _placed(self, event: OrderPlaced) -> None:
        found = self._print(event.order, event.lines)
        if found is not None:
            self._last[found] = Last(event.order.id, event.order.recorded_at, stands=True)
            self._changed.add(found)

    def _suspected(self, event: DuplicateSuspected) -> None:
        self.suspicions[event.order] = Suspicion(event.earlier, event.at, is_new=True)
        self._decided.add(event.order)

    def _dismissed(self, event: DuplicateDismissed) -> None:
        self.suspicions[event.order].dismissed = (event.at, event.by, event.reason)
        self._decided.add(event.order)

    def rebuilt(self) -> list[Rebuilt]:
        """Return every suspicion; the prints are operational, and forgotten."""
        rows = {(order,): (s.earlier, s.at, *s.dismissed) for order, s in self.suspicions.items()}
        return [Rebuilt("suspicion", _ALL_SUSPICIONS, rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the prints of what was placed, and the suspicions that are new or were decided."""
        statements = []
        for sql, known in ((_INSERT_LAST, False), (_UPDATE_LAST, True)):
            prints = [found for found in sorted(self._changed) if (found in self._known) is known]
            if prints:
                last = [self._last[found] for found in prints]
                columns = [list(column) for column in zip(*prints, strict=True)]
                statements.append(Statement(sql, [*columns, [x.order for x in last], [x.at for x in last]]))
        for sql, new in ((_INSERT_SUSPICIONS, True), (_UPDATE_SUSPICIONS, False)):
            decided = [order for order in sorted(self._decided) if self.suspicions[order].is_new is new]
            if decided:
                found = [self.suspicions[order] for order in decided]
                rows = [(o, s.earlier, s.at, *s.dismissed) for o, s in zip(decided, found, strict=True)]
                statements.append(Statement(sql, [list(column) for column in zip(*rows, strict=True)]))
        return statements


_READ_LAST = """select f.person, f.goods, f.units, f.order_id, f.at, o.fulfilment_status <> 'cancelled'
    from (select c.id as person, w.goods from unnest(%s::text[], %s::text[], %s::bytea[]) as w (source, number, goods)
              join customer c using (source, number)
          union select m.person, m.goods from unnest(%s::text[], %s::bytea[]) as m (person, goods)) w
    join order_fingerprint f using (person, goods) left join orders o on o.id = f.order_id
    order by f.person, f.goods, f.units"""
_PRINTS = """unnest(%s::text[], %s::bytea[], %s::bytea[], %s::text[], %s::timestamptz[])
    as n (person, goods, units, order_id, at)"""
_INSERT_LAST = f"""insert into order_fingerprint (person, goods, units, order_id, at)
    select person, goods, units, order_id, at from {_PRINTS}"""
_UPDATE_LAST = f"""update order_fingerprint f set order_id = n.order_id, at = n.at from {_PRINTS}
    where f.person = n.person and f.goods = n.goods and f.units = n.units"""
_SUSPICION = "order_id, earlier, at, dismissed_at, dismissed_by, dismiss_reason"
_ALL_SUSPICIONS = f"select {_SUSPICION} from order_suspicion"
_READ_SUSPICIONS = f"{_ALL_SUSPICIONS} where order_id = any(%s::text[])"
_SUSPICIONS = f"""unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[])
    as n ({_SUSPICION})"""
_INSERT_SUSPICIONS = f"insert into order_suspicion ({_SUSPICION}) select {_SUSPICION} from {_SUSPICIONS}"
_UPDATE_SUSPICIONS = f"""update order_suspicion s set dismissed_at = n.dismissed_at, dismissed_by = n.dismissed_by,
    dismiss_reason = n.dismiss_reason from {_SUSPICIONS} where s.order_id = n.order_id"""


def _wants(state: State, command: DismissDuplicate, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(Holds).want(command.order)
    state.of(Suspects).want_suspicion(command.order)


VERBS = (
    Verb(
        name="orders.dismiss_duplicate",
        command=DismissDuplicate,
        decide=dismiss_duplicate,
        wants=_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
