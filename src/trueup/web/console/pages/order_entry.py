"""Orders that staff enter: lines with what is available and why, what the order would come to, drafts, and placing it.

Every change asks what would happen, by a rehearsal of the order: nothing is written until it is saved or placed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
from litestar import Request, Response, get, post

from trueup.core import json
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.verb import Command, Outcome
from trueup.orders import read as orders
from trueup.orders import read_drafts as drafts
from trueup.orders.channel import Channel
from trueup.orders.draft import ConfirmDraft, SaveDraft
from trueup.orders.place import PlaceOrder
from trueup.orders.read_drafts import DraftDetail, DraftQuery
from trueup.stock import read as stock
from trueup.web.console.entered import is_filled, lines_of, rows_of, said_by_row
from trueup.web.console.visit import Visit, enter, unknown

_LINE = ("sku", "quantity", "unit", "unit_price")
_PLAIN = ("currency", "channel", "location", "delivery", "customer", "customer_source", "discount", "ship_country",
          "ship_region", "ship_postcode", "short")  # fmt: skip
_TERMS = ("customer_order", "payment_terms", "requested_from", "requested_to", "tax_id")
_PERSON = ("name", "email", "phone")
_ADDRESS = ("street", "postcode", "city")


@get("/orders/new")
async def enter_order(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show an empty order, or the draft that the address names."""
    visit = await enter(request, scoped=True)
    reference = visit.params.get("draft")
    if reference is None:
        return await _page(visit, {}, None)
    async with visit.reading() as connection:
        found = await drafts.draft(connection, reference, visit.now, visit.channels)
    if found is None or found.summary.confirmed_at is not None:
        raise unknown(f"There is no draft {reference!r}.")
    return await _page(visit, _entered(found), found)


@post("/orders/new")
async def send_order(request: Request[Any, Any, Any]) -> Response[Any]:
    """Ask what would happen, save the draft, or place the order; sent twice, it has one effect."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    if form.get("do") == "check" or form.get("more"):
        return await _page(visit, form, None, await _rehearsed(visit, form))
    if form.get("do") == "save":
        saved = await _save(visit, form, form)
        if saved.refusal is not None:
            return await _page(visit, form, None, saved.refusal, refused=True)
        return visit.done("/orders/new", form, draft=saved.result["draft"])
    outcome = await _place(visit, form)
    if outcome.refusal is not None:
        return await _page(visit, form, None, outcome.refusal, refused=True)
    if outcome.status == "pending_approval":
        return visit.done("/confirmations", form)
    return visit.done(f"/orders/{outcome.result['order']}", form)


@get("/drafts")
async def list_drafts(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show drafts and quotes, latest changed first."""
    visit = await enter(request, scoped=True)
    query = DraftQuery(
        search=visit.params.get("q"), open=visit.flag("open"), cursor=visit.params.get("cursor"), limit=50
    )
    async with visit.reading() as connection:
        page = await drafts.find(connection, query, visit.now, visit.channels)
    return await visit.show("drafts.html", section="/orders", title="Drafts", drafts=page.items, next=page.next)


async def _place(visit: Visit, form: dict[str, str]) -> Outcome:
    """Place what the form says; a draft is saved as it stands there, and confirmed."""
    if not form.get("draft"):
        return await visit.submit(PlaceOrder, _body(form), form)
    saved = await _save(visit, form, {**form, "key": form["key"] + "s"})
    if saved.refusal is not None:
        return saved
    body = {"draft": form["draft"], "version": saved.result["version"]}
    return await visit.submit(ConfirmDraft, body, form)


async def _save(visit: Visit, form: dict[str, str], keyed: dict[str, str]) -> Outcome:
    body = _body(form)
    body |= {name: form.get(name, "").strip() for name in ("draft", "version")}
    minutes = form.get("reserve_minutes", "").strip()
    body["reserve_minutes"] = int(minutes) if minutes.isdecimal() and len(minutes) < 6 else minutes
    body["valid_until"] = _end_of_day(form.get("valid_until", "").strip())
    return await visit.submit(SaveDraft, body, keyed)


def _end_of_day(text: str) -> datetime | str:
    """Return the last second of a day; what is none stays as it is, and is refused by name."""
    try:
        return datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)
    except ValueError:
        return text


async def _rehearsed(visit: Visit, form: dict[str, str]) -> Refusal | Outcome | None:
    """Return what placing it would come to; None while there is no line to ask about."""
    if not lines_of(rows_of(form, _LINE)):
        return None
    filled = {name: value for name, value in _body(form).items() if value != ""}
    try:
        command: Command = json.convert(filled, PlaceOrder)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        return Refusal("form.invalid", f"{what}.", "Correct the field.", where.strip(".`"))
    outcome = (await visit.site.door.rehearse([(visit.actor, command)]))[0].outcome
    return outcome.refusal or outcome


async def _page(
    visit: Visit,
    form: dict[str, str],
    draft: DraftDetail | None,
    ending: Refusal | Outcome | None = None,
    *,
    refused: bool = False,
) -> Response[Any]:
    """Show the form. ending: what would happen, or the refusal, which stands beside the lines that it concerns."""
    rows = rows_of(form, _LINE)
    refusal = ending if isinstance(ending, Refusal) else None
    why = said_by_row(refusal, [at for at, row in enumerate(rows) if is_filled(row)])
    async with visit.reading() as connection:
        available = {
            row["sku"]: await stock.everywhere(connection, visit.standing.policies, row["sku"], visit.now, visit.sites)
            for row in rows
            if row["sku"]
        }
        channels = await _channels(connection, visit)
    return await visit.show(
        "order_entry.html",
        section="/orders",
        title="Enter an order",
        rows=rows,
        available=available,
        why=why,
        expected=ending if isinstance(ending, Outcome) else None,
        doubt=refusal if not refused else None,
        refusal=refusal if refused else None,
        draft=draft,
        channels=channels,
        entered=form,
    )


async def _channels(connection: Connection, visit: Visit) -> list[str]:
    """Return the channels a visitor may enter orders in: those that have terms, then others orders are taken in."""
    terms = sorted(visit.standing.policies.all(Channel))
    found = [*terms, *(name for name in await orders.channels_in_use(connection) if name not in terms)]
    if visit.channels is None:
        return found
    return [name for name in found if name in visit.channels] or sorted(visit.channels)


def _body(form: dict[str, str]) -> dict[str, Any]:
    """Return the order that the form says, as plain data."""
    said = {name: form.get(name, "").strip() for name in (*_PLAIN, *_TERMS, *_PERSON, *_ADDRESS, "shipping")}
    body: dict[str, Any] = {name: said[name] for name in _PLAIN}
    body["lines"] = lines_of(rows_of(form, _LINE))
    if said["shipping"]:
        body["charges"] = [{"code": "SHIPPING", "amount": said["shipping"]}]
    terms = {name: said[name] for name in _TERMS if said[name]}
    contact: dict[str, Any] = {name: said[name] for name in _PERSON if said[name]}
    address = {name: said[name] for name in _ADDRESS if said[name]}
    if terms:
        body["business"] = terms
    if address:
        contact["ship_to"] = address
    if contact:
        body["contact"] = contact
    return body


def _entered(draft: DraftDetail) -> dict[str, str]:
    """Return a draft as its form would be sent."""
    basket, contact = draft.basket, draft.contact
    form = {name: str(getattr(basket, name) or "") for name in _PLAIN}
    form |= {"draft": draft.id, "version": str(draft.version)}
    for at, line in enumerate(basket.lines):
        form |= {f"{name}-{at}": _text(getattr(line, name)) for name in _LINE}
    form["shipping"] = next((_text(charge.amount) for charge in basket.charges if charge.code == "SHIPPING"), "")
    if basket.business is not None:
        form |= {name: _text(getattr(basket.business, name)) for name in _TERMS}
    if contact is not None:
        form |= {name: _text(getattr(contact, name)) for name in _PERSON}
        if contact.ship_to is not None:
            form |= {name: _text(getattr(contact.ship_to, name)) for name in _ADDRESS}
    if draft.summary.valid_until is not None:
        form["valid_until"] = draft.summary.valid_until.date().isoformat()
    return form


def _text(value: Any) -> str:
    return "" if value is None else str(value)


routes = [enter_order, send_order, list_drafts]
