"""What keeps units that are there from being claimed: channel pools, confidence buffers, freezes, and who waits.

They concern few places; where none does, a batch pays one test for each kind and no row is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from trueup.catalogue.state import ItemRegistered, LocationKind, LocationRegistered
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Body, Event, Rebuilt, Rows, Statement
from trueup.stock import rows
from trueup.stock.freeze_state import FreezeCancelled, FreezeStarted, FreezeThawed, Mode

if TYPE_CHECKING:
    from trueup.stock.state import Balance, OpenClaim, Place
    from trueup.stock.supply_state import OpenPeg

PoolMode = Literal["reserve", "cap"]
PoolKey = tuple[str, PoolMode]
_FIGURES = ("on_hand", "reserved", "allocated", "safety", "damaged", "quality", "quarantined")


class Buffer(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keep units back where a count is doubtful. Each of kinds, groups and categories that is named must fit.

    kinds: of location. groups: a location's groups, any of them. categories: of the item. units: of each item;
    percent: of what is on hand; the larger holds.
    """

    kinds: tuple[LocationKind, ...] = ()
    groups: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    units: Quantity = Quantity(0)
    percent: Quantity = Quantity(0)

    def __post_init__(self) -> None:
        """Refuse what keeps nothing back, or more than there is."""
        super().__post_init__()
        if self.units < 0 or not 0 <= self.percent <= 100 or not (self.units or self.percent):
            raise ValueError("a buffer keeps back units above 0, or a percentage above 0 and up to 100")


class Buffers(Policy, frozen=True, kw_only=True):
    """Confidence buffers: of all that fit a place, the largest is kept back from every promise."""

    kind: ClassVar[str] = "buffers"
    names: ClassVar[tuple[str, ...]] = ("default",)
    buffers: Annotated[tuple[Buffer, ...], msgspec.Meta(max_length=200)] = ()


class Pool(msgspec.Struct):
    """Units of an item at a place and one channel: `reserve`, only it may sell them; `cap`, it sells no more of them.

    used: units its open claims hold; those of a phantom kit are counted by its first part, `per` units to the kit.
    """

    channel: str
    mode: PoolMode
    quantity: Decimal
    used: Decimal
    part: str | None = None
    per: Decimal | None = None


class PoolSet(Event, frozen=True, kw_only=True):
    """A channel's pool is this large; quantity None ends it. used: what its open claims held at the time."""

    name = "stock.pool_set"
    about = "item"
    item: str
    location: str
    channel: str
    mode: PoolMode
    quantity: Decimal | None
    used: Decimal
    at: datetime
    part: str | None = None
    per: Decimal | None = None


LIMITING: frozenset[type[Event]] = frozenset(
    {PoolSet, FreezeStarted, FreezeThawed, FreezeCancelled, LocationRegistered, ItemRegistered}
)
"""The events that limits are made of."""


class Frozen(msgspec.Struct, frozen=True):
    """One place in a freeze's snapshot: its figures at the start, and what may be sold while it lasts."""

    freeze: str
    mode: Mode
    to_at: datetime
    sell_factor: Decimal | None
    sell_units: Decimal | None
    on_hand: Decimal
    reserved: Decimal
    allocated: Decimal
    safety: Decimal

    def left(self, balance: Balance) -> Decimal | None:
        """Return what may still be claimed: the allowance of the start, less what was claimed since. None: no limit."""
        if self.mode != "hard_stop" or (self.sell_factor is None and self.sell_units is None):
            return None
        allowed = max(ZERO, self.on_hand - self.reserved - self.allocated - self.safety)
        if self.sell_factor is not None:
            allowed *= self.sell_factor
        if self.sell_units is not None:
            allowed = min(allowed, self.sell_units)
        return allowed - (balance.reserved + balance.allocated - self.reserved - self.allocated)


class Limits:
    """What limits claims at a batch's places. It lives within the slice of the stock, whose locks guard it."""

    def __init__(self) -> None:
        self.any = False
        self.pools: dict[Place, dict[PoolKey, Pool]] = {}
        self.frozen: dict[Place, dict[str, Frozen]] = {}
        self._buffers: tuple[Buffer, ...] = ()
        self._places: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._categories: dict[str, str | None] = {}
        self._changed: set[tuple[Place, PoolKey]] = set()
        self._snapshots: list[FreezeStarted] = []
        self._kept: dict[tuple[str, str, str], tuple[Decimal, ...]] = {}
        self._now: datetime | None = None
        self._read_uses = False
        self.scopes: dict[str, tuple[str, ...]] = {}
        self.uses: dict[tuple[str, str, str], Decimal] = {}
        self._uses: set[tuple[str, str, str]] = set()
        self.waiting: dict[Place, Decimal] = {}
        # Those of the slice of supply, which is met: what the batch locked and changed goes before what was read here.
        self.backlogs: Mapping[Place, Decimal] = {}
        self.pegs: Mapping[str, Mapping[tuple[int, int], OpenPeg]] = {}

    @property
    def found(self) -> bool:
        """Whether anything may limit a claim of this batch; where nothing does, a balance says it all."""
        return self.any or bool(self.backlogs)

    def under(self, policies: Policies) -> None:
        """Take the buffers that are in force."""
        self._buffers = policies.get(Buffers).buffers
        self.any = self.any or bool(self._buffers)

    def want_use(self, key: str, code: str, channel: str) -> None:
        """Ask what a channel's open claims hold of an item (any key; of a phantom kit, its first part) at a place."""
        self._uses.add((key, code, channel))

    def at(self, now: datetime) -> None:
        """Say what time it is: a freeze ends by itself."""
        self._now = now

    def reads(self, wanted: Sequence[object], now: datetime, *, lock: bool) -> list[Statement]:
        """Return the statements that read limits at wanted places; they follow the lock of the balances."""
        self.at(now)
        sql = [(rows.READ_POOLS, []), (rows.READ_FROZEN, [now])]
        if self._buffers:
            sql.append((rows.READ_TRAITS, []))
        by_id = len(wanted) > 3
        reads = [Statement(rows.by_id_too(text) if by_id else text, [*wanted, *more]) for text, more in sql]
        uses, self._uses = sorted(self._uses), set()
        self._read_uses = bool(uses)
        if uses:
            reads.append(Statement(rows.READ_USES, [[use[at] for use in uses] for at in range(3)]))
        scopes, self.scopes = self.scopes, {}
        for location, items in sorted(scopes.items()):
            if lock:
                reads.append(Statement(rows.LOCK_SCOPE, [location, list(items), not items]))
        return reads

    def take(self, answers: Sequence[Rows]) -> None:
        """Take in what was read."""
        for item, location, *columns in answers[0]:
            pool = Pool(*columns)
            self.pools.setdefault((item, location), {})[pool.channel, pool.mode] = pool
        for item, location, *columns in answers[1]:
            frozen = Frozen(*columns)
            self.frozen.setdefault((item, location), {})[frozen.freeze] = frozen
        at = 2
        if self._buffers:
            for item, location, kind, groups, category in answers[at]:
                self._places[location] = (kind, tuple(groups))
                self._categories[item] = category
            at += 1
        if self._read_uses:
            self.uses.update({(item, location, channel): units for item, location, channel, units in answers[at]})
        self.any = bool(self.pools or self.frozen or self._buffers or self.waiting)

    def available(self, balance: Balance, place: Place, channel: str, mine: Decimal = ZERO) -> Decimal:
        """Return what this channel may still claim: the balance's available, less what is kept back, at most the caps.

        Its own ring-fence counts for it; those of other channels do not, as far as they are not used up. mine: units
        that the one who asks waits for here: whose turn it is takes what came in, whoever else waits.
        """
        kept, caps = self.reasons(balance, place, channel)
        free = balance.available() - sum((units for units, _ in kept), ZERO)
        if mine:
            free = max(free + mine, min(mine, free + self.waiting_at(place)))
        return min([free, *(units for units, _ in caps)])

    def waiting_at(self, place: Place) -> Decimal:
        """Return the units that wait at a place and that no supply to come covers: stock that comes is theirs first."""
        known = self.backlogs.get(place)
        return self.waiting.get(place, ZERO) if known is None else known

    def waits(self, holder: str, place: Place, lines: Collection[int] | None) -> Decimal:
        """Return the units of a place's backlog that are a holder's; lines: only theirs count."""
        held = self.pegs.get(holder)
        if not held:
            return ZERO
        return sum(
            (
                peg.quantity
                for peg in held.values()
                if peg.supply is None and (peg.item, peg.location) == place and (lines is None or peg.line in lines)
            ),
            ZERO,
        )

    def reasons(
        self, balance: Balance, place: Place, channel: str
    ) -> tuple[list[tuple[Decimal, str]], list[tuple[Decimal, str]]]:
        """Return what is kept back, and what at most may be claimed, each with its reason in words."""
        kept: list[tuple[Decimal, str]] = []
        caps: list[tuple[Decimal, str]] = []
        for pool in self.pools.get(place, {}).values():
            if pool.mode == "reserve" and pool.channel != channel and pool.used < pool.quantity:
                kept.append((pool.quantity - pool.used, f"kept for channel {pool.channel}"))
            elif pool.mode == "cap" and pool.channel == channel:
                caps.append(
                    (pool.quantity - pool.used, f"left of the {plain(pool.quantity)} channel {channel} may sell")
                )
        buffer = self._buffer(balance, place)
        if buffer:
            kept.append((buffer, "confidence buffer"))
        waiting = self.waiting_at(place)
        if waiting:
            kept.append((waiting, "for those who wait already"))
        for frozen in self._holding(place):
            left = frozen.left(balance)
            if left is not None:
                caps.append((left, f"left to sell under freeze {frozen.freeze}"))
        return kept, caps

    def cap(self, place: Place, channel: str) -> Decimal | None:
        """Return what the channel's cap leaves, or None without one: of a phantom kit, this is a limit of its own."""
        pool = self.pools.get(place, {}).get((channel, "cap"))
        return None if pool is None else pool.quantity - pool.used

    def _holding(self, place: Place) -> list[Frozen]:
        found = self.frozen.get(place)
        if not found:
            return []
        return [frozen for frozen in found.values() if self._now is None or self._now < frozen.to_at]

    def _buffer(self, balance: Balance, place: Place) -> Decimal:
        if not self._buffers:
            return ZERO
        item, location = place
        kind, groups = self._places.get(location, ("", ()))
        category = self._categories.get(item)
        kept = ZERO
        for buffer in self._buffers:
            if (
                (not buffer.kinds or kind in buffer.kinds)
                and (not buffer.groups or not set(groups).isdisjoint(buffer.groups))
                and (not buffer.categories or category in buffer.categories)
            ):
                kept = max(kept, buffer.units, balance.on_hand * buffer.percent / 100)
        return kept

    def claimed(self, claim: OpenClaim, quantity: Decimal) -> None:
        """Count a claim of a channel, or with a negative quantity its release, in the channel's pools."""
        for counted in (claim.item, claim.kit):
            use = (counted, claim.location, claim.channel)
            if use in self.uses:
                self.uses[use] += quantity
        self._count((claim.item, claim.location), claim.channel, quantity, None)
        if claim.kit:
            self._count((claim.kit, claim.location), claim.channel, quantity, claim.item)

    def _count(self, place: Place, channel: str, quantity: Decimal, part: str | None) -> None:
        for key, pool in self.pools.get(place, {}).items():
            if pool.channel == channel and pool.part == part:
                pool.used += quantity / pool.per if pool.per else quantity
                self._changed.add((place, key))

    def evolve(self, event: Event, balances: Mapping[Place, Balance]) -> None:
        """Take a pool, a freeze, or what a buffer asks about a place in."""
        match event:
            case PoolSet():
                self._pool_set(event)
            case FreezeStarted():
                self._started(event, balances)
            case FreezeThawed() | FreezeCancelled():
                for found in self.frozen.values():
                    found.pop(event.freeze, None)
            case LocationRegistered(location=place):
                self._places[place.id] = (place.kind, place.groups)
            case ItemRegistered(item=item):
                self._categories[item.id] = item.category

    def _pool_set(self, event: PoolSet) -> None:
        place, key = (event.item, event.location), (event.channel, event.mode)
        found = self.pools.setdefault(place, {})
        found.pop(key, None)
        if event.quantity is not None:
            found[key] = Pool(event.channel, event.mode, event.quantity, event.used, event.part, event.per)
        self._changed.add((place, key))
        self.any = True

    def _started(self, event: FreezeStarted, balances: Mapping[Place, Balance]) -> None:
        """Keep the figures of the places that are loaded: commands before this one may have changed them."""
        self._snapshots.append(event)
        self.any = True
        for (item, location), balance in balances.items():
            if location != event.location or (event.items and item not in event.items):
                continue
            figures = tuple(getattr(balance, name) for name in _FIGURES)
            self._kept[event.freeze, item, location] = figures
            self.frozen.setdefault((item, location), {})[event.freeze] = Frozen(
                event.freeze, event.mode, event.to_at, event.sell_factor, event.sell_units, *figures[:4]
            )

    def rebuilt(self) -> list[Rebuilt]:
        """Return the pools and the snapshots."""
        pools = {
            (*place, *key): (p.quantity, p.used, p.part, p.per)
            for place, found in self.pools.items()
            for key, p in found.items()
        }
        snapshots = {key: figures for key, figures in self._kept.items() if any(figures)}
        return [
            Rebuilt("pool", "select item, location, channel, mode, quantity, used, part, per from stock_pool", pools),
            Rebuilt(
                "freeze_balance",
                f"select freeze_id, item, location, {', '.join(_FIGURES)} from stock_freeze_balance",
                snapshots,
            ),
        ]

    def write_snapshots(self) -> list[Statement]:
        """Return the snapshots, to be taken before the balances are written: what is loaded is known better here."""
        statements = []
        for event in self._snapshots:
            kept = {key: figures for key, figures in self._kept.items() if key[0] == event.freeze}
            loaded = [item for _, item, _ in kept]
            scope = [event.freeze, event.location, list(event.items), not event.items, loaded]
            statements.append(Statement(rows.SNAPSHOT, scope))
            told = sorted((key, figures) for key, figures in kept.items() if any(figures))
            if told:
                columns: list[list[object]] = [list(column) for column in zip(*(f for _, f in told), strict=True)]
                statements.append(
                    Statement(rows.SNAPSHOT_LOADED, [event.freeze, event.location, [k[1] for k, _ in told], *columns])
                )
        return statements

    def write_pools(self) -> list[Statement]:
        """Return what changed of the pools."""
        if not self._changed:
            return []
        kept = []
        ended = []
        for place, key in sorted(self._changed):
            pool = self.pools.get(place, {}).get(key)
            if pool is None:
                ended.append((*place, *key))
            else:
                kept.append((*place, *key, pool.quantity, pool.used, pool.part, pool.per))
        statements = []
        if ended:
            statements.append(Statement(rows.DELETE_POOLS, [list(column) for column in zip(*ended, strict=True)]))
        if kept:
            statements.append(Statement(rows.UPSERT_POOLS, [list(column) for column in zip(*kept, strict=True)]))
        return statements
