"""The rows of the API's table about who decides: changes, their votes, and the register of decision rights."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.authority import change_read, drift
from trueup.authority.apply import ApplyChange, EscalateChange, RevertChange
from trueup.authority.approve import ApproveChange, RejectChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.propose import EditChange, ProposeChange, WithdrawChange
from trueup.catalogue.read_quality import Sample, sample
from trueup.core.database import Connection
from trueup.orders.read_adoptions import InFlight
from trueup.oversight.change_impact import KeptImpact, in_flight_of, kept_impact
from trueup.oversight.conflicts import change_seen
from trueup.web.api.table import Asked, Listed, Read, Write, listed


class KeyQuery(msgspec.Struct, frozen=True):
    """Which key. key: `kind.field` of a policy, `item.field`...; without it, every one."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


async def _kept(connection: Connection, asked: Asked) -> KeptImpact | None:
    """Answer with the replay of the content as it is; None where there is no change, or it was not replayed."""
    known = await change_read.change(connection, asked.path["change"])
    return await kept_impact(connection, known[0].id, known[0].digest) if known is not None else None


async def _sample(connection: Connection, asked: Asked) -> Sample | None:
    """Answer with the rows drawn for who asks; None where there is no change, or it amends no master data."""
    known = await change_read.change(connection, asked.path["change"])
    return await sample(connection, known[0], asked.actor) if known is not None else None


async def _in_flight(connection: Connection, asked: Asked) -> Listed[InFlight] | None:
    """Answer with what a change means for orders in flight; None where there is no change."""
    known = await change_read.change(connection, asked.path["change"])
    return Listed(await in_flight_of(connection, known[0].edits)) if known is not None else None


WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/governance", command=DeclareGovernance, created=""),
    Write(method="POST", path="/v1/changes", command=ProposeChange, created="/v1/changes/{change}"),
    Write(method="PUT", path="/v1/changes/{change}", command=EditChange),
    Write(method="POST", path="/v1/changes/{change}/approve", command=ApproveChange),
    Write(method="POST", path="/v1/changes/{change}/reject", command=RejectChange),
    Write(method="POST", path="/v1/changes/{change}/withdraw", command=WithdrawChange),
    Write(method="POST", path="/v1/changes/{change}/apply", command=ApplyChange),
    Write(method="POST", path="/v1/changes/{change}/revert", command=RevertChange),
    Write(method="POST", path="/v1/changes/{change}/escalate", command=EscalateChange),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/changes",
        summary="List changes, the latest asked first",
        query=change_read.ChangeQuery,
        returns=change_read.ChangePage,
        answer=lambda connection, asked: change_read.find_changes(connection, asked.query, asked.now),
    ),
    Read(
        path="/v1/changes/{change}",
        summary="Get one change: what differs, whose yes is missing, and what stands in its way",
        returns=change_read.ChangeDetail,
        answer=lambda connection, asked: change_seen(connection, asked.path["change"], asked.policies, asked.now),
    ),
    Read(
        path="/v1/changes/{change}/sample",
        summary="Get the rows of a change that are drawn for who asks, and the word that their approval brings",
        returns=Sample,
        answer=_sample,
    ),
    Read(
        path="/v1/changes/{change}/impact",
        summary="Get the replay that was run last for a change as it is now",
        returns=KeptImpact,
        answer=_kept,
    ),
    Read(
        path="/v1/changes/{change}/in-flight",
        summary="Say how many orders in flight a change lets walk by another version of their workflow",
        returns=Listed[InFlight],
        answer=_in_flight,
    ),
    Read(
        path="/v1/decisions",
        summary="Say who decides each setting, governed field and role",
        query=KeyQuery,
        returns=Listed[change_read.DecidedBy],
        answer=lambda connection, asked: listed(
            change_read.who_decides(connection, asked.policies, asked.now, asked.query.key)
        ),
    ),
    Read(
        path="/v1/drift",
        summary="List the policies in force that no published version explains",
        returns=Listed[drift.Drift],
        answer=lambda connection, asked: listed(drift.drifts(connection)),
    ),
)
