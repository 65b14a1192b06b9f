"""Transfers between locations: what is on its way and what differs; shipping one, and reporting what of it arrived."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.catalogue import read as catalogue
from trueup.core import json, timeline
from trueup.core.errors import Refusal
from trueup.core.verb import Outcome
from trueup.stock import read as stock
from trueup.stock import transfer_read
from trueup.stock.lot_state import UNIDENTIFIED
from trueup.stock.transfer import ReceiveTransfer, ShipTransfer
from trueup.stock.transfer_read import TransferDetail, TransferQuery
from trueup.web.console.entered import Row, is_filled, lines_of, rows_of, said_by_row
from trueup.web.console.visit import Visit, enter, unknown

_LINE = ("sku", "quantity", "unit", "lot")
_MORE = ("more-sku", "more-lot", "more-good", "more-bad", "more-as")
_MORE_ROWS = 2
HELD = ("damaged", "quality", "quarantined")
_FILTERS = ("from", "to", "status", "differs", "q")


@get("/transfers")
async def list_transfers(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of transfers, newest first."""
    visit = await enter(request, scoped=True)
    params = visit.params
    query = TransferQuery(
        status=params.get("status"),
        from_location=params.get("from"),
        to_location=params.get("to"),
        search=params.get("q"),
        differs=visit.flag("differs"),
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await transfer_read.transfers(connection, query, visit.sites)
        places = await catalogue.locations(connection)
    return await visit.show(
        "transfers.html",
        section="/stock",
        title="Transfers",
        transfers=page.items,
        next=page.next,
        codes=[(place.code, place.code) for place in places],
        filtered=any(params.get(name) for name in _FILTERS),
    )


@get("/transfers/new")
async def enter_transfer(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show an empty transfer."""
    visit = await enter(request, scoped=True)
    return await _ship_page(visit, {name: visit.params.get(name, "") for name in ("from_location", "to_location")})


@post("/transfers/new")
async def send_transfer(request: Request[Any, Any, Any]) -> Response[Any]:
    """Ask what would happen, or ship the transfer; sent twice, it has one effect."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    if form.get("do") == "check" or form.get("more"):
        return await _ship_page(visit, form, await _rehearsed(visit, form))
    outcome = await visit.submit(ShipTransfer, _shipped(form), form)
    if outcome.refusal is not None:
        return await _ship_page(visit, form, outcome.refusal, refused=True)
    return visit.done(f"/transfers/{outcome.result['transfer']}", form)


@get("/transfers/{transfer:str}")
async def show_transfer(request: Request[Any, Any, Any], transfer: FromPath[str]) -> Response[Any]:
    """Show one transfer, and the form that reports what of it arrived."""
    return await _transfer_page(await enter(request, scoped=True), transfer)


@post("/transfers/{transfer:str}/receive")
async def receive(request: Request[Any, Any, Any], transfer: FromPath[str]) -> Response[Any]:
    """Post what arrived: as the rows say, or all that was open when the page was read."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    async with visit.reading() as connection:
        detail = await transfer_read.transfer(connection, transfer, visit.sites)
    if detail is None:
        raise unknown(f"There is no transfer {transfer!r}.")
    if form.get("more"):
        return await _transfer_page(visit, transfer, None, form)
    lines = _arrived(detail, form)
    close = bool(form.get("close")) or form.get("do") == "all"
    body = {"transfer": transfer, "lines": [line for _, line in lines], "close": close}
    outcome = _nothing() if not lines and not close else await visit.submit(ReceiveTransfer, body, form)
    if outcome.refusal is not None:
        why = said_by_row(outcome.refusal, [row for row, _ in lines])
        return await _transfer_page(visit, transfer, outcome.refusal, form, why)
    return visit.done(f"/transfers/{transfer}", form)


def _nothing() -> Outcome:
    """Refuse a form in which no figure stands: what was not filled in did not happen."""
    fix = "Enter what arrived, or tick that nothing more is expected."
    return Outcome("refused", refusal=Refusal("form.invalid", "The form says nothing.", fix, "lines"))


def _shipped(form: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {name: form.get(name, "").strip() for name in ("from_location", "to_location", "reference")}
    body["lines"] = lines_of(rows_of(form, _LINE))
    return body


async def _rehearsed(visit: Visit, form: dict[str, str]) -> Refusal | Outcome | None:
    """Return what shipping it would come to; None while too little is entered to ask."""
    body = {name: value for name, value in _shipped(form).items() if value not in ("", [])}
    if not {"from_location", "to_location", "lines"} <= body.keys():
        return None
    try:
        command = json.convert({"reference": "-", **body}, ShipTransfer)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        return Refusal("form.invalid", f"{what}.", "Correct the field.", where.strip(".`"))
    outcome = (await visit.site.door.rehearse([(visit.actor, command)]))[0].outcome
    return outcome.refusal or outcome


async def _ship_page(
    visit: Visit, form: dict[str, str], ending: Refusal | Outcome | None = None, *, refused: bool = False
) -> Response[Any]:
    """Show the form. ending: what would happen, or the refusal, which stands beside the lines that it concerns."""
    rows = rows_of(form, _LINE)
    refusal = ending if isinstance(ending, Refusal) else None
    async with visit.reading() as connection:
        places = await catalogue.locations(connection)
        available = {
            row["sku"]: await stock.everywhere(connection, visit.standing.policies, row["sku"], visit.now, visit.sites)
            for row in rows
            if row["sku"]
        }
    return await visit.show(
        "transfer_entry.html",
        section="/stock",
        title="Ship a transfer",
        rows=rows,
        available=available,
        why=said_by_row(refusal, [at for at, row in enumerate(rows) if is_filled(row)]),
        own=[place.code for place in places if visit.sites is None or place.code in visit.sites],
        places=[place.code for place in places],
        expected=ending if isinstance(ending, Outcome) else None,
        doubt=refusal if not refused else None,
        refusal=refusal if refused else None,
        entered=form,
    )


async def _transfer_page(
    visit: Visit,
    transfer: str,
    refusal: Refusal | None = None,
    entered: dict[str, str] | None = None,
    why: dict[Any, list[str]] | None = None,
) -> Response[Any]:
    async with visit.reading() as connection:
        detail = await transfer_read.transfer(connection, transfer, visit.sites)
        if detail is None:
            raise unknown(f"There is no transfer {transfer!r}.")
        entries = await timeline.about(connection, transfer)
    shown = detail.transfer
    return await visit.show(
        "transfer.html",
        section="/stock",
        title=f"Transfer {shown.reference}",
        transfer=shown,
        detail=detail,
        open_lines=[line for line in detail.lines if line.open > 0],
        may_receive=visit.may("stock.receive_transfer") and (visit.sites is None or shown.to_location in visit.sites),
        outside=visit.sites is not None and shown.to_location not in visit.sites,
        case_open=visit.scope is None,
        shipped_by=entries[0].actor if entries else "",
        entries=entries,
        more_rows=rows_of(entered or {}, _MORE, _MORE_ROWS),
        held=HELD,
        beyond=_beyond(detail),
        unidentified=UNIDENTIFIED,
        refusal=refusal,
        entered=entered or {},
        why=why or {},
    )


def _arrived(detail: TransferDetail, form: dict[str, str]) -> list[tuple[int, Row]]:
    """Return the lines a receipt reports, each with the row it came from: lines of the transfer, then further ones.

    A further row counts from the highest line on. `all` takes what the page showed as open: sent twice, it says the
    same.
    """
    found: list[tuple[int, Row]] = []
    for line in detail.lines:
        lot = "" if line.lot == UNIDENTIFIED else line.lot
        if form.get("do") == "all":
            found += _row(line.line, line.sku, lot, form.get(f"open-{line.line}", ""))
        else:
            said = [form.get(f"{name}-{line.line}", "") for name in ("good", "bad", "as")]
            found += _row(line.line, line.sku, lot, *said)
    if form.get("do") != "all":
        for at, row in enumerate(rows_of(form, _MORE, _MORE_ROWS)):
            more = _row(_beyond(detail) + at, *(row[name] for name in _MORE))
            named = {"sku": row["more-sku"], "lot": row["more-lot"]}
            # A row without a figure says something, too: it is refused rather than overlooked.
            found += more or [(_beyond(detail) + at, {"sku": row["more-sku"]})] * any(named.values())
    return found


def _beyond(detail: TransferDetail) -> int:
    """Return the number of the first row that is no line of the transfer."""
    return max((line.line for line in detail.lines), default=0) + 1


def _row(at: int, sku: str, lot: str, good: str, bad: str = "", status: str = "") -> list[tuple[int, Row]]:
    """Return what one row reports: what may be sold, and what may not, each where there is a figure."""
    named = {"sku": sku, "lot": lot} if lot else {"sku": sku}
    figures = ((good, "available"), (bad, status if status in HELD else HELD[0]))
    return [(at, {**named, "quantity": units.strip(), "status": to}) for units, to in figures if units.strip()]


routes = [list_transfers, enter_transfer, send_transfer, show_transfer, receive]
