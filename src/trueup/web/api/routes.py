"""The table of the API: address, verb and where the id goes; or address, query and the room's function that answers."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from trueup.authority import read as authority
from trueup.authority.organisation import RemoveNode, SetNode
from trueup.authority.publish import PublishPolicy, WithdrawPolicy
from trueup.authority.register import IssueKey, RegisterActor, RevokeKey
from trueup.authority.state import Node
from trueup.cases import read as cases
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.open import OpenCase
from trueup.catalogue import read as catalogue
from trueup.catalogue.cost import Cost, RecordCost, costs
from trueup.catalogue.operate import OperateSite
from trueup.catalogue.readiness import ReadinessPolicy
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.catalogue.state import Location
from trueup.core import journal, timeline
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page
from trueup.orders import read as orders
from trueup.orders import read_holds
from trueup.orders.adopt import AdoptWorkflow, ReturnWorkflow
from trueup.orders.advance import AdvanceOrder, ReportEvent
from trueup.orders.cancel import CancelOrder
from trueup.orders.hold import PlaceHold, ReleaseHold, ReleaseHolds
from trueup.orders.hold_upkeep import ReleaseByRule
from trueup.orders.place import PlaceOrder
from trueup.orders.suspect import DismissDuplicate
from trueup.parties import read as parties
from trueup.parties.record import RecordCustomer
from trueup.stock import read as stock
from trueup.stock import supply_read
from trueup.stock.count import CountStock
from trueup.stock.receive import AdjustStock, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReleaseReservation, ReserveStock
from trueup.stock.supply import CancelSupply, ExpectSupply, RescheduleSupply
from trueup.web.api import (
    capture,
    contracts,
    governance,
    guards,
    master_data,
    migrations,
    people,
    sourcing,
    stock_control,
    stock_depth,
)
from trueup.web.api import cases as case_rows
from trueup.web.api.table import COUNT_BYTES_MAX, Asked, Listed, OnePage, Read, Write, listed

EVENTS_MAX = 1000
T = TypeVar("T")


class After(msgspec.Struct, frozen=True):
    """Past a position of the journal."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Limit = 100


class AfterEvents(msgspec.Struct, frozen=True):
    """Past a position of the journal; at most 1,000 rows."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=EVENTS_MAX)] = 100


class AfterId(msgspec.Struct, frozen=True):
    """Past an id."""

    after: str = ""


class WhatWhere(msgspec.Struct, frozen=True):
    """An item by any of its keys; without a location, everywhere."""

    sku: str
    location: str | None = None


class AtPlace(msgspec.Struct, frozen=True):
    """An item by any of its keys, at a location by its code."""

    sku: str
    location: str


class ClaimsAt(msgspec.Struct, frozen=True):
    """An item by its id, a location by its code."""

    item: str
    location: str
    limit: Limit = 100


class Feed(msgspec.Struct, frozen=True):
    """Rows of the journal in their order. next: send it as `after`; nothing is ever inserted before it."""

    items: tuple[timeline.Entry, ...]
    next: int


async def events(connection: Connection, asked: Asked) -> Feed:
    """Answer with the journal past a position; a cursor is one number and misses nothing."""
    rows = await journal.read(connection, asked.query.after, asked.query.limit)
    return Feed(tuple(timeline.entry_of(row) for row in rows), rows[-1].position if rows else asked.query.after)


async def order_timeline(connection: Connection, asked: Asked) -> Feed | None:
    """Answer with what happened to an order; None when there is none."""
    found = await orders.order(connection, asked.path["order"], asked.channels)
    if found is None:
        return None
    entries = await orders.timeline(connection, found.id, asked.query.after, asked.query.limit)
    return Feed(entries, entries[-1].position if entries else asked.query.after)


async def availability(connection: Connection, asked: Asked) -> Listed[stock.Availability]:
    """Answer with what may be promised at one location, or at all that had the item."""
    sku, location = asked.query.sku, asked.query.location
    if location is None:
        return Listed(await stock.everywhere(connection, asked.policies, sku, asked.now, asked.sites))
    if asked.sites is not None and location not in asked.sites:
        return Listed(())
    found = await stock.availability(connection, asked.policies, sku, location, asked.now)
    return Listed((found,) if found is not None else ())


async def claims_at(connection: Connection, asked: Asked) -> Listed[stock.OpenClaimRow]:
    """Answer with the newest open claims on an item at a location; none outside of the scope."""
    query = asked.query
    if asked.sites is not None and query.location not in asked.sites:
        return Listed(())
    return Listed(await stock.claims(connection, query.item, query.location, asked.now, query.limit))


async def supply(connection: Connection, asked: Asked) -> supply_read.SupplyRow | None:
    """Answer with one supply; none outside of the scope."""
    found = await supply_read.supply(connection, asked.path["supply"])
    return found if found is not None and (asked.sites is None or found.location in asked.sites) else None


async def waiting(connection: Connection, asked: Asked) -> Listed[supply_read.WaitingRow]:
    """Answer with who waits for an item at a location; nobody outside of the scope."""
    query = asked.query
    if asked.sites is not None and query.location not in asked.sites:
        return Listed(())
    return Listed(await supply_read.waiting(connection, query.sku, query.location))


async def explained(connection: Connection, asked: Asked) -> supply_read.Explained | None:
    """Answer with why so much is available; nothing outside of the scope."""
    query = asked.query
    if asked.sites is not None and query.location not in asked.sites:
        return None
    return await supply_read.explain(connection, asked.policies, query.sku, query.location, asked.now)


WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/orders", command=PlaceOrder, created="/v1/orders/{order}"),
    Write(method="POST", path="/v1/orders/{order}/cancel", command=CancelOrder, if_match="version"),
    Write(method="POST", path="/v1/orders/{order}/advance", command=AdvanceOrder, if_match="version"),
    Write(method="POST", path="/v1/orders/{order}/events", command=ReportEvent),
    Write(method="POST", path="/v1/orders/{order}/holds", command=PlaceHold, created="", if_match="version"),
    Write(method="POST", path="/v1/orders/{order}/holds/release-by-rule", command=ReleaseByRule),
    Write(method="POST", path="/v1/orders/{order}/dismiss-duplicate", command=DismissDuplicate),
    Write(method="POST", path="/v1/workflows/{order_type}/adopt", command=AdoptWorkflow),
    Write(method="POST", path="/v1/workflows/{order_type}/return", command=ReturnWorkflow),
    Write(method="POST", path="/v1/holds/{hold}/release", command=ReleaseHold),
    Write(method="POST", path="/v1/holds/release", command=ReleaseHolds),
    Write(method="POST", path="/v1/items", command=RegisterItem, created="/v1/items/{item}"),
    Write(method="PUT", path="/v1/items/{item}", command=RegisterItem, fills={"item": "sku"}),
    Write(method="POST", path="/v1/items/{item}/costs", command=RecordCost, fills={"item": "sku"}, created=""),
    Write(method="POST", path="/v1/locations", command=RegisterLocation, created="/v1/locations/{location}"),
    Write(method="PUT", path="/v1/locations/{location}", command=RegisterLocation, fills={"location": "code"}),
    Write(method="POST", path="/v1/locations/{location}/operate", command=OperateSite),
    Write(method="POST", path="/v1/customers", command=RecordCustomer, created="/v1/customers/{customer}"),
    Write(method="POST", path="/v1/stock/receipts", command=ReceiveStock, bytes_max=COUNT_BYTES_MAX),
    Write(method="POST", path="/v1/stock/adjustments", command=AdjustStock),
    Write(method="POST", path="/v1/stock/counts", command=CountStock, bytes_max=COUNT_BYTES_MAX),
    Write(method="POST", path="/v1/stock/safety", command=SetSafetyStock),
    Write(method="POST", path="/v1/supplies", command=ExpectSupply, created="/v1/supplies/{supply}"),
    Write(method="POST", path="/v1/supplies/{supply}/reschedule", command=RescheduleSupply),
    Write(method="POST", path="/v1/supplies/{supply}/cancel", command=CancelSupply),
    Write(method="POST", path="/v1/reservations", command=ReserveStock, created=""),
    Write(method="DELETE", path="/v1/reservations/{reservation}", command=ReleaseReservation),
    Write(method="POST", path="/v1/cases", command=OpenCase, created="/v1/cases/{case}"),
    Write(method="POST", path="/v1/cases/{case}/act", command=ActOnCase),
    Write(method="POST", path="/v1/cases/{case}/comment", command=CommentOnCase),
    Write(method="POST", path="/v1/cases/{case}/close", command=CloseCase),
    Write(method="POST", path="/v1/actors", command=RegisterActor, created="/v1/actors/{actor}"),
    Write(method="PUT", path="/v1/actors/{actor}", command=RegisterActor),
    Write(method="POST", path="/v1/actors/{actor}/keys", command=IssueKey, created=""),
    Write(method="DELETE", path="/v1/keys/{key}", command=RevokeKey),
    Write(method="PUT", path="/v1/organisation/{node}", command=SetNode, fills={"node": "code"}),
    Write(method="DELETE", path="/v1/organisation/{node}", command=RemoveNode, fills={"node": "code"}),
    Write(method="POST", path="/v1/policies", command=PublishPolicy, created=""),
    Write(method="POST", path="/v1/policies/withdraw", command=WithdrawPolicy),
    *case_rows.WRITES,
    *governance.WRITES,
    *guards.WRITES,
    *master_data.WRITES,
    *people.WRITES,
    *contracts.WRITES,
    *capture.WRITES,
    *sourcing.WRITES,
    *stock_depth.WRITES,
    *stock_control.WRITES,
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/orders",
        summary="List orders, latest placed first",
        query=orders.OrderQuery,
        returns=orders.OrderPage,
        scoped=True,
        answer=lambda connection, asked: orders.find(connection, asked.query, asked.channels, asked.fields("order")),
    ),
    Read(
        path="/v1/orders/{order}",
        summary="Get one order by id or by our number",
        returns=orders.OrderDetail,
        scoped=True,
        answer=lambda connection, asked: orders.order(connection, asked.path["order"], asked.channels, asked.now),
    ),
    Read(
        path="/v1/orders/{order}/timeline",
        summary="Read what happened to an order, oldest first",
        query=After,
        returns=Feed,
        scoped=True,
        answer=order_timeline,
    ),
    Read(
        path="/v1/holds",
        summary="List holds, the oldest first; without a status, the open ones",
        query=read_holds.HoldQuery,
        returns=read_holds.HoldPage,
        scoped=True,
        answer=lambda connection, asked: read_holds.holds(connection, asked.query, asked.now, asked.channels),
    ),
    Read(
        path="/v1/items",
        summary="List items by SKU",
        query=catalogue.ItemQuery,
        returns=catalogue.ItemPage,
        scoped=True,
        answer=lambda connection, asked: catalogue.items(
            connection, asked.query, asked.fields("item"), asked.policies.get(ReadinessPolicy)
        ),
    ),
    Read(
        path="/v1/items/{item}",
        summary="Get one item by id or by any key it answers to",
        returns=catalogue.ItemDetail,
        scoped=True,
        answer=lambda connection, asked: catalogue.item(connection, asked.path["item"]),
    ),
    Read(
        path="/v1/items/{item}/costs",
        summary="List an item's unit costs, the latest effective first",
        returns=Listed[Cost],
        answer=lambda connection, asked: listed(costs(connection, asked.path["item"])),
    ),
    Read(
        path="/v1/items/{item}/movements",
        summary="List an item's stock movements by its id, newest first",
        query=OnePage,
        returns=stock.MovementPage,
        scoped=True,
        answer=lambda connection, asked: stock.movements(
            connection, asked.path["item"], asked.query.cursor, asked.query.limit, asked.sites
        ),
    ),
    Read(
        path="/v1/locations",
        summary="List locations by code",
        query=catalogue.LocationQuery,
        returns=Listed[Location],
        scoped=True,
        answer=lambda connection, asked: listed(catalogue.locations(connection, asked.query, asked.fields("location"))),
    ),
    Read(
        path="/v1/locations/{location}",
        summary="Get one location by code or id",
        returns=Location,
        scoped=True,
        answer=lambda connection, asked: catalogue.location(connection, asked.path["location"]),
    ),
    Read(
        path="/v1/customers",
        summary="List customers, latest recorded first",
        query=parties.CustomerQuery,
        returns=parties.CustomerPage,
        answer=lambda connection, asked: parties.customers(connection, asked.query, asked.fields("customer")),
    ),
    Read(
        path="/v1/customers/{customer}",
        summary="Get one customer by id",
        returns=parties.CustomerDetail,
        answer=lambda connection, asked: parties.customer(connection, asked.path["customer"]),
    ),
    Read(
        path="/v1/availability",
        summary="Tell what may be promised of an item, and why",
        query=WhatWhere,
        returns=Listed[stock.Availability],
        scoped=True,
        answer=availability,
    ),
    Read(
        path="/v1/availability/explain",
        summary="Say why so much of an item is available at a location, now and later",
        query=AtPlace,
        returns=supply_read.Explained,
        scoped=True,
        answer=explained,
    ),
    Read(
        path="/v1/supplies",
        summary="List what is to come, earliest due first",
        query=supply_read.SupplyQuery,
        returns=supply_read.SupplyPage,
        scoped=True,
        answer=lambda connection, asked: supply_read.supplies(connection, asked.query, asked.now, asked.sites),
    ),
    Read(
        path="/v1/supplies/{supply}",
        summary="Get one supply by id",
        returns=supply_read.SupplyRow,
        scoped=True,
        answer=supply,
    ),
    Read(
        path="/v1/stock/waiting",
        summary="List who waits for an item at a location, first come first",
        query=AtPlace,
        returns=Listed[supply_read.WaitingRow],
        scoped=True,
        answer=waiting,
    ),
    Read(
        path="/v1/stock/claims",
        summary="List the newest open claims on an item at a location",
        query=ClaimsAt,
        returns=Listed[stock.OpenClaimRow],
        scoped=True,
        answer=claims_at,
    ),
    Read(
        path="/v1/cases",
        summary="List cases, the highest price per hour first",
        query=cases.CaseQuery,
        returns=cases.CasePage,
        answer=lambda connection, asked: cases.cases(connection, asked.query, asked.now, asked.policies),
    ),
    Read(
        path="/v1/cases/{case}",
        summary="Get one case with what was done and said",
        returns=cases.CaseDetail,
        answer=lambda connection, asked: cases.case(connection, asked.path["case"], asked.now, asked.policies),
    ),
    Read(
        path="/v1/cases/{case}/subjects",
        summary="List what a case concerns: the rows behind its number",
        query=OnePage,
        returns=cases.SubjectPage,
        answer=lambda connection, asked: cases.subjects(
            connection, asked.path["case"], asked.query.cursor, asked.query.limit
        ),
    ),
    Read(
        path="/v1/events",
        summary="Read the journal past a position, in order and without gaps",
        query=AfterEvents,
        returns=Feed,
        answer=events,
    ),
    Read(
        path="/v1/migrations",
        summary="List migration runs, newest first",
        query=migrations.RunQuery,
        returns=migrations.RunList,
        answer=lambda connection, asked: migrations.runs(connection, asked.query),
    ),
    Read(
        path="/v1/migrations/{run}",
        summary="Get one migration run with its sums",
        returns=migrations.RunDetail,
        answer=lambda connection, asked: migrations.run(connection, asked.path["run"]),
    ),
    Read(
        path="/v1/migrations/{run}/rows",
        summary="List the rows of a run that were not plainly applied",
        query=migrations.RowQuery,
        returns=Page[migrations.RunRow],
        answer=lambda connection, asked: migrations.rows(connection, asked.path["run"], asked.query),
    ),
    Read(
        path="/v1/organisation",
        summary="List the organisation's parts by code",
        returns=Listed[Node],
        answer=lambda connection, asked: listed(authority.nodes(connection)),
    ),
    Read(
        path="/v1/policies",
        summary="List the policy documents in force",
        returns=Listed[authority.PolicyInForce],
        answer=lambda connection, asked: listed(authority.policies(connection)),
    ),
    Read(
        path="/v1/policies/{kind}",
        summary="Get one kind of policy documents: what is shipped, and every version that was published",
        returns=authority.PolicyKind,
        answer=lambda connection, asked: authority.policy_kind(
            connection, asked.path["kind"], asked.policies.kinds.get(asked.path["kind"])
        ),
    ),
    Read(
        path="/v1/actors",
        summary="List people and services",
        query=AfterId,
        returns=Listed[authority.ActorDetail],
        right="authority.read",
        answer=lambda connection, asked: listed(authority.actors(connection, asked.query.after)),
    ),
    Read(
        path="/v1/actors/{actor}",
        summary="Get one person or service",
        returns=authority.ActorDetail,
        right="authority.read",
        answer=lambda connection, asked: authority.actor(connection, asked.path["actor"]),
    ),
    Read(
        path="/v1/actors/{actor}/keys",
        summary="List an actor's API keys, without secrets",
        query=AfterId,
        returns=Listed[authority.KeyDetail],
        right="authority.read",
        answer=lambda connection, asked: listed(authority.keys(connection, asked.path["actor"], asked.query.after)),
    ),
    *case_rows.READS,
    *governance.READS,
    *guards.READS,
    *master_data.READS,
    *people.READS,
    *contracts.READS,
    *capture.READS,
    *sourcing.READS,
    *stock_depth.READS,
    *stock_control.READS,
)
