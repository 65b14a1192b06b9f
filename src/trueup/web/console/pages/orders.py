"""Orders: the list with search and filters, one order with its timeline, and cancelling units of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.cases import read as cases
from trueup.catalogue import read_quality as quality
from trueup.core.errors import Refusal, Refused
from trueup.core.fields import CustomFields
from trueup.core.verb import Command
from trueup.orders import read as orders
from trueup.orders.advance import AdvanceOrder
from trueup.orders.cancel import CancelOrder
from trueup.orders.hold import PlaceHold
from trueup.orders.holds import rules_of
from trueup.orders.read import OrderDetail, OrderLine, OrderQuery
from trueup.orders.suspect import DismissDuplicate
from trueup.orders.workflow import OWN_EVENTS, Workflow
from trueup.parties.state import Address, Contact
from trueup.sourcing.allocate import AllocateUnits, ReleaseAllocation
from trueup.web.console import words
from trueup.web.console.pages import sourcing
from trueup.web.console.visit import Visit, enter, unknown

_CHOICES = {name: [(value, word.text) for value, word in words.TABLES[name].items()] for name in
            ("fulfilment", "payment", "hold")}  # fmt: skip
_TEXTS = ("fulfilment", "payment", "hold", "state", "channel", "source", "customer", "load", "field")
_SHOWN = {"q": "search", "placed_from": "from", "placed_to": "to", "managed": "kind"}
TIMELINE_MAX = 200


@get("/orders")
async def list_orders(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of orders; every filter is in the address. A search that finds one order by its number opens it."""
    visit = await enter(request, scoped=True)
    query = _query(visit)
    async with visit.reading() as connection:
        rules = visit.standing.policies.get(CustomFields, "order")
        page = await orders.find(connection, query, visit.channels, rules)
        there = await orders.choices(connection)
    return await visit.show(
        "orders.html",
        section="/orders",
        title="Orders",
        orders=page.items,
        next=page.next,
        capped=page.capped,
        filters=_filters(visit),
        fulfilments=_CHOICES["fulfilment"],
        payments=_CHOICES["payment"],
        holds=_CHOICES["hold"],
        channels=[(value, value) for value in there["channel"] if visit.channels is None or value in visit.channels],
        sources=[(value, value) for value in there["source"]],
    )


@get("/orders/{reference:str}")
async def show_order(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Show one order by its id or our number."""
    visit = await enter(request, scoped=True)
    return await _order_page(visit, reference)


@post("/orders/{reference:str}/cancel")
async def cancel(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Cancel units by line and quantity, at the version that was read; a double click has one effect."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    lines = [] if form.get("all") else _chosen(form)
    if not lines and not form.get("all"):
        fix = "Enter how many units of which line to cancel, or cancel all that is left."
        refusal = Refusal("form.nothing_chosen", "No quantity was entered.", fix, "quantity")
        return await _order_page(visit, reference, refusal=refusal, entered=form)
    body = {"order": reference, "lines": lines, "reason": form.get("reason", ""), "version": form.get("version", "")}
    outcome = await visit.submit(CancelOrder, body, form)
    if outcome.refusal is not None:
        return await _order_page(visit, reference, refusal=outcome.refusal, entered=form)
    return visit.done(f"/orders/{reference}", form)


@post("/orders/{reference:str}/holds")
async def place_hold(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Place a hold on the order or one of its lines."""
    return await _act(request, reference, PlaceHold, ("type", "reason", "line", "version"))


@post("/orders/{reference:str}/advance")
async def advance(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Take an edge of the order's workflow."""
    return await _act(request, reference, AdvanceOrder, ("event", "reason", "version"))


@post("/orders/{reference:str}/dismiss-duplicate")
async def dismiss_duplicate(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Decide that a suspected duplicate is wanted."""
    return await _act(request, reference, DismissDuplicate, ("reason",))


@post("/orders/{reference:str}/allocate")
async def allocate(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Allocate units of a line at a location by hand."""
    return await _act(request, reference, AllocateUnits, ("line", "location", "quantity", "reason", "version"))


@post("/orders/{reference:str}/release")
async def release(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Give allocated units of a line at a location back."""
    return await _act(request, reference, ReleaseAllocation, ("line", "location", "quantity", "reason", "version"))


async def _act(
    request: Request[Any, Any, Any], reference: str, command: type[Command], fields: tuple[str, ...]
) -> Response[Any]:
    visit = await enter(request, scoped=True)
    form = await visit.form()
    outcome = await visit.submit(command, {"order": reference, **{name: form.get(name, "") for name in fields}}, form)
    if outcome.refusal is not None:
        return await _order_page(visit, reference, refusal=outcome.refusal, entered=form)
    return visit.done(f"/orders/{reference}", form)


def _chosen(form: dict[str, str]) -> list[dict[str, Any]]:
    """Return the lines of the form that have a quantity."""
    sent = {name.removeprefix("quantity-"): text.strip() for name, text in form.items() if name.startswith("quantity-")}
    return [
        {"line": int(line), "quantity": text}
        for line, text in sent.items()
        if line.isdecimal() and text not in ("", "0")
    ]


async def _order_page(
    visit: Visit, reference: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    async with visit.reading() as connection:
        detail = await orders.order(connection, reference, visit.channels, visit.now)
        if detail is None:
            raise unknown(f"There is no order {reference!r}.")
        entries = await orders.timeline(connection, detail.id, limit=TIMELINE_MAX)
        concerning = await cases.cases(
            connection, cases.CaseQuery(subject=detail.id, limit=20), visit.now, visit.standing.policies
        )
        sourced = await sourcing.explained(connection, visit, detail, entries)
        unready = await quality.short_of(connection, _to_parcel(detail), "shippable", visit.standing.policies)
    rules = rules_of(visit.standing.policies, detail.summary.channel)
    return await visit.show(
        "order.html",
        section="/orders",
        title=f"Order {detail.number}",
        detail=detail,
        order=detail.summary,
        totals=detail.totals,
        load=detail.load,
        lines=detail.lines,
        contact=_contact(detail.contact),
        entries=entries,
        cases=concerning.items,
        cancellable=_cancellable(detail),
        holds=detail.holds,
        hold_types=[(kind.name, kind.label or kind.name) for kind in rules.types],
        pinned=detail,
        sourced=sourced,
        unready=unready,
        unmatched=detail.unmatched,
        suspected=detail.suspected,
        events=_events(visit, detail),
        refusal=refusal,
        entered=entered or {},
    )


def _to_parcel(detail: orders.OrderDetail) -> list[str]:
    """Return the items (ids) of which units are still to be allocated to a parcel."""
    if not detail.summary.managed or detail.capture is None or detail.capture.delivery == "pickup":
        return []
    return [
        line.item
        for line in detail.lines
        if line.item is not None
        and line.kind == "good"
        and line.quantity - line.cancelled - line.shipped - line.allocated > 0
    ]


def _query(visit: Visit) -> OrderQuery:
    params = visit.params
    return OrderQuery(
        search=params.get("q"),
        flagged=visit.flag("flagged"),
        managed=visit.flag("managed"),
        placed_from=_moment(params.get("placed_from"), "placed_from"),
        placed_to=_moment(params.get("placed_to"), "placed_to", end=True),
        cursor=params.get("cursor"),
        fulfilment=params.get("fulfilment"),
        payment=params.get("payment"),
        hold=params.get("hold"),
        state=params.get("state"),
        unmatched=visit.flag("unmatched"),
        channel=params.get("channel"),
        source=params.get("source"),
        customer=params.get("customer"),
        load=params.get("load"),
        field=params.get("field"),
    )


def _moment(text: str | None, where: str, *, end: bool = False) -> datetime | None:
    """Read a day or a time; a day as an end includes it whole."""
    if not text:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Refused(
            Refusal("read.date", f"{text[:40]!r} is not a day.", "Write it as 2026-03-01.", where, text[:40])
        ) from None


def _filters(visit: Visit) -> list[tuple[str, str, str]]:
    """Return (name, value, address without it) of each filter in force."""
    names = ("q", *_TEXTS, "managed", "flagged", "unmatched", "placed_from", "placed_to")
    found = []
    for name in names:
        value = visit.params.get(name)
        if value:
            if name == "managed":
                value = "managed here" if value == "true" else "history"
            found.append((_SHOWN.get(name, name), value, visit.link(**{name: None, "cursor": None})))
    return found


def _events(visit: Visit, detail: OrderDetail) -> list[str]:
    """Return the events of a workflow's own that lead on from where the order is."""
    if detail.summary.state is None:
        return []
    workflow = visit.standing.policies.at(Workflow, detail.summary.type, detail.workflow_version)
    return [event for event in workflow.allowed(detail.summary.state) if event not in OWN_EVENTS]


def _cancellable(detail: OrderDetail) -> list[OrderLine]:
    if not detail.summary.managed:
        return []
    return [x for x in detail.lines if x.kind == "good" and x.quantity - x.cancelled - x.shipped > 0]


def _contact(contact: Contact | None) -> list[tuple[str, str]]:
    if contact is None:
        return []
    found = [("Name", contact.name), ("E-mail", contact.email), ("Phone", contact.phone)]
    found += [("Ship to", _address(contact.ship_to)), ("Bill to", _address(contact.bill_to))]
    return [(name, value) for name, value in found if value]


def _address(address: Address | None) -> str | None:
    if address is None:
        return None
    town = " ".join(part for part in (address.postcode, address.city) if part)
    return ", ".join(part for part in (address.name, address.street, town, address.region, address.country) if part)


routes = [list_orders, show_order, cancel, place_hold, advance, dismiss_duplicate, allocate, release]
