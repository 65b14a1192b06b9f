"""The rows of the API's table about buckets, lots, transfers, count sessions and kits."""

from __future__ import annotations

from trueup.core.database import Connection
from trueup.stock import count_read, lot_read, transfer_read
from trueup.stock.as_of import balances_as_of
from trueup.stock.buckets import RestateStock
from trueup.stock.counting import ApproveCount, CloseCount, OpenCount, RecordCount
from trueup.stock.kits import AssembleKits, DisassembleKits
from trueup.stock.lots import ExpireLots
from trueup.stock.read import StockPage, StockQuery, balances
from trueup.stock.transfer import ReceiveTransfer, ShipTransfer
from trueup.web.api.table import Asked, Read, Write


async def stock(connection: Connection, asked: Asked) -> StockPage:
    """Answer with balances as they are, or as they stood."""
    if asked.query.as_of is not None:
        return await balances_as_of(connection, asked.query, asked.now, asked.sites)
    return await balances(connection, asked.policies, asked.query, asked.now, asked.sites)


WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/stock/restatements", command=RestateStock),
    Write(method="POST", path="/v1/stock/expiries", command=ExpireLots),
    Write(method="POST", path="/v1/stock/assemblies", command=AssembleKits),
    Write(method="POST", path="/v1/stock/disassemblies", command=DisassembleKits),
    Write(method="POST", path="/v1/transfers", command=ShipTransfer, created="/v1/transfers/{transfer}"),
    Write(method="POST", path="/v1/transfers/{transfer}/receipts", command=ReceiveTransfer),
    Write(method="POST", path="/v1/count-sessions", command=OpenCount, created="/v1/count-sessions/{count}"),
    Write(method="POST", path="/v1/count-sessions/{count}/entries", command=RecordCount),
    Write(method="POST", path="/v1/count-sessions/{count}/approvals", command=ApproveCount),
    Write(method="POST", path="/v1/count-sessions/{count}/close", command=CloseCount),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/stock",
        summary="List balances by SKU and location, as they are or as they stood",
        query=StockQuery,
        returns=StockPage,
        answer=stock,
        scoped=True,
    ),
    Read(
        path="/v1/stock/lots",
        summary="List lots and serial numbers, first expired first",
        query=lot_read.LotQuery,
        returns=lot_read.LotPage,
        answer=lambda connection, asked: lot_read.lots(connection, asked.query, asked.now, asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/transfers",
        summary="List transfers between locations, newest first",
        query=transfer_read.TransferQuery,
        returns=transfer_read.TransferPage,
        answer=lambda connection, asked: transfer_read.transfers(connection, asked.query, asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/transfers/{transfer}",
        summary="Get one transfer with its lines",
        returns=transfer_read.TransferDetail,
        answer=lambda connection, asked: transfer_read.transfer(connection, asked.path["transfer"], asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/count-sessions",
        summary="List count sessions, newest first",
        query=count_read.CountQuery,
        returns=count_read.CountPage,
        answer=lambda connection, asked: count_read.counts(connection, asked.query, asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/count-sessions/{count}",
        summary="Get one count session; a blind one that is open does not tell what the book says",
        returns=count_read.CountDetail,
        answer=lambda connection, asked: count_read.count(connection, asked.path["count"], asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/count-sessions/{count}/variances",
        summary="Get one count session with its variances, for whoever approves them",
        returns=count_read.CountDetail,
        answer=lambda connection, asked: count_read.count(connection, asked.path["count"], asked.sites, tell=True),
        right="stock.approve_count",
        scoped=True,
    ),
)
