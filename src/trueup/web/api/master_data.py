"""The rows of the API's table about master data: amendments, readiness, and who owns which field."""

from __future__ import annotations

from trueup.catalogue import read_partners, read_quality
from trueup.catalogue.amend import AmendItems
from trueup.catalogue.amend_locations import AmendLocations
from trueup.catalogue.amend_partners import AmendPartners
from trueup.catalogue.partner_state import Partner
from trueup.catalogue.register_partner import RegisterPartner
from trueup.catalogue.state import Item
from trueup.web.api.table import COUNT_BYTES_MAX, Listed, Read, Write, listed

WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/items/amend", command=AmendItems, bytes_max=COUNT_BYTES_MAX),
    Write(method="POST", path="/v1/locations/amend", command=AmendLocations, bytes_max=COUNT_BYTES_MAX),
    Write(method="POST", path="/v1/partners", command=RegisterPartner, created="/v1/partners/{partner}"),
    Write(method="PUT", path="/v1/partners/{partner}", command=RegisterPartner, fills={"partner": "code"}),
    Write(method="POST", path="/v1/partners/amend", command=AmendPartners, bytes_max=COUNT_BYTES_MAX),
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
        path="/v1/partners",
        summary="List partners by code, with whether their agreement is in force",
        query=read_partners.PartnerQuery,
        returns=read_partners.PartnerPage,
        answer=lambda connection, asked: read_partners.partners(
            connection, asked.query, asked.now, asked.fields("partner")
        ),
    ),
    Read(
        path="/v1/partners/{partner}",
        summary="Get one partner with its terms by code or id",
        returns=read_partners.PartnerDetail,
        answer=lambda connection, asked: read_partners.partner(connection, asked.path["partner"], asked.now),
    ),
    Read(
        path="/v1/partners/{partner}/as-of",
        summary="Get a partner as it was at a time, or as it will be by what is planned",
        query=read_quality.AsOf,
        returns=Partner,
        answer=lambda connection, asked: read_quality.partner_as_of(
            connection, asked.path["partner"], asked.query.at, asked.policies
        ),
    ),
    Read(
        path="/v1/fields",
        summary="List every field of items, locations and partners with its owner; one without is a finding",
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
