"""The rows of the API's table about cases: what can be done about one, and how they stand together."""

from __future__ import annotations

from trueup.authority.for_case import ActForCase
from trueup.cases import notices, read_board, replay
from trueup.cases.merge import MergeCase
from trueup.cases.own import AcknowledgeCase, AssignCase
from trueup.cases.pause import PauseCase, SnoozeCase
from trueup.cases.standing import CaseState
from trueup.core.database import Connection
from trueup.web.api.table import Asked, Listed, Read, Write, listed


async def standing(connection: Connection, asked: Asked) -> CaseState | None:
    """Answer with where a case stood at a moment, replayed from the journal."""
    at = asked.query.at or asked.now
    return await replay.standing_at(connection, asked.path["case"], at, asked.policies)


WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/cases/{case}/acknowledge", command=AcknowledgeCase),
    Write(method="POST", path="/v1/cases/{case}/assign", command=AssignCase),
    Write(method="POST", path="/v1/cases/{case}/pause", command=PauseCase),
    Write(method="POST", path="/v1/cases/{case}/snooze", command=SnoozeCase),
    Write(method="POST", path="/v1/cases/{case}/merge", command=MergeCase),
    Write(method="POST", path="/v1/cases/{case}/act-for", command=ActForCase),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/cases/{case}/standing",
        summary="Tell where a case stood at a moment, replayed from the journal",
        query=replay.AsOf,
        returns=CaseState,
        answer=standing,
    ),
    Read(
        path="/v1/case-board",
        summary="List the rungs that open cases stand on, with their sums and the dearest cases",
        returns=Listed[read_board.BoardColumn],
        answer=lambda connection, asked: listed(read_board.board(connection, asked.now, asked.policies)),
    ),
    Read(
        path="/v1/case-kinds",
        summary="List the kinds of open cases, the dearest first",
        returns=Listed[read_board.KindRow],
        answer=lambda connection, asked: listed(read_board.kinds(connection)),
    ),
    Read(
        path="/v1/case-pareto",
        summary="Tell what cases cost by root cause",
        query=read_board.ParetoQuery,
        returns=Listed[read_board.ParetoRow],
        answer=lambda connection, asked: listed(read_board.pareto(connection, asked.query, asked.now, asked.policies)),
    ),
    Read(
        path="/v1/case-notices",
        summary="List who was told of which case and rung, and how that ended, newest first",
        query=notices.NoticeQuery,
        returns=notices.NoticePage,
        answer=lambda connection, asked: notices.notices(connection, asked.query),
    ),
)
