"""The rows of the API's table about master data: amendments, readiness, and who owns which field."""

from __future__ import annotations

from trueup.catalogue import read_quality
from trueup.catalogue.amend import AmendItems
from trueup.catalogue.amend_locations import AmendLocations
from trueup.catalogue.state import Item
from trueup.web.api.table import COUNT_BYTES_MAX, Listed, Read, Write, listed

WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/items/amend", command=AmendItems, bytes_max=COUNT_BYTES_MAX),
    Write(method="POST", path="/v1/locations/amend", command=AmendLocations, bytes_max=COUNT_BYTES_MAX),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/items/{item}/readiness",
        summary="Say how far an item's data carries it, what is missing, and who owns that",
        returns=read_quality.ItemReadiness,
        scoped=True,
        answer=lambda connection, asked: read_quality.item_readiness(connection, asked.path["item"], asked.policies),
    ),
    Read(
        path="/v1/items/{item}/as-of",
        summary="Get an item as it was at a time, or as it will be by what is planned",
        query=read_quality.AsOf,
        returns=Item,
        scoped=True,
        answer=lambda connection, asked: read_quality.item_as_of(
            connection, asked.path["item"], asked.query.at, asked.policies
        ),
    ),
    Read(
        path="/v1/fields",
        summary="List every field of items and locations with its owner; one without is a finding",
        returns=Listed[read_quality.OwnedField],
        scoped=True,
        answer=lambda connection, asked: listed(read_quality.all_fields(asked.policies)),
    ),
    Read(
        path="/v1/fields/overwritten",
        summary="List what was written into fields by others than their owners, latest first",
        query=read_quality.OverwrittenQuery,
        returns=read_quality.OverwrittenPage,
        answer=lambda connection, asked: read_quality.overwritten(connection, asked.query),
    ),
    Read(
        path="/v1/amendments",
        summary="List amendments that wait for their day, or how they ended",
        query=read_quality.PlannedQuery,
        returns=Listed[read_quality.PlannedAmendment],
        answer=lambda connection, asked: listed(read_quality.planned(connection, asked.query)),
    ),
)
