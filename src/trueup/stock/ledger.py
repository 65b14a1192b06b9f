"""What moved on hand after a time, so that a count can be compared with the book as of when it was made."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from trueup.core.quantity import ZERO
from trueup.core.verb import Loading, Slice, Statement, Takes
from trueup.stock.state import Place, StockMoved

# `at` bounds the search: what is effective after a time was posted after it, too.
_SINCE = """select p.item, p.location, p.since, m.lot,
        sum(case when m.to_account = 'on_hand' and m.to_location = p.location then m.quantity else 0 end
            - case when m.from_account = 'on_hand' and m.from_location = p.location then m.quantity else 0 end)
    from (select k.item, l.id as location, w.since
          from unnest(%s::text[], %s::text[], %s::timestamptz[]) as w (key, code, since)
          join item_key k using (key) join location l using (code)
          union select * from unnest(%s::text[], %s::text[], %s::timestamptz[])) p
    join stock_movement m on m.item = p.item and m.at > p.since and coalesce(m.effective_at, m.at) > p.since
    where p.location in (m.to_location, m.from_location)
    group by p.item, p.location, p.since, m.lot"""


class Ledger(Slice):
    """Net movements of on hand at a place after a time; the balance's lock guards them. It writes nothing."""

    late = True

    def __init__(self) -> None:
        self._wanted: set[tuple[str, str, datetime]] = set()
        self._ids: set[tuple[str, str, datetime]] = set()
        self._net: dict[tuple[str, str, datetime], dict[str, Decimal]] = {}
        self._moved: dict[Place, list[tuple[datetime, str, Decimal]]] = {}

    def want(self, key: str, code: str, since: datetime) -> None:
        """Ask what moved of the item that answers to `key` at the location of this code; its balance goes with it."""
        self._wanted.add((key, code, since))

    def want_at(self, item: str, location: str, since: datetime) -> None:
        """Ask by the ids of item and location."""
        self._ids.add((item, location, since))

    def since(self, item: str, location: str, since: datetime, lot: str | None = None) -> Decimal:
        """Return the net units that came on hand after a time that was asked for; of one lot, or of all."""
        stored = self._net.get((item, location, since), {})
        net = sum(stored.values(), ZERO) if lot is None else stored.get(lot, ZERO)
        for effective, moved, units in self._moved.get((item, location), ()):
            if effective > since and lot in (None, moved):
                net += units
        return net

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read after the balances were locked, in the same round trip."""
        if not self._wanted and not self._ids:
            return
        wanted, ids = sorted(self._wanted), sorted(self._ids)
        self._wanted.clear()
        self._ids.clear()
        answers = yield [
            Statement(_SINCE, [[row[at] for row in rows] for rows in (wanted, ids) for at in range(3)]),
        ]
        for item, location, since, lot, units in answers[0]:
            self._net.setdefault((item, location, since), {})[lot] = units

    def takes(self) -> Takes:
        """Take a movement of this batch in."""
        return {StockMoved: self._take}

    def _take(self, event: StockMoved) -> None:
        effective = event.effective_at or event.at
        for move in event.moves:
            if move.from_account == "on_hand" and move.from_location is not None:
                self._moved.setdefault((move.item, move.from_location), []).append(
                    (effective, move.lot, -move.quantity)
                )
            if move.to_account == "on_hand" and move.to_location is not None:
                self._moved.setdefault((move.item, move.to_location), []).append((effective, move.lot, move.quantity))
