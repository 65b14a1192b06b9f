"""The rows of the API's table about where orders come from: sourcing, fulfilment orders, queues and runs."""

from __future__ import annotations

from trueup.core.database import Connection
from trueup.orders import read as orders
from trueup.sourcing import read as sourcing
from trueup.sourcing import read_decisions, read_waiting
from trueup.sourcing.allocate import AllocateUnits, ReleaseAllocation
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.parts import MergeParts, MovePart, SplitPart
from trueup.sourcing.reject import RejectPart
from trueup.web.api.table import Asked, Listed, Read, Write, listed

_PART = "/v1/orders/{order}/fulfilment-orders/{fulfilment_order}"


async def decisions(connection: Connection, asked: Asked) -> Listed[read_decisions.DecisionRow] | None:
    """Answer with an order's decisions; None when there is no such order."""
    found = await orders.order(connection, asked.path["order"], asked.channels)
    return await listed(read_decisions.decisions(connection, found.id)) if found is not None else None


async def parts_of_order(connection: Connection, asked: Asked) -> Listed[sourcing.PartDetail] | None:
    """Answer with an order's fulfilment orders; None when there is no such order."""
    found = await orders.order(connection, asked.path["order"], asked.channels)
    return await listed(sourcing.parts_of_order(connection, found.id)) if found is not None else None


async def orders_of_run(connection: Connection, asked: Asked) -> read_decisions.RunOrderPage | None:
    """Answer with a run's orders; None when there is no such run."""
    run = await sourcing.run(connection, asked.path["run"])
    return await read_decisions.run_orders(connection, run.id, asked.query) if run is not None else None


WRITES: tuple[Write, ...] = (
    Write(
        method="POST", path="/v1/orders/{order}/source", command=AssignOrder,
        fixed={"mode": "demand", "plan": (), "run": None},
    ),
    Write(method="POST", path="/v1/orders/{order}/allocations", command=AllocateUnits, if_match="version"),
    Write(method="POST", path="/v1/orders/{order}/allocations/release", command=ReleaseAllocation, if_match="version"),
    Write(method="POST", path=f"{_PART}/reject", command=RejectPart),
    Write(method="POST", path=f"{_PART}/move", command=MovePart, if_match="version"),
    Write(method="POST", path=f"{_PART}/split", command=SplitPart, if_match="version"),
    Write(method="POST", path=f"{_PART}/merge", command=MergeParts, if_match="version"),
)  # fmt: skip

READS: tuple[Read, ...] = (
    Read(
        path="/v1/orders/{order}/sourcing",
        summary="Say why an order comes from where it does: every decision with its candidates, newest first",
        returns=Listed[read_decisions.DecisionRow],
        scoped=True,
        answer=decisions,
    ),
    Read(
        path="/v1/orders/{order}/fulfilment-orders",
        summary="List an order's fulfilment orders, oldest first",
        returns=Listed[sourcing.PartDetail],
        scoped=True,
        answer=parts_of_order,
    ),
    Read(
        path="/v1/fulfilment-orders",
        summary="List fulfilment orders, newest first",
        query=sourcing.PartQuery,
        returns=sourcing.PartPage,
        scoped=True,
        answer=lambda connection, asked: sourcing.parts(connection, asked.query, asked.sites),
    ),
    Read(
        path="/v1/fulfilment-orders/{fulfilment_order}",
        summary="Get one fulfilment order by id",
        returns=sourcing.PartDetail,
        scoped=True,
        answer=lambda connection, asked: sourcing.part(connection, asked.path["fulfilment_order"], asked.sites),
    ),
    Read(
        path="/v1/sourcing/queues",
        summary="List the orders that wait in a queue for a person, longest waiting first",
        query=sourcing.QueueQuery,
        returns=sourcing.QueuePage,
        scoped=True,
        answer=lambda connection, asked: sourcing.queued(connection, asked.query, asked.channels),
    ),
    Read(
        path="/v1/sourcing/waiting",
        summary="List the orders that are not allocated in full, first placed first",
        query=read_waiting.WaitingQuery,
        returns=read_waiting.WaitingPage,
        scoped=True,
        answer=lambda connection, asked: read_waiting.waiting(connection, asked.query, asked.channels),
    ),
    Read(
        path="/v1/sourcing/runs",
        summary="List brokering runs, the latest first, with their cost beside the sequential rules'",
        query=sourcing.RunQuery,
        returns=sourcing.RunPage,
        answer=lambda connection, asked: sourcing.runs(connection, asked.query),
    ),
    Read(
        path="/v1/sourcing/runs/{run}",
        summary="Get one brokering run by id: its cost by kind, beside the sequential rules' on the same orders",
        returns=sourcing.Run,
        answer=lambda connection, asked: sourcing.run(connection, asked.path["run"]),
    ),
    Read(
        path="/v1/sourcing/runs/{run}/orders",
        summary="List the orders that a brokering run decided, each with its decision",
        query=read_decisions.RunOrderQuery,
        returns=read_decisions.RunOrderPage,
        answer=orders_of_run,
    ),
)
