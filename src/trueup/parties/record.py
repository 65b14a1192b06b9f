"""Record a customer as another system numbers it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.core.verb import Accepted, Command, Context, Decision, Personal, State, Verb
from trueup.parties.state import Contact, Customer, CustomerRecorded, Parties, keep_contact

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class RecordCustomer(Command, frozen=True, kw_only=True):
    """Make a customer known. source: the system that gave `number`. contact: words, or the id they are kept under.

    country: ISO 3166-1 alpha-2 where known, else the source's word for it; not personal, reports group by it.
    """

    source: Name
    number: Name
    contact: Contact | str | None = None
    country: Annotated[str, msgspec.Meta(max_length=80)] | None = None


def record_customer(state: State, command: RecordCustomer, context: Context) -> Decision:
    """Record the customer. A customer who is known with the same country, and no new words, ends as merged."""
    known = state.of(Parties).customer(command.source, command.number)
    person = command.contact if isinstance(command.contact, str) else None
    if known is not None and person is None and known.country == command.country:
        return Accepted((), known.id, {"customer": known.id}, "merged")
    customer = Customer(
        id=known.id if known else context.new_id("cus"),
        source=command.source,
        number=command.number,
        person=person or (known.person if known else None),
        country=command.country,
        version=known.version + 1 if known else 1,
    )
    return Accepted([CustomerRecorded(customer=customer, at=context.now)], customer.id, {"customer": customer.id})


VERBS = (
    Verb(
        name="parties.record_customer",
        command=RecordCustomer,
        decide=record_customer,
        wants=lambda state, command, policies: state.of(Parties).want(command.source, command.number, change=True),
        touches=lambda command: (f"customer:{command.source}:{command.number}",),
        personal=Personal("contact", keep_contact),
    ),
)
