"""Take a stock feed: what another system says it has, as of its own time. Each row ends in exactly one way.

1. a row that cannot be understood goes to quarantine, alone
2. what moved here after the source's time stays on top of what it says
3. a feed that would change too much of too many items waits for a person, whole
4. what is left is one movement with as many moves as there are differences
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.catalogue.state import Catalogue, Location
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, Event, Movement, State, Verb
from trueup.stock.facts import adjustment, by_lot, short_case, want_cases
from trueup.stock.feed_state import BadRow, Feed, FeedHeld, FeedItem, FeedKind, FeedReported, Feeds
from trueup.stock.freeze_state import Freezes
from trueup.stock.ledger import Ledger
from trueup.stock.lot_state import Lots
from trueup.stock.state import Account, Balance, Move, Stock, StockMoved

ROWS_MAX = 10_000
BAD_SHOWN = 20
SKEW = timedelta(minutes=5)
"""How far a source's clock may be ahead of ours."""


class Feeding(Policy, frozen=True, kw_only=True):
    """How a source's figures are read. A document named by the source is its own; else `default` holds.

    includes_reserved, includes_allocated: whether its figure counts units that are promised here, softly or hard
    (picked and packed units are allocated until they ship). A snapshot waits for a person when more than
    `mass_share_percent` of its items change by more than `mass_change_percent` of the book and more than
    `mass_change_units`; None switches that off, and it takes at least `mass_items_min` items. What never had stock is
    no change.
    """

    kind: ClassVar[str] = "feed"
    falls_back: ClassVar[bool] = True
    unreplayed: ClassVar[str] = "what feeds posted is taken as it was recorded"
    includes_reserved: bool = True
    includes_allocated: bool = True
    mass_share_percent: Quantity | None = Quantity(30)
    mass_change_percent: Quantity = Quantity(50)
    mass_change_units: Quantity = Quantity(10)
    mass_items_min: Annotated[int, msgspec.Meta(ge=1)] = 20


class FeedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row as it came: any key of an item, a location's code, units. What is wrong with it concerns it alone."""

    sku: Any = None
    quantity: Any = None
    location: Any = None


class ReportStockFeed(Command, frozen=True, kw_only=True):
    """Report what a source has (snapshot: on hand) or what changed there (delta: plus or minus).

    as_of: the source's time of it, with a zone. sequence: of deltas, rising by one. location: code, for rows that name
    none. A snapshot says nothing about what it does not name; several of one time are parts of one.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    as_of: datetime
    rows: Annotated[tuple[FeedRow, ...], msgspec.Meta(min_length=1, max_length=ROWS_MAX)]
    kind: FeedKind = "snapshot"
    sequence: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] | None = None
    location: str | None = None


class Wrong(NamedTuple):
    """Which field of a row cannot be, and by which rule."""

    field: str
    rule: str


class Judged:
    """What a feed's rows come to. large: items that change a lot; named: all items it names."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.bad: list[BadRow] = []
        self.applied = 0
        self.merged = 0
        self.ignored = 0
        self.broken: dict[str, list[CaseSubject]] = {}
        self.large: set[str] = set()
        self.named: set[str] = set()


def report_stock_feed(state: State, command: ReportStockFeed, context: Context) -> Decision:
    """Post what the source says; its bad rows go to quarantine and are a case.

    Refuses a time without a zone or to come, a snapshot older than the source's last, and a delta without its number.
    A number that came before is merged; one that leaves a gap is posted, and a case; a delta from before the last
    snapshot is ignored, for that has it. A feed that changes too much is held whole. Source: behaviours 33, 34, 36.
    """
    refusal = _refusal(state, command, context.now)
    if refusal is not None:
        return refusal
    feeds = state.of(Feeds)
    if command.sequence is not None and (command.source, command.sequence) in feeds.known:
        return Accepted((), command.source, {"source": command.source, "sequence": command.sequence}, "merged")
    feed = Feed(
        id=context.new_id("feed"),
        source=command.source,
        kind=command.kind,
        as_of=command.as_of,
        received_at=context.now,
        by=context.actor.id,
        rows=len(command.rows),
        sequence=command.sequence,
        location=command.location,
    )
    told = feeds.sources.get(command.source)
    gap = _gap(state, context, feed, told.sequence if told else None)
    if command.kind == "delta" and told is not None and told.as_of is not None and command.as_of <= told.as_of:
        feed = msgspec.structs.replace(feed, ignored=feed.rows)
        result = {**_sums(feed), "rule": "stock.feed_before_snapshot"}
        return Accepted([FeedReported(feed=feed), *gap], feed.id, result, "ignored")
    policy = feeding(context.policies, command.source)
    judged = judge(state, feed, list(enumerate(command.rows, 1)), policy)
    why = _too_much(policy, judged) if command.kind == "snapshot" else None
    if why is not None:
        return _hold(state, context, command, feed, why)
    feed = counted(feed, judged)
    events = [FeedReported(feed=feed, bad=tuple(judged.bad)), *posted(state, context, feed, judged), *gap]
    return Accepted(events, feed.id, {**_sums(feed), "bad": bad_rows(judged.bad)})


def feeding(policies: Policies, source: str) -> Feeding:
    """Return the policy of a source: its own where there is one."""
    return policies.find(Feeding, source) or policies.get(Feeding)


def judge(state: State, feed: Feed, rows: Sequence[tuple[int, FeedRow]], policy: Feeding) -> Judged:
    """Tell what each row comes to; of a snapshot's rows for one place the last holds. Source: behaviours 33 and 36."""
    judged = Judged()
    snapshot = feed.kind == "snapshot"
    items, catalogue = state.of(Feeds).items, state.of(Catalogue)
    wanted: dict[tuple[str, str], tuple[FeedItem, Location, Decimal]] = {}
    for number, row in rows:
        read = _read(items, catalogue, row, feed.location, snapshot)
        if isinstance(read, Wrong):
            judged.bad.append(_bad(number, row, read))
            continue
        item, place, units = read
        key = (item.id, place.id)
        known = wanted.get(key)
        if snapshot:
            judged.ignored += known is not None
            wanted[key] = read
        else:
            judged.merged += units == 0
            judged.applied += units != 0
            wanted[key] = read if known is None else (item, place, known[2] + units)
    stock, change_of = state.of(Stock), _changes(state, feed, policy) if snapshot else None
    for item, place, units in wanted.values():
        balance = stock.balance(item.id, place.id)
        change = units if change_of is None else change_of(item.id, place.id, balance, units)
        judged.named.add(item.id)
        if snapshot:
            judged.merged += change == 0
            judged.applied += change != 0
        if change:
            _post(state, judged, item, place, balance, change, policy)
    return judged


def _read(
    items: Mapping[str, FeedItem], catalogue: Catalogue, row: FeedRow, location: str | None, snapshot: bool
) -> tuple[FeedItem, Location, Decimal] | Wrong:
    """Return item, place and units of a row; or what is wrong with it."""
    sku, code = row.sku, row.location or location
    item = (items.get(sku) or _whole_item(catalogue, sku)) if type(sku) is str else None
    if item is None:
        return Wrong("sku", "catalogue.unknown_item")
    if item.phantom:
        return Wrong("sku", "stock.phantom")
    place = catalogue.location(code) if type(code) is str else None
    if place is None:
        return Wrong("location", "catalogue.unknown_location")
    try:
        units = _units(row.quantity)
    except ValueError:
        return Wrong("quantity", "stock.not_a_quantity")
    if snapshot and units < 0:
        return Wrong("quantity", "stock.negative")
    return item, place, units


def _units(value: Any) -> Decimal:
    """Read a quantity; whole numbers, which nearly all are, without a pattern. Raises ValueError."""
    if type(value) is str and len(value) <= 12 and value.isascii() and value.isdecimal():
        return Decimal(value)
    return Decimal(Quantity.parse(value))


def _whole_item(catalogue: Catalogue, key: str) -> FeedItem | None:
    """Return an item that was asked for with all its attributes; a correction and a release do."""
    item = catalogue.item(key)
    return FeedItem(item.id, item.sku, item.phantom, item.tracking) if item is not None else None


def _changes(state: State, feed: Feed, policy: Feeding) -> Callable[[str, str, Balance, Decimal], Decimal]:
    """Return what says how on hand must change, so that the book as of the source's time is what the source says.

    What moved here since stays on top. Promised units that the figure leaves out are on the shelf, too.
    """
    since, claimed, as_of = state.of(Ledger).since, state.of(Feeds).claimed_since, feed.as_of

    def change_of(item: str, location: str, balance: Balance, units: Decimal) -> Decimal:
        change = units - balance.on_hand + since(item, location, as_of)
        if not policy.includes_reserved:
            change += balance.reserved - claimed(item, location, as_of, "reservation")
        if not policy.includes_allocated:
            change += balance.allocated - claimed(item, location, as_of, "allocation")
        return change

    return change_of


def _post(
    state: State,
    judged: Judged,
    item: FeedItem,
    place: Location,
    balance: Balance,
    change: Decimal,
    policy: Feeding,
) -> None:
    account: Account = "supplier_reported" if place.kind == "supplier" else "adjustment"
    moves = adjustment(item.id, place.id, change, balance.on_hand, account=account)
    if item.tracking != "none":
        tracked = state.of(Catalogue).item_of(item.id)
        assert tracked is not None, "a tracked item was asked for with its lots"
        moves = by_lot(state, tracked, moves)
    judged.moves += moves
    size = abs(change)
    if (
        size > policy.mass_change_units
        and not balance.is_new
        and size * 100 > policy.mass_change_percent * balance.on_hand
    ):
        judged.large.add(item.id)
    promised = balance.reserved + balance.allocated
    left = max(balance.on_hand + change, ZERO)
    if change < 0 and promised > left:
        detail = f"{item.sku} at {place.code}: {plain(promised)} promised, {plain(left)} left"
        judged.broken.setdefault(place.code, []).append(CaseSubject("item", item.id, detail))


def posted(state: State, context: Context, feed: Feed, judged: Judged) -> list[Event]:
    """Return the movement of a feed's differences, and the cases of what it broke and what could not be read."""
    events: list[Event] = []
    if judged.moves:
        moved = StockMoved(
            reference=feed.id,
            reason=f"feed {feed.source}",
            moves=tuple(judged.moves),
            at=context.now,
            effective_at=feed.as_of if feed.as_of < context.now else None,
        )
        events.append(moved)
    for code, broken in sorted(judged.broken.items()):
        place = state.of(Catalogue).location(code)
        assert place is not None
        events += short_case(state, context, place, broken[:1000])
    if judged.bad:
        subjects = [
            CaseSubject("feed_row", f"{feed.id}/{bad.row}", f"{bad.field} {bad.value!r}: {bad.rule}")
            for bad in judged.bad[:1000]
        ]
        events += _case(state, context, feed, "rows", "has rows that cannot be read", subjects)
    return events


def counted(feed: Feed, judged: Judged) -> Feed:
    """Return the feed with how its rows ended."""
    return msgspec.structs.replace(
        feed,
        applied=judged.applied,
        merged=judged.merged,
        quarantined=len(judged.bad),
        ignored=judged.ignored,
    )


def bad_rows(bad: Iterable[BadRow]) -> list[dict[str, Any]]:
    """Return the first rows in quarantine as plain data."""
    return [{"row": row.row, "field": row.field, "value": row.value, "rule": row.rule} for row in list(bad)[:BAD_SHOWN]]


def ask_for_rows(state: State, feed: Feed, rows: Sequence[FeedRow], policies: Policies) -> None:
    """Ask for all that a few rows need, by their keys; a correction and a release do."""
    policy = feeding(policies, feed.source)
    for row in rows:
        code = row.location or feed.location
        if type(row.sku) is not str or type(code) is not str:
            continue
        state.of(Catalogue).want_item(row.sku)
        state.of(Catalogue).want_location(code)
        state.of(Stock).want(row.sku, code)
        state.of(Lots).want(row.sku, code)
        state.of(Ledger).want(row.sku, code, feed.as_of)
        if not (policy.includes_reserved and policy.includes_allocated):
            state.of(Feeds).want_claimed(row.sku, code, feed.as_of)
        want_cases(state, code)


def want_feed_cases(state: State, source: str) -> None:
    """Ask for the cases that a feed of this source may open."""
    for what in ("rows", "gap", "mass"):
        state.of(Cases).want_cause(_cause(source, what))


def rows_by_site(rows: Iterable[FeedRow], location: str | None) -> tuple[Movement, ...]:
    """Return what a feed's rows move, by site."""
    sites: dict[str, list[str]] = {}
    for row in rows:
        code = row.location or location
        if type(code) is str and type(row.sku) is str:
            sites.setdefault(code, []).append(row.sku)
    return tuple(Movement(site, tuple(keys), "feed") for site, keys in sorted(sites.items()))


def _refusal(state: State, command: ReportStockFeed, now: datetime) -> Refusal | None:
    if command.as_of.tzinfo is None or command.as_of > now + SKEW:
        return Refusal("stock.feed_time", f"The source cannot have said this at {command.as_of}.",
                       "State its time of the figures, with the offset.", "as_of", str(command.as_of))  # fmt: skip
    if (command.kind == "delta") != (command.sequence is not None):
        return Refusal("stock.feed_sequence", "A delta carries its number, and a snapshot has none.",
                       "Number deltas 1, 2, 3... per source.", "sequence", str(command.sequence))  # fmt: skip
    told = state.of(Feeds).sources.get(command.source)
    if command.kind == "snapshot" and told is not None and told.as_of is not None and command.as_of < told.as_of:
        return Refusal("stock.feed_older",
                       f"{command.source} told what it had as of {told.as_of.isoformat()}, which is later.",
                       "Send its newest figures.", "as_of", command.as_of.isoformat())  # fmt: skip
    return None


def _too_much(policy: Feeding, judged: Judged) -> str | None:
    """Tell why a feed should wait for a person, or None. Source: behaviour 34."""
    share = policy.mass_share_percent
    if share is None or len(judged.named) < policy.mass_items_min:
        return None
    if len(judged.large) * 100 <= share * len(judged.named):
        return None
    return (
        f"{len(judged.large)} of {len(judged.named)} items would change by more than "
        f"{plain(policy.mass_change_percent)} % and {plain(policy.mass_change_units)} units; "
        f"{plain(share)} % of the items may"
    )


def _hold(state: State, context: Context, command: ReportStockFeed, feed: Feed, why: str) -> Decision:
    feed = msgspec.structs.replace(feed, quarantined=feed.rows, held_why=why)
    events: list[Event] = [FeedHeld(feed=feed, body=json.encode(command.rows).decode())]
    events += _case(state, context, feed, "mass", "would change too much", [CaseSubject("feed", feed.id, why)])
    return Accepted(events, feed.id, {**_sums(feed), "held": why}, "quarantined")


def _gap(state: State, context: Context, feed: Feed, last: int | None) -> list[Event]:
    if feed.sequence is None or last is None or feed.sequence <= last + 1:
        return []
    what = f"{feed.source} sent {feed.sequence} after {last}: {feed.sequence - last - 1} are missing"
    return _case(state, context, feed, "gap", "lost deltas", [CaseSubject("feed", feed.id, what)])


def _case(
    state: State, context: Context, feed: Feed, what: str, title: str, subjects: list[CaseSubject]
) -> list[Event]:
    return case_events(
        state,
        context,
        cause=_cause(feed.source, what),
        kind=f"stock_feed_{what}",
        title=f"The stock feed {feed.source} {title}",
        severity=2 if what == "mass" else 3,
        owner_role="Integration Owner",
        subjects=subjects,
    )


def _cause(source: str, what: str) -> str:
    return f"stock:feed:{source}:{what}"


def _bad(number: int, row: FeedRow, wrong: Wrong) -> BadRow:
    value = getattr(row, wrong.field)
    text = value if type(value) is str else json.encode(value).decode()
    return BadRow(number, wrong.field, text[:200], wrong.rule, json.encode(row).decode()[:2000])


def _sums(feed: Feed) -> dict[str, Any]:
    counts = ("rows", "applied", "merged", "quarantined", "ignored")
    return {"feed": feed.id, **{name: getattr(feed, name) for name in counts}}


def _wants(state: State, command: ReportStockFeed, policies: Policies) -> None:
    feeds = state.of(Feeds)
    feeds.want(command.source, command.sequence)
    feeds.want_items({row.sku for row in command.rows if type(row.sku) is str})
    for code in {row.location or command.location for row in command.rows}:
        if type(code) is str:
            state.of(Catalogue).want_location(code)
            want_cases(state, code)
    want_feed_cases(state, command.source)


def _then_wants(state: State, command: ReportStockFeed, policies: Policies) -> None:
    """Ask for balances and what moved since by ids; for lots, and whole items, only where they are needed."""
    feeds, catalogue, stock = state.of(Feeds), state.of(Catalogue), state.of(Stock)
    ledger, lots = state.of(Ledger), state.of(Lots)
    policy = feeding(policies, command.source)
    claims = command.kind == "snapshot" and not (policy.includes_reserved and policy.includes_allocated)
    listed = {freeze.site for freeze in state.of(Freezes).freezes.values() if freeze.items}
    for row in command.rows:
        code = row.location or command.location
        item = feeds.items.get(row.sku) if type(row.sku) is str else None
        place = catalogue.location(code) if type(code) is str else None
        if item is None or place is None:
            continue
        stock.want_at(item.id, place.id)
        if command.kind == "snapshot" and command.as_of.tzinfo is not None:
            ledger.want_at(item.id, place.id, command.as_of)
        if claims:
            feeds.want_claimed(row.sku, place.code, command.as_of)
        if item.tracking != "none":
            lots.want_at(item.id, place.id)
            catalogue.want_item_id(item.id)
        if code in listed:
            catalogue.want_item(row.sku)


VERBS = (
    Verb(
        name="stock.report_feed",
        command=ReportStockFeed,
        decide=report_stock_feed,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (f"feed:{command.source}",),
        moves=lambda state, command: rows_by_site(command.rows, command.location),
        concerns=lambda state, command: Concerns(
            sites=tuple(sorted({code for r in command.rows if type(code := r.location or command.location) is str}))
        ),
    ),
)
