"""The rows of the API's table about capture: drafts and quotes, other addresses, and tax as it is invoiced."""

from __future__ import annotations

from trueup.orders import read_drafts as drafts
from trueup.orders.commit_tax import CommitTax, ReverseTax
from trueup.orders.draft import ConfirmDraft, DiscardDraft, SaveDraft
from trueup.orders.revise import ChangeAddress
from trueup.web.api.table import Read, Write

WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/orders/{order}/address", command=ChangeAddress, if_match="version"),
    Write(method="POST", path="/v1/orders/{order}/taxes", command=CommitTax),
    Write(method="POST", path="/v1/orders/{order}/taxes/reverse", command=ReverseTax),
    Write(method="POST", path="/v1/drafts", command=SaveDraft, created="/v1/drafts/{draft}"),
    Write(method="PUT", path="/v1/drafts/{draft}", command=SaveDraft, if_match="version"),
    Write(
        method="POST",
        path="/v1/drafts/{draft}/confirm",
        command=ConfirmDraft,
        created="/v1/orders/{order}",
        if_match="version",
    ),
    Write(method="DELETE", path="/v1/drafts/{draft}", command=DiscardDraft),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/drafts",
        summary="List drafts and quotes, latest changed first",
        query=drafts.DraftQuery,
        returns=drafts.DraftPage,
        scoped=True,
        answer=lambda connection, asked: drafts.find(connection, asked.query, asked.now, asked.channels),
    ),
    Read(
        path="/v1/drafts/{draft}",
        summary="Get one draft by id or number, with what it holds",
        returns=drafts.DraftDetail,
        scoped=True,
        answer=lambda connection, asked: drafts.draft(connection, asked.path["draft"], asked.now, asked.channels),
    ),
)
