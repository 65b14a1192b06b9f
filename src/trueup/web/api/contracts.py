"""The rows of the API's table about data contracts: import, export, what fails, and what that costs."""

from __future__ import annotations

import msgspec

from trueup.catalogue import breach_read
from trueup.catalogue.contract_import import ImportContract
from trueup.catalogue.quarantine import ReleaseContainment
from trueup.core.database import Connection
from trueup.oversight import breach_exposure
from trueup.web.api.table import Asked, Listed, OnePage, Read, Write, listed


class Exported(msgspec.Struct, frozen=True):
    """A contract as an ODCS 3.1 document. odcs: YAML."""

    name: str
    version: int
    odcs: str


async def exported(connection: Connection, asked: Asked) -> Exported | None:
    """Answer with the contract's document."""
    found = await breach_read.contract(connection, asked.path["contract"], asked.now)
    return Exported(found.name, found.version, found.odcs) if found is not None else None


async def orders(connection: Connection, asked: Asked) -> breach_exposure.TouchedPage:
    """Answer with the open orders that a case's keys touch."""
    entity, subjects = await breach_exposure.failing(connection, asked.path["case"])
    query = asked.query
    return await breach_exposure.touched(connection, entity, subjects, asked.now, query.cursor, query.limit)


WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/contracts", command=ImportContract, created="/v1/contracts/{contract}"),
    Write(method="POST", path="/v1/cases/{case}/release-containment", command=ReleaseContainment),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/contracts",
        summary="List data contracts, with how many keys fail",
        returns=Listed[breach_read.ContractSummary],
        answer=lambda connection, asked: listed(breach_read.contracts(connection, asked.now)),
    ),
    Read(
        path="/v1/contracts/{contract}",
        summary="Get one data contract with its rules' last results",
        returns=breach_read.ContractDetail,
        answer=lambda connection, asked: breach_read.contract(connection, asked.path["contract"], asked.now),
    ),
    Read(
        path="/v1/contracts/{contract}/odcs",
        summary="Export a data contract as an ODCS 3.1 document",
        returns=Exported,
        answer=exported,
    ),
    Read(
        path="/v1/breaches",
        summary="List the keys that fail a contract's rule, oldest first",
        query=breach_read.BreachQuery,
        returns=breach_read.BreachPage,
        answer=lambda connection, asked: breach_read.breaches(connection, asked.query, asked.now),
    ),
    Read(
        path="/v1/breaches/{case}/orders",
        summary="List the open orders that a case's keys touch, the most money first",
        query=OnePage,
        returns=breach_exposure.TouchedPage,
        answer=orders,
    ),
)
