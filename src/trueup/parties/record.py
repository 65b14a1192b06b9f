"""Record a customer as another system numbers it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields, Given, Value, checked
from trueup.core.verb import Accepted, Command, Context, Decision, Personal, State, Verb
from trueup.parties.state import Contact, Customer, CustomerRecorded, Parties, keep_contact

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class RecordCustomer(Command, frozen=True, kw_only=True):
    """Make a customer known. source: the system that gave `number`. contact: words, or the id they are kept under.

    country: ISO 3166-1 alpha-2 where known, else the source's word for it; not personal, reports group by it.
    fields: custom fields, all of them; None keeps what is known. They are journalled: nothing personal belongs there.
    """

    source: Name
    number: Name
    contact: Contact | str | None = None
    country: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    fields: Given | None = None


def record_customer(state: State, command: RecordCustomer, context: Context) -> Decision:
    """Record the customer. One who is known with the same country and fields, and no new words, ends as merged.

    Refuses custom fields that the policy `fields/customer` does not know or whose values are none.
    """
    known = state.of(Parties).customer(command.source, command.number)
    person = command.contact if isinstance(command.contact, str) else None
    fields = _fields(command, known, context)
    if isinstance(fields, Refusal):
        return fields
    if known is not None and person is None and (known.country, known.fields) == (command.country, fields):
        return Accepted((), known.id, {"customer": known.id}, "merged")
    customer = Customer(
        id=known.id if known else context.new_id("cus"),
        source=command.source,
        number=command.number,
        person=person or (known.person if known else None),
        country=command.country,
        version=known.version + 1 if known else 1,
        fields=fields,
    )
    return Accepted([CustomerRecorded(customer=customer, at=context.now)], customer.id, {"customer": customer.id})


def _fields(command: RecordCustomer, known: Customer | None, context: Context) -> dict[str, Value] | Refusal:
    if command.fields is None and known is not None:
        return known.fields
    kept = known.fields if known else None
    return checked(context.policies.get(CustomFields, "customer"), command.fields or {}, kept)


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
