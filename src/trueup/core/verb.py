"""What an act is made of: command, events, rule; and the rows a rule sees.

A verb's `decide` is pure: it gets the state, the command and a context, and returns events or a refusal. A *slice* is
one room's part of the state for one batch: it says what to read, is changed by events, and says what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast

import msgspec

from trueup.core.errors import Refusal
from trueup.core.ids import IdSource
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity

Rows: TypeAlias = list[tuple[Any, ...]]
Status = Literal["applied", "refused", "quarantined", "queued", "pending_approval", "merged", "ignored"]


class Statement(msgspec.Struct, frozen=True):
    """One SQL statement and its parameters; it runs in a pipeline, prepared."""

    sql: str
    parameters: Sequence[Any] = ()


Takes: TypeAlias = "dict[type[Event], Callable[[Any], None]]"
Loading: TypeAlias = Generator[list[Statement], list[Rows], None]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Part of what comes from outside. Amounts and quantities are plain Decimals once they were checked."""

    def __post_init__(self) -> None:
        """Turn what `Amount.parse` and `Quantity.parse` let in into the Decimals that everything else works with."""
        for name in _parsed(type(self)):
            value = getattr(self, name)
            kind = type(value)
            if kind is Amount or kind is Quantity:
                _set(self, name, Decimal(value))


_set = msgspec.structs.force_setattr


@cache
def _parsed(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields of a struct whose types let an Amount or a Quantity in."""
    told = {field.name: repr(field.type) for field in msgspec.structs.fields(kind)}
    exact = ("Amount", "Quantity", "Decimal", "Any")
    return tuple(name for name, type_ in told.items() if any(word in type_ for word in exact))


class Command(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody asks for or reports. Subclasses are the API's body, the journal's row and the import's row."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened. A struct only ever gains optional fields; a new meaning is a new `name`.

    about: the field, or the path to it, that holds the id of what it happened to.
    """

    name: ClassVar[str]
    about: ClassVar[str]

    @property
    def subject(self) -> str:
        """The id of what it happened to; timelines are read by it."""
        subject: str = _reading(self.about)(self)
        return subject


_reading = cache(attrgetter)


class Actor(msgspec.Struct, frozen=True):
    """Who acts: id (`act_...`), whether a person or a service, and the roles held.

    scope: parts of the organisation they are confined to; key_scope: those of the API key they came with. None named
    is all of it. over: of a role that is held over parts only (a category, an integration), which.
    """

    id: str
    kind: Literal["person", "service"]
    name: str
    roles: frozenset[str] = frozenset()
    scope: tuple[str, ...] = ()
    key_scope: tuple[str, ...] = ()
    over: dict[str, tuple[str, ...]] = {}

    def everywhere(self) -> frozenset[str]:
        """Return the roles held over everything."""
        return self.roles - self.over.keys() if self.over else self.roles

    def deciding(self) -> tuple[str, ...]:
        """Return the roles held, each that is held over parts only as `role@part`."""
        found = [f"{role}@{part}" for role, parts in self.over.items() for part in parts if role in self.roles]
        return tuple(sorted([*(self.roles - self.over.keys()), *found]))


class Context(msgspec.Struct, frozen=True):
    """What a rule may know besides state and command: who, when, fresh ids, and the policies in force.

    excused: (code of a refusal, its value) that an override lets pass; a rule that can be overridden asks `excuses`.
    """

    actor: Actor
    now: datetime
    new_id: IdSource
    policies: Policies
    excused: frozenset[tuple[str, str]] = frozenset()

    def excuses(self, rule: str, subject: str) -> bool:
        """Tell whether an override lets this refusal of this value pass; its use is recorded on the override."""
        return (rule, subject) in self.excused


class Accepted(msgspec.Struct, frozen=True):
    """The rule said yes: what happened, to what, and what the caller is told.

    status: `applied`, or how else the command ended. subject: the aggregate the command's journal row names.
    """

    events: Sequence[Event]
    subject: str
    result: dict[str, Any] = {}
    status: Status = "applied"


class SetAside(msgspec.Struct, frozen=True):
    """A guard's word on a command that must neither be carried out nor be lost: kept among the quarantined ones."""

    refusal: Refusal

    @property
    def rule(self) -> str:
        """The code of its refusal."""
        return self.refusal.rule

    @property
    def value(self) -> str:
        """What its refusal is about."""
        return self.refusal.value


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a command ended; kept under its key, so that a retry is told the same.

    repeated: this is the first use's outcome, told again.
    """

    status: Status
    result: dict[str, Any] = {}
    refusal: Refusal | None = None
    repeated: bool = False


Decision: TypeAlias = Accepted | Refusal
C = TypeVar("C", bound=Command)
S = TypeVar("S", bound="Slice")


class Rebuilt(msgspec.Struct, frozen=True):
    """A table as the journal's events alone give it: `sql` reads the same from the database.

    rows: key columns -> the other columns; `sql` selects the keys first.
    """

    subject_type: str
    sql: str
    rows: dict[tuple[Any, ...], tuple[Any, ...]]


class Slice:
    """One room's rows in one batch; see the module's text. Subclasses hold their rows in dicts.

    late: loaded after `Verb.then_wants` was asked, when the batch has such a verb: what it locks comes after the rows
    that name it.
    """

    late: ClassVar[bool] = False

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Yield the statements of each round trip and receive their rows; with `lock`, lock what will be written.

        now: the batch's time, which a read compares expiries with; the database's clock decides nothing.
        All slices advance together: the first `yield` of every slice goes in one pipeline, in the rooms' order. It is
        asked a second time after `Verb.then_wants`, and then reads only what was wanted since.
        """
        yield from ()

    def meet(self, state: State) -> None:
        """Let other slices see what of these rows they ask about; called once, before anything is loaded."""

    def under(self, policies: Policies) -> None:
        """Take what the policies in force say about these rows, before they are loaded."""

    def due(self, now: datetime) -> list[Event]:
        """Return what became due on the rows that were loaded, before any command is decided (expired claims)."""
        return []

    def takes(self) -> Takes:
        """Return which kinds of event change the rows, each with what takes one in.

        A change is seen by the next command of the batch.
        """
        return {}

    def write(self, batch: Batch) -> list[Statement]:
        """Return the net change since loading, as one statement per table."""
        return []

    def rebuilt(self) -> list[Rebuilt]:
        """Return what the tables must hold when this slice has taken in every event there is."""
        return []


class Batch(msgspec.Struct, frozen=True):
    """The batch being written: its id and time."""

    id: str
    at: datetime


class State:
    """All slices of one batch, found by their class: `state.of(Balances)`.

    acts: what was done in it so far, each (verb, subject, actor): one person's acts on one object are held apart by it.
    """

    def __init__(self, slices: Sequence[type[Slice]]) -> None:
        self.acts: set[tuple[str, str, str]] = set()
        self._slices: dict[type[Slice], Slice] = {kind: kind() for kind in slices}
        self._taken = [part.takes() for part in self._slices.values()]
        self._takers: dict[type[Event], list[Callable[[Any], None]]] = {}
        for part in self._slices.values():
            part.meet(self)

    def of(self, kind: type[S]) -> S:
        """Return the slice of this class."""
        return cast(S, self._slices[kind])

    def under(self, policies: Policies) -> None:
        """Let every slice know the policies in force."""
        for part in self._slices.values():
            part.under(policies)

    def evolve(self, event: Event) -> None:
        """Let every slice that it concerns take one event in."""
        kind = type(event)
        takers = self._takers.get(kind)
        if takers is None:
            takers = self._takers[kind] = [taken[kind] for taken in self._taken if kind in taken]
        for take in takers:
            take(event)

    def parts(self) -> list[Slice]:
        """Return the slices in the rooms' order, which is the order of locks and writes."""
        return list(self._slices.values())


def _wants_nothing(state: State, command: Any, policies: Policies) -> None:
    return None


def _touches_nothing(command: Any) -> tuple[str, ...]:
    return ()


class Concerns(msgspec.Struct, frozen=True):
    """The sites (codes of locations) and channels a command concerns; neither is the organisation as a whole."""

    sites: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def concerns_location(state: State, command: Any) -> Concerns:
    """Return the site that a command names in its field `location`."""
    return Concerns(sites=(command.location,))


def concerns_named(state: State, command: Any) -> Concerns:
    """Return the sites and channels a command names: in itself and its lines, each `[..._]location` and `channel`."""
    sites: list[str] = []
    channels: list[str] = []
    waiting: list[Any] = [command]
    while waiting:
        part = waiting.pop()
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, str):
                if name == "location" or name.endswith("_location"):
                    sites.append(value)
                elif name == "channel":
                    channels.append(value)
            elif isinstance(value, tuple | list):
                waiting += [entry for entry in value if isinstance(entry, msgspec.Struct)]
            elif isinstance(value, msgspec.Struct):
                waiting.append(value)
    return Concerns(tuple(sites), tuple(channels))


class Movement(msgspec.Struct, frozen=True):
    """What a command moves at one site: the keys of the items, and the kind of movement, as in `receive`.

    fact: it reports what happened already; what is no fact can wait or be refused.
    """

    site: str
    items: tuple[str, ...]
    kind: str
    fact: bool = True


class Personal(msgspec.Struct, frozen=True):
    """Which field of a command is personal, and how the words in it are kept when the command is accepted.

    The journal gets an id in their place; `keep(state, id, value)` puts the words where they can be erased.
    mark(state, id, value) is called before loading: what a rule may know of the words (a digest), never the words.
    """

    field: str
    keep: Callable[[State, str, Any], None]
    mark: Callable[[State, str, Any], None] | None = None


class Governed(msgspec.Struct, frozen=True):
    """One thing that changes only by a change.

    key: what the decision rights map to who decides (`routing.rules`, `item.tax_class`). object: which one it is
    (`policy/routing/default#rules`, `item/itm_...#tax_class`). base: digest of what stands there, "" for nothing.
    over: the parts it lies in, for who decides a part only: `category:tea`, `brand:acme`, `integration:erp`.
    """

    key: str
    object: str
    base: str
    over: tuple[str, ...] = ()


class Governance(msgspec.Struct, Generic[C], frozen=True, kw_only=True):
    """What makes a verb one of those that only an approved change carries out, once governance is declared.

    keys: every key its objects can have. objects: what a command would change, on the loaded state; a command that
    changes nothing governed names none and goes through as ever. undo: the command that puts back what stands now.
    """

    keys: tuple[str, ...]
    objects: Callable[[State, C, Policies], tuple[Governed, ...]]
    undo: Callable[[State, C, Policies], Command | Refusal]


class Worth(msgspec.Struct, frozen=True):
    """What an act is about in figures. unit: an ISO currency code, or `units`."""

    amount: Decimal
    unit: str


class Bound(msgspec.Struct, frozen=True):
    """How much one person may do alone, as a room's own policy says; above it somebody with one of the roles must."""

    amount: Decimal
    unit: str
    roles: tuple[str, ...]


class Verb(msgspec.Struct, Generic[C], frozen=True, kw_only=True):
    """One act, as the door knows it.

    name: `room.verb`, also the right that is asked for. wants: tells the slices which rows the rule needs.
    then_wants: tells the late slices (and those that only read) which rows those name that are loaded by now.
    touches: ids of aggregates; two commands for one are never in two batches at once in one process.
    concerns: the sites and channels it is about, on the loaded state (else those it names); who is confined to others
    is refused, and so is what concerns none. governance: what it changes that somebody has to decide.
    worth: what it is about in figures, by the events it would give; beyond a limit a second person confirms it.
    bound: the limit that the room's own policies set for this command.
    """

    name: str
    command: type[C]
    decide: Callable[[State, C, Context], Decision]
    wants: Callable[[State, C, Policies], None] = _wants_nothing
    then_wants: Callable[[State, C, Policies], None] | None = None
    touches: Callable[[C], tuple[str, ...]] = _touches_nothing
    concerns: Callable[[State, C], Concerns] = concerns_named
    personal: Personal | None = None
    moves: Callable[[State, C], tuple[Movement, ...]] | None = None
    governance: Governance[C] | None = None
    worth: Callable[[State, C, Sequence[Event]], tuple[Worth, ...]] | None = None
    bound: Callable[[C, Policies], Bound | None] | None = None
