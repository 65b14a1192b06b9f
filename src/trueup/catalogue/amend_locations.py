"""Amend locations field by field; what a site operates from day to day is `operate.py`'s, within its bands."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated

import msgspec

from trueup.catalogue.amend import (
    ROWS_MAX,
    Amendable,
    Patched,
    Reason,
    amend,
    given_of,
    patched_fields,
    touched,
    undone,
)
from trueup.catalogue.amendments import Amendments
from trueup.catalogue.given import Days, Name, Text
from trueup.catalogue.ownership import KEYS
from trueup.catalogue.sound import unsound_location
from trueup.catalogue.state import Catalogue, Location, LocationKind, LocationRegistered
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Body, Command, Concerns, Context, Decision, Governance, State, Verb


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
    return amend(LOCATIONS, state, command, context)


def _unknown(code: str, where: str) -> Refusal:
    return Refusal("catalogue.unknown_location", f"There is no location {code[:80]!r}.",
                   "Register it first, or correct the code.", f"{where}.code", code[:80])  # fmt: skip


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


LOCATIONS: Amendable[Location] = Amendable(
    entity="location",
    key="code",
    plural="locations",
    rows=AmendLocations,
    patch=LocationPatch,
    fields=LocationFields,
    find=lambda state, key: state.of(Catalogue).location(key),
    held=lambda state, id_: state.of(Catalogue).locations.get(id_),
    unknown=_unknown,
    patched=patched_location,
    timezone=lambda place, policies: place.timezone,
    registered=lambda place, **said: LocationRegistered(location=place, **said),
)


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
        governance=Governance(
            keys=KEYS["location"], objects=partial(touched, LOCATIONS), undo=partial(undone, LOCATIONS)
        ),
    ),
)
