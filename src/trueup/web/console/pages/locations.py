"""Locations: what the catalogue knows of each, how it works from day to day, and what is proposed about it."""

from __future__ import annotations

from typing import Any, get_args

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority.publish import PublishPolicy
from trueup.catalogue import read as catalogue
from trueup.catalogue.amend_locations import AmendLocations
from trueup.catalogue.operate import OperateSite, SiteBands
from trueup.catalogue.ownership import values_of
from trueup.catalogue.read import LocationQuery
from trueup.catalogue.state import Location, LocationKind
from trueup.core import timeline
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields
from trueup.core.verb import Command
from trueup.web.console.pages.amending import Input
from trueup.web.console.pages.items import shown_fields
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter, unknown

KINDS: tuple[str, ...] = get_args(LocationKind)
_LABELS = {
    "name": "Name", "kind": "Kind", "country": "Country, two letters", "postcode": "Postcode", "latitude": "Latitude",
    "longitude": "Longitude", "timezone": "Time zone", "calendar": "Calendar", "groups": "Groups, parted by |",
    "handling_days": "Handling, days after release", "pickup": "Customers may collect here",
}  # fmt: skip
_CHOICES = {"kind": KINDS, "pickup": ("yes", "no")}
_BANDS = ("capacity_min", "capacity_max", "cutoff_earliest", "cutoff_latest")


@get("/locations")
async def list_locations(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show all locations."""
    visit = await enter(request, scoped=True)
    query = LocationQuery(group=visit.params.get("group"), field=visit.params.get("field"))
    rules = visit.standing.policies.get(CustomFields, "location")
    async with visit.reading() as connection:
        places = await catalogue.locations(connection, query, rules)
    return await visit.show("locations.html", section="/items", title="Locations", locations=places)


@get("/locations/{code:str}")
async def show_location(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
    """Show one location by its code or id."""
    return await _page(await enter(request, scoped=True), code)


@post("/locations/{code:str}/operate")
async def operate(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
    """Open or close a site, or change its capacity and cut-off."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    capacity = form.get("capacity_per_day", "").strip()
    body: dict[str, Any] = {
        "location": code,
        "open": form.get("open") == "1",
        "cutoff": form.get("cutoff", "").strip(),
        "capacity_per_day": _number(capacity) or None,
    }
    outcome = await visit.submit(OperateSite, body, form)
    if outcome.refusal is not None:
        return await _page(visit, code, outcome.refusal, form)
    return visit.done(visit.path_of("locations", code), form)


@post("/locations/{code:str}/amend")
async def amend(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
    """Amend the fields that the form changed, or propose that as a change."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    row: dict[str, Any] = {"code": code, "fields": _changed(form)}
    if form.get("effective_from", "").strip():
        row["effective_from"] = form["effective_from"].strip()
    body = {"rows": [row], "reason": form.get("reason", "").strip()}
    return await _put(visit, AmendLocations, body, f"Amend the location {code}", form, code, "amend")


@post("/locations/{code:str}/bands")
async def band(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
    """Set the band of one site, or propose that as a change; what is left empty is as shipped."""
    visit = await enter(request)
    form = await visit.form()
    given = {name: _number(form.get(name, "").strip()) for name in _BANDS}
    document = {name: value for name, value in given.items() if value != ""}
    body = {"policy_kind": SiteBands.kind, "policy_name": code, "document": document,
            "reason": form.get("reason", "").strip()}  # fmt: skip
    return await _put(visit, PublishPolicy, body, f"How far {code} may change how it works", form, code, "bands")


async def _put(
    visit: Visit, kind: type[Command], body: dict[str, Any], title: str, form: dict[str, str], code: str, opened: str
) -> Response[Any]:
    """Put it through, or propose it where the form says so."""
    if form.get("as") == "change":
        outcome = await visit.propose(visit.site.house.verbs[kind].name, body, title, form)
    else:
        outcome = await visit.submit(kind, body, form)
    if outcome.refusal is not None:
        return await _page(visit, code, outcome.refusal, form, opened)
    if "change" in outcome.result:
        return visit.done(visit.path_of("changes", str(outcome.result["change"])), form)
    return visit.done(visit.path_of("locations", code), form)


def _changed(form: dict[str, str]) -> dict[str, Any]:
    """Return what the form changed, by field: one that stands as the page showed it stays out."""
    found: dict[str, Any] = {}
    for name, before in form.items():
        field = name.removeprefix("was-")
        now = form.get(field, "").strip()
        if name == field or now == before.strip():
            continue
        if field == "groups":
            found[field] = [part for part in map(str.strip, now.split("|")) if part]
        elif field == "pickup":
            found[field] = now == "yes"
        elif field.startswith("fields."):
            found.setdefault("fields", {})[field.removeprefix("fields.")] = now or None
        else:
            found[field] = _number(now) if field == "handling_days" else now or None
    return found


def _number(text: str) -> int | str:
    """Return a whole number; what is none stays text, which the command refuses by its name."""
    return int(text) if text.isdecimal() and len(text) < 10 else text


def _inputs(place: Location, rules: CustomFields) -> list[Input]:
    values = dict(values_of(place))
    custom = {f"fields.{rule.name}": rule.label or rule.name.replace("_", " ") for rule in rules.fields}
    return [Input(name, label, _text(values.get(name))) for name, label in {**_LABELS, **custom}.items()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " | ".join(value) if isinstance(value, list) else "" if value is None else str(value)


async def _page(
    visit: Visit, code: str, refusal: Refusal | None = None, form: dict[str, str] | None = None, opened: str = ""
) -> Response[Any]:
    policies = visit.standing.policies
    async with visit.reading() as connection:
        place = await catalogue.location(connection, code)
        if place is None:
            raise unknown(f"There is no location {code!r}.")
        entries = await timeline.about(connection, place.id)
        bands = f"policy/{SiteBands.kind}"
        about = (f"location/{place.id}#", f"{bands}/{place.code}#", f"{bands}/default#")
        pending = await pending_on(visit, connection, *about)
    own = policies.find(SiteBands, place.code)
    rules = policies.get(CustomFields, "location")
    return await visit.show(
        "location.html",
        section="/items",
        title=f"Location {place.code}",
        place=place,
        bands=own or policies.get(SiteBands),
        own_bands=own is not None,
        fields=shown_fields(visit, "location", place.fields),
        inputs=_inputs(place, rules),
        choices=_CHOICES,
        operable=visit.may("catalogue.operate_site") and (visit.sites is None or place.code in visit.sites),
        declared=visit.standing.declared,
        pending=pending,
        entries=entries,
        refusal=refusal,
        entered=form or {},
        opened=opened,
    )


routes = [list_locations, show_location, operate, amend, band]
