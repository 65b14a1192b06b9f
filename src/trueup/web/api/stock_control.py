"""The rows of the API's table about freezes, stock feeds, channel pools, and what a channel may claim."""

from __future__ import annotations

import msgspec

from trueup.core.database import Connection
from trueup.stock import feed_read, freeze_read, pools
from trueup.stock.feed import ReportStockFeed
from trueup.stock.feed_settle import CorrectFeedRow, DiscardFeedRow, RejectFeed, ReleaseFeed
from trueup.stock.freeze import AnnounceFreeze, CancelFreeze, StartFreeze, ThawFreeze
from trueup.stock.pools import SetPool
from trueup.web.api.table import COUNT_BYTES_MAX, Asked, Listed, OnePage, Read, Write, listed


class WhatWhereWho(msgspec.Struct, frozen=True):
    """An item by any of its keys, a location by its code, and the channel that wants it."""

    sku: str
    location: str
    channel: str = ""


class PoolQuery(msgspec.Struct, frozen=True):
    """Which pools: of one location, of one channel."""

    location: str | None = None
    channel: str | None = None


async def claimable(connection: Connection, asked: Asked) -> pools.Claimable | None:
    """Answer with what a channel may claim, and why."""
    query = asked.query
    if asked.sites is not None and query.location not in asked.sites:
        return None
    return await pools.claimable(connection, asked.policies, query.sku, query.location, query.channel, asked.now)


WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/freezes", command=AnnounceFreeze, created="/v1/freezes/{freeze}"),
    Write(method="POST", path="/v1/freezes/{freeze}/start", command=StartFreeze),
    Write(method="POST", path="/v1/freezes/{freeze}/thaw", command=ThawFreeze),
    Write(method="POST", path="/v1/freezes/{freeze}/cancel", command=CancelFreeze),
    Write(method="POST", path="/v1/stock/feeds", command=ReportStockFeed, bytes_max=COUNT_BYTES_MAX),
    Write(method="POST", path="/v1/stock/feeds/{feed}/release", command=ReleaseFeed),
    Write(method="POST", path="/v1/stock/feeds/{feed}/reject", command=RejectFeed),
    Write(method="POST", path="/v1/stock/feeds/{feed}/corrections", command=CorrectFeedRow),
    Write(method="POST", path="/v1/stock/feeds/{feed}/discards", command=DiscardFeedRow),
    Write(method="POST", path="/v1/stock/pools", command=SetPool),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/freezes",
        summary="List freezes of movements, last announced first",
        query=freeze_read.FreezeQuery,
        returns=freeze_read.FreezePage,
        answer=lambda connection, asked: freeze_read.freezes(connection, asked.query, asked.now, asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/freezes/{freeze}",
        summary="Get one freeze with the movements that wait for its thaw",
        returns=freeze_read.FreezeDetail,
        answer=lambda connection, asked: freeze_read.freeze(connection, asked.path["freeze"], asked.now, asked.sites),
        scoped=True,
    ),
    Read(
        path="/v1/freezes/{freeze}/balances",
        summary="List the balances a freeze kept at its start, by SKU",
        query=OnePage,
        returns=freeze_read.SnapshotPage,
        answer=lambda connection, asked: freeze_read.snapshot(
            connection, asked.path["freeze"], asked.query.cursor, asked.query.limit, asked.sites
        ),
        scoped=True,
    ),
    Read(
        path="/v1/stock/feeds",
        summary="List stock feeds with how their rows ended, last received first",
        query=feed_read.FeedQuery,
        returns=feed_read.FeedPage,
        answer=lambda connection, asked: feed_read.feeds(connection, asked.query),
    ),
    Read(
        path="/v1/stock/feeds/{feed}",
        summary="Get one stock feed",
        returns=feed_read.FeedSummary,
        answer=lambda connection, asked: feed_read.feed(connection, asked.path["feed"]),
    ),
    Read(
        path="/v1/stock/feed-rows",
        summary="List rows of stock feeds in quarantine",
        query=feed_read.RowQuery,
        returns=feed_read.RowPage,
        answer=lambda connection, asked: feed_read.quarantined_rows(connection, asked.query),
    ),
    Read(
        path="/v1/stock/pools",
        summary="List channel pools",
        query=PoolQuery,
        returns=Listed[pools.PoolRow],
        answer=lambda connection, asked: listed(pools.pools(connection, asked.query.location, asked.query.channel)),
    ),
    Read(
        path="/v1/claimable",
        summary="Tell what a channel may claim of an item at a location, and why",
        query=WhatWhereWho,
        returns=pools.Claimable,
        answer=claimable,
        scoped=True,
    ),
)
