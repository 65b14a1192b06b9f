"""The quality of master data: how ready items are, which fields nobody owns, what was overwritten, what is planned."""

from __future__ import annotations

import csv
import io
from typing import Any

from litestar import Request, Response, get, post

from trueup.authority import change_read
from trueup.catalogue import bulk_amend, read_partners
from trueup.catalogue import read_quality as quality
from trueup.catalogue.amend import ITEMS
from trueup.catalogue.bulk_amend import Staged
from trueup.catalogue.kinds import KINDS
from trueup.catalogue.readiness import ReadinessPolicy
from trueup.core.errors import Refusal, Refused
from trueup.core.fields import CustomFields
from trueup.stock.carriers import carriers_nobody_bears
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter


@get("/data-quality")
async def show_quality(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the whole of it."""
    return await _page(await enter(request))


@post("/data-quality/amend")
async def amend_table(request: Request[Any, Any, Any]) -> Response[Any]:
    """Amend records by a table that was pasted: bad cells are named, and the good rows are staged as one."""
    visit = await enter(request)
    form = await visit.form()
    policies = visit.standing.policies
    kind = next((one for one in KINDS.values() if one.plural == form.get("of")), ITEMS)
    text = form.get("table", "").strip("\r\n")
    try:
        separator = "\t" if "\t" in text.partition("\n")[0] else ";" if ";" in text.partition("\n")[0] else ","
        rows = list(csv.DictReader(io.StringIO(text), delimiter=separator, strict=True, restval=""))
        rules = policies.get(CustomFields, kind.entity)
        bulk = bulk_amend.read_table([_named(row) for row in rows], rules, kind.entity)
    except Refused as error:
        return await _page(visit, error.refusal, form)
    except csv.Error as error:
        refusal = Refusal("form.invalid", f"This is no table: {error}.", "Paste rows with a header, as from a sheet.",
                          "table")  # fmt: skip
        return await _page(visit, refusal, form)
    reason = form.get("reason", "").strip() or "A table of amendments"
    async with visit.reading() as connection:
        checked = await bulk_amend.validated(connection, visit.site.house, visit.actor, bulk, visit.now)
        staged = await bulk_amend.stage(
            connection, visit.site.house, visit.site.door, visit.actor, checked,
            title=f"Amend {len(checked.good)} {kind.plural}", reason=reason, key=f"console/{form['key']}",
        )  # fmt: skip
    return await _page(visit, staged.outcome.refusal if staged.outcome is not None else None, form, staged)


def _named(row: dict[str | Any, Any]) -> dict[str, str]:
    """Return a row by its columns; what stands beyond them is refused as a column without a name."""
    return {
        (name or "").strip() if name is not None else "(beyond the header)": str(text) for name, text in row.items()
    }


async def _page(
    visit: Visit, refusal: Refusal | None = None, form: dict[str, str] | None = None, staged: Staged | None = None
) -> Response[Any]:
    policies = visit.standing.policies
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "policy/field_ownership/", "policy/readiness/")
        counts = await quality.counted(connection, policies)
        query = quality.OverwrittenQuery(object=visit.params.get("object"), cursor=visit.params.get("cursor"), limit=25)
        overwritten = await quality.overwritten(connection, query)
        planned = await quality.planned(connection, quality.PlannedQuery())
        ended = await read_partners.suppliers_not_in_force(connection, visit.now)
        carriers = await carriers_nobody_bears(connection, policies)
        changes = staged.changes if staged is not None else ()
        decided = [await change_read.awaited(connection, change, policies, visit.now) for change in changes]
    return await visit.show(
        "data_quality.html",
        section="/items",
        pending=pending,
        title="Data quality",
        counts=counts,
        enforced=policies.get(ReadinessPolicy).enforce,
        unowned=quality.unowned(policies),
        overwritten=overwritten.items,
        next=overwritten.next,
        planned=planned,
        kinds=[(one.plural, one.key, bulk_amend.columns_of(one)) for one in KINDS.values()],
        ended=ended,
        carriers=carriers,
        staged=staged,
        decided=decided,
        declared=visit.standing.declared,
        refusal=refusal,
        entered=form or {},
    )


routes = [show_quality, amend_table]
