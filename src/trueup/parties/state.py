"""The parties' rows in one batch: customers by their number in a source, and persons to keep."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.core import json
from trueup.core.fields import Value
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, State, Statement, Takes

Line = Annotated[str, msgspec.Meta(max_length=300)]


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where something goes. country: ISO 3166-1 alpha-2 where the source gives it, else its words."""

    name: Line | None = None
    street: Line | None = None
    postcode: Line | None = None
    city: Line | None = None
    region: Line | None = None
    country: Line | None = None


class LineAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one line of an order goes, when not where the order goes. line: 1, 2, 3..."""

    line: Annotated[int, msgspec.Meta(ge=1)]
    address: Address


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Everything personal about one order or customer; it is kept once, under an id the journal refers to.

    line_ship_to: of an order, addresses of single lines.
    """

    name: Line | None = None
    email: Line | None = None
    phone: Line | None = None
    ship_to: Address | None = None
    bill_to: Address | None = None
    line_ship_to: Annotated[tuple[LineAddress, ...], msgspec.Meta(max_length=500)] = ()


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as one source numbers it. person: id of the personal data, None when there is none or it is erased."""

    id: str
    source: str
    number: str
    person: str | None = None
    country: str | None = None
    version: int = 1
    fields: dict[str, Value] = {}


class CustomerRecorded(Event, frozen=True, kw_only=True):
    """A customer exists, or is now this."""

    name = "parties.customer_recorded"
    about = "customer.id"
    customer: Customer
    at: datetime


EVENTS = (CustomerRecorded,)


class Parties(Slice):
    """Customers a batch needs, and the personal words it keeps."""

    def __init__(self) -> None:
        self._wanted: set[tuple[str, str]] = set()
        self._changing: set[tuple[str, str]] = set()
        self.customers: dict[tuple[str, str], Customer] = {}
        self._changed: dict[tuple[str, str], datetime] = {}
        self._kept: dict[str, Contact] = {}

    def want(self, source: str, number: str, *, change: bool = False) -> None:
        """Ask for the customer of this number in this source; to change it, so that nobody else does meanwhile."""
        self._wanted.add((source, number))
        if change:
            self._changing.add((source, number))

    def customer(self, source: str, number: str) -> Customer | None:
        """Return the customer of this number in this source."""
        return self.customers.get((source, number))

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the customers that change, then read; the uniqueness of (source, number) guards who is not there yet."""
        if not self._wanted:
            return
        wanted, self._wanted = sorted(self._wanted), set()
        locked, self._changing = sorted(self._changing) if lock else [], set()
        locking = Statement(
            """select c.id from unnest(%s::text[], %s::text[]) as w (source, number)
            join customer c using (source, number) order by c.id for no key update of c""",
            [[source for source, _ in locked], [number for _, number in locked]],
        )
        answers = yield [
            *([locking] if locked else []),
            Statement(
                """select c.id, c.source, c.number, c.person, c.country, c.version, c.fields
                from unnest(%s::text[], %s::text[]) as w (source, number) join customer c using (source, number)""",
                [[source for source, _ in wanted], [number for _, number in wanted]],
            ),
        ]
        for id_, source, number, person, country, version, fields in answers[-1]:
            self.customers[source, number] = Customer(
                id=id_, source=source, number=number, person=person, country=country, version=version,
                fields=fields or {},
            )  # fmt: skip

    def takes(self) -> Takes:
        """Take a customer in."""
        return {CustomerRecorded: self._recorded}

    def _recorded(self, event: CustomerRecorded) -> None:
        key = (event.customer.source, event.customer.number)
        self.customers[key] = event.customer
        self._changed[key] = event.at

    def keep(self, person: str, contact: Contact) -> None:
        """Keep personal words under this id when the batch is written."""
        self._kept[person] = contact

    def rebuilt(self) -> list[Rebuilt]:
        """Return the customers."""
        names = Customer.__struct_fields__[1:]
        customers = {
            (row.id,): tuple(getattr(row, name) or None if name == "fields" else getattr(row, name) for name in names)
            for row in self.customers.values()
        }
        return [Rebuilt("customer", f"select id, {', '.join(names)} from customer", customers)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the inserts of persons and the upserts of customers."""
        statements = []
        if self._kept:
            statements.append(_insert_persons(self._kept, batch.at))
        if self._changed:
            keys = sorted(self._changed)
            rows = [self.customers[key] for key in keys]
            statements.append(
                Statement(
                    """insert into customer (id, source, number, person, country, version, fields, at)
                    select id, source, number, person, country, version, fields::jsonb, at
                    from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
                                %s::timestamptz[])
                         as n (id, source, number, person, country, version, fields, at)
                    on conflict (id) do update set person = excluded.person, country = excluded.country,
                        version = excluded.version, fields = excluded.fields""",
                    [
                        [r.id for r in rows], [r.source for r in rows], [r.number for r in rows],
                        [r.person for r in rows], [r.country for r in rows], [r.version for r in rows],
                        [json.encode(r.fields).decode() if r.fields else None for r in rows],
                        [self._changed[key] for key in keys],
                    ],
                )
            )  # fmt: skip
        return statements


def keep_contact(state: State, person: str, contact: Contact) -> None:
    """Keep a command's contact; the `keep` of verbs whose personal field is a `Contact`."""
    state.of(Parties).keep(person, contact)


def _insert_persons(kept: dict[str, Contact], at: datetime) -> Statement:
    persons = sorted(kept)
    contacts = [kept[person] for person in persons]
    return Statement(
        """insert into person (id, name, email, phone, ship_to, bill_to, line_ship_to, at)
        select id, name, email, phone, ship_to::jsonb, bill_to::jsonb, line_ship_to::jsonb, %s
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
             as p (id, name, email, phone, ship_to, bill_to, line_ship_to)""",
        [
            at, persons, [c.name for c in contacts], [c.email for c in contacts], [c.phone for c in contacts],
            [_words(c.ship_to) for c in contacts], [_words(c.bill_to) for c in contacts],
            [_words(c.line_ship_to) for c in contacts],
        ],
    )  # fmt: skip


def _words(value: Any) -> str | None:
    return json.encode(value).decode() if value else None
