"""Amend locations field by field; what a site operates from day to day is `operate.py`'s, within its bands."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec

from trueup.catalogue.amend import (
    PUT_BACK,
    ROWS_MAX,
    Amendment,
    Patched,
    Reason,
    given_of,
    is_planned,
    patched_fields,
    planned,
    present,
    refused_rows,
    started,
    taken_back,
    touched_by_rows,
    withdrawals,
)
from trueup.catalogue.amendments import AmendmentPlanned, Amendments
from trueup.catalogue.given import Days, Name, Text
from trueup.catalogue.ownership import KEYS, differences
from trueup.catalogue.sound import unsound_location
from trueup.catalogue.state import Catalogue, Location, LocationKind, LocationRegistered
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import (
    Accepted,
    Body,
    Command,
    Concerns,
    Context,
    Decision,
    Event,
    Governance,
    Governed,
    State,
    Verb,
)


class LocationFields(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields of a location that can be amended, as at `RegisterLocation`; what is left out stays.

    null takes away what may be missing. groups are replaced as a whole; fields: custom ones, each by itself.
    """

    name: Text | msgspec.UnsetType = msgspec.UNSET
    kind: LocationKind | msgspec.UnsetType = msgspec.UNSET
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | msgspec.UnsetType | None = msgspec.UNSET
    groups: Annotated[tuple[Name, ...], msgspec.Meta(max_length=50)] | msgspec.UnsetType = msgspec.UNSET
    timezone: str | msgspec.UnsetType = msgspec.UNSET
    latitude: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    longitude: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    postcode: Annotated[str, msgspec.Meta(max_length=20)] | msgspec.UnsetType | None = msgspec.UNSET
    calendar: Name | msgspec.UnsetType = msgspec.UNSET
    handling_days: Days | msgspec.UnsetType = msgspec.UNSET
    pickup: bool | msgspec.UnsetType = msgspec.UNSET
    fields: Patched | msgspec.UnsetType = msgspec.UNSET


class LocationPatch(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields of one location (by its code), what they become, and the day there from which it holds."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    fields: LocationFields
    effective_from: date | None = None
    withdraw_planned: bool = False


class AmendLocations(Command, frozen=True, kw_only=True):
    """Change fields of locations, all rows or none. reason: why, in the record."""

    rows: Annotated[tuple[LocationPatch, ...], msgspec.Meta(min_length=1, max_length=ROWS_MAX)]
    reason: Reason = ""


def amend_locations(state: State, command: AmendLocations, context: Context) -> Decision:
    """Amend the locations, or plan it for the day it takes effect there; all rows, or none of them.

    Refuses, naming each row and field, a location nobody knows and a field that cannot be like this; nothing is written
    then. What changes nothing ends as merged.
    """
    rows: dict[str, Location] = {}
    events: list[Event] = []
    refused: list[Refusal] = []
    for number, row in enumerate(command.rows):
        found = amended_location(state, row, f"rows[{number}]", context.policies, rows)
        if isinstance(found, Refusal):
            refused.append(found)
            continue
        events += withdrawals(found.withdrawn, context)
        day = started(row.effective_from, found.before.timezone, context)
        if day is None:
            rows[found.before.id] = found.after
        elif found.after != found.before:
            events.append(planned("location", found, day, row.effective_from, command.reason, context))
    if refused:
        return refused_rows(refused)
    for id_, after in rows.items():
        events += _changed(state.of(Catalogue).locations[id_], after, command, context)
    result = {"locations": len(rows), "planned": sum(isinstance(event, AmendmentPlanned) for event in events)}
    subject = next(iter(rows), None) or (events[0].subject if events else "locations")
    return Accepted(events, subject, result, "applied" if events else "merged")


def _changed(before: Location, after: Location, command: AmendLocations, context: Context) -> list[Event]:
    changes = differences(before, after)
    if not changes:
        return []
    place = msgspec.structs.replace(after, version=before.version + 1)
    return [LocationRegistered(location=place, at=context.now, amended=changes, reason=command.reason or None)]


def amended_location(
    state: State, row: LocationPatch, where: str, policies: Policies, rows: dict[str, Location]
) -> Amendment[Location] | Refusal:
    """Return what a row makes of its location, or why it cannot. rows: what earlier rows have made of them, by id."""
    known = state.of(Catalogue).location(row.code)
    if known is None:
        return _unknown(row, where)
    before = rows.get(known.id, known)
    after = patched_location(before, row.fields, policies, f"{where}.fields.")
    if isinstance(after, Refusal):
        return after
    given = given_of(row.fields)
    if is_planned(state, known.id, row.effective_from, given):
        after = before
    return Amendment(before, after, given, taken_back(state, known.id, given, withdraw=row.withdraw_planned))


def _unknown(row: LocationPatch, where: str) -> Refusal:
    return Refusal("catalogue.unknown_location", f"There is no location {row.code[:80]!r}.",
                   "Register it first, or correct the code.", f"{where}.code", row.code[:80])  # fmt: skip


def patched_location(before: Location, patch: LocationFields, policies: Policies, where: str) -> Location | Refusal:
    """Return the location with the fields of a patch, or why it cannot be like that."""
    given = given_of(patch)
    fields = patched_fields(before, given, policies, where)
    if isinstance(fields, Refusal):
        return fields
    if "groups" in given:
        given["groups"] = tuple(sorted(set(given["groups"])))
    after = msgspec.structs.replace(before, **{**given, "fields": fields})
    return unsound_location(after, where) or after


def _objects(state: State, command: AmendLocations, policies: Policies) -> tuple[Governed, ...]:
    return touched_by_rows(
        state,
        "location",
        command.rows,
        lambda row: state.of(Catalogue).location(row.code),
        lambda row, where, rows: amended_location(state, row, where, policies, rows),
        policies,
    )


def _undo(state: State, command: AmendLocations, policies: Policies) -> AmendLocations | Refusal:
    """Return the amendment with what stands now; it takes back what the command would plan."""
    rows: list[LocationPatch] = []
    for number, row in enumerate(command.rows):
        known = state.of(Catalogue).location(row.code)
        if known is None:
            return _unknown(row, f"rows[{number}]")
        fields = json.convert(present(known, given_of(row.fields)), LocationFields)
        rows.append(LocationPatch(code=known.code, fields=fields, withdraw_planned=row.effective_from is not None))
    return AmendLocations(rows=tuple(rows), reason=PUT_BACK)


def _wants(state: State, command: AmendLocations, policies: Policies) -> None:
    for row in command.rows:
        state.of(Catalogue).want_location(row.code, change=True)
        state.of(Amendments).want(location=row.code)


def _concerns(state: State, command: AmendLocations) -> Concerns:
    return Concerns(sites=tuple(row.code for row in command.rows))


VERBS = (
    Verb(
        name="catalogue.amend_locations",
        command=AmendLocations,
        decide=amend_locations,
        wants=_wants,
        touches=lambda command: tuple(f"location:{row.code}" for row in command.rows),
        concerns=_concerns,
        governance=Governance(keys=KEYS["location"], objects=_objects, undo=_undo),
    ),
)
