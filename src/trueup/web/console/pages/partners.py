"""Partners: who they are, the terms agreed with them, whose these are, and what of them is about to change."""

from __future__ import annotations

from typing import Any, get_args

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority import change_read
from trueup.authority.change_read import ChangeQuery
from trueup.authority.decision_rights import DecisionRights, Need, quorum_of
from trueup.authority.propose import ProposeChange
from trueup.cases import read as cases
from trueup.catalogue import read_partners
from trueup.catalogue import read_quality as quality
from trueup.catalogue.amend_partners import AmendPartners
from trueup.catalogue.partner_state import PartnerKind
from trueup.catalogue.read_partners import PartnerQuery
from trueup.core import json, timeline
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields
from trueup.web.console import words
from trueup.web.console.pages.amending import amending_of, inputs_of, labelled, patch_of, proposed_fields
from trueup.web.console.pages.items import holders_shown, shown_fields
from trueup.web.console.visit import Visit, enter, unknown

_KINDS: tuple[PartnerKind, ...] = get_args(PartnerKind)


@get("/partners")
async def list_partners(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of partners by code."""
    visit = await enter(request)
    kind = visit.params.get("kind")
    query = PartnerQuery(
        search=visit.params.get("q"),
        kind=next((known for known in _KINDS if known == kind), None),
        field=visit.params.get("field"),
        cursor=visit.params.get("cursor"),
    )
    async with visit.reading() as connection:
        rules = visit.standing.policies.get(CustomFields, "partner")
        page = await read_partners.partners(connection, query, visit.now, rules)
    return await visit.show(
        "partners.html",
        section="/items",
        title="Partners",
        partners=page.items,
        next=page.next,
        kinds=[(known, words.PARTNER[known].text) for known in _KINDS],
        filtered=any(visit.params.get(name) for name in ("q", "kind", "field")),
    )


@get("/partners/{code:str}")
async def show_partner(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
    """Show one partner by its code or id."""
    return await _page(await enter(request), code)


@post("/partners/amend")
async def amend_partner(request: Request[Any, Any, Any]) -> Response[Any]:
    """Amend the terms that the form changed, or propose that as a change."""
    visit = await enter(request)
    form = await visit.form()
    code = form.get("code", "")
    patch = patch_of(form, visit.standing.policies.get(CustomFields, "partner"), "partner")
    if isinstance(patch, Refusal):
        return await _page(visit, code, patch, form)
    command = AmendPartners(rows=(patch,), reason=form.get("reason", "").strip()[:500])
    if form.get("as") == "change":
        edit = {"verb": "catalogue.amend_partners", "command": json.to_plain(command)}
        body = {"title": f"Amend {code}"[:120], "reason": command.reason or f"Amend {code}", "edits": [edit]}
        outcome = await visit.submit(ProposeChange, body, form)
    else:
        outcome = await visit.submit(AmendPartners, json.to_plain(command), form)
    if outcome.refusal is not None:
        return await _page(visit, code, outcome.refusal, form)
    return visit.done(visit.path_of("partners", code), form)


async def _page(
    visit: Visit, code: str, refusal: Refusal | None = None, form: dict[str, str] | None = None
) -> Response[Any]:
    policies = visit.standing.policies
    async with visit.reading() as connection:
        found = await read_partners.partner(connection, code, visit.now)
        if found is None:
            raise unknown(f"There is no partner {code!r}.")
        partner = found.partner
        entries = await timeline.about(connection, partner.id)
        plans = await quality.planned(connection, quality.PlannedQuery(object=partner.id))
        wanted = ChangeQuery(object=f"partner/{partner.id}#", open=True, limit=20)
        pending = (await change_read.find_changes(connection, wanted, visit.now)).items
        carried = await change_read.edits_of(connection, [one.id for one in pending])
        about = cases.CaseQuery(subject=partner.id, limit=20)
        concerning = (await cases.cases(connection, about, visit.now, policies)).items
        small = await change_read.is_small(connection)
    owned = quality.fields_of(policies, "partner", partner)
    register = policies.get(DecisionRights)

    def besides(key: str) -> Need | None:
        return None if small else quorum_of(policies, key)

    return await visit.show(
        "partner.html",
        section="/items",
        title=f"Partner {partner.code}",
        found=found,
        partner=partner,
        fields=shown_fields(visit, "partner", partner.fields),
        terms=[
            (labelled(one.field), one, register.of(f"partner.{one.field}"), besides(f"partner.{one.field}"))
            for one in owned
            if one.field in _TERMS and (one.value is not None or one.field != "lead_days" or partner.kind == "supplier")
        ],
        owned=owned,
        holders=holders_shown(visit, partner),
        plans=plans,
        pending=pending,
        proposed={id_: proposed_fields(edits, partner, ()) for id_, edits in carried.items()},
        cases=concerning,
        entries=entries,
        inputs=inputs_of(partner, policies.get(CustomFields, "partner")),
        amending=amending_of(partner),
        declared=visit.standing.declared,
        refusal=refusal,
        entered=form or {},
    )


_TERMS = (
    "in_force_from", "in_force_until", "lead_days", "minimum_order", "payment_days", "incoterm", "claim_days",
    "returns_days", "answer_within_minutes", "order_cutoff",
)  # fmt: skip

routes = [list_partners, amend_partner, show_partner]
