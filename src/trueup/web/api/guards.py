"""The rows of the API's table about what stands in the way: guards, writers, overrides; and the audit of it all."""

from __future__ import annotations

from trueup.authority import audit, overrides_read, writers_read
from trueup.authority.overrides import AskOverride, DeclineOverride, EndOverride, GrantOverride
from trueup.authority.writers import AssignWriter, EndWriter
from trueup.core import journal
from trueup.core.paging import Page
from trueup.core.policy import Policies
from trueup.oversight import guard_costs
from trueup.web.api.table import Listed, Read, Write, listed

WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/writers", command=AssignWriter, created=""),
    Write(method="POST", path="/v1/writers/end", command=EndWriter),
    Write(method="POST", path="/v1/overrides", command=AskOverride, created="/v1/overrides/{override}"),
    Write(method="POST", path="/v1/overrides/{override}/grant", command=GrantOverride),
    Write(method="POST", path="/v1/overrides/{override}/decline", command=DeclineOverride),
    Write(method="POST", path="/v1/overrides/{override}/end", command=EndOverride),
)


async def _rules(policies: Policies) -> tuple[overrides_read.LentRule, ...]:
    return overrides_read.lent_rules(policies)


READS: tuple[Read, ...] = (
    Read(
        path="/v1/guards",
        summary="Say what each guard and rule cost: acts stopped, how long they waited, and the orders' money",
        query=guard_costs.CostQuery,
        returns=Listed[guard_costs.GuardCost],
        answer=lambda connection, asked: listed(guard_costs.guard_costs(connection, asked.query.days, asked.now)),
    ),
    Read(
        path="/v1/guards/stops",
        summary="List the acts that a guard or rule stopped, the newest first",
        query=guard_costs.StopQuery,
        returns=Page[guard_costs.StopRow],
        answer=lambda connection, asked: guard_costs.stops(connection, asked.query, asked.now),
    ),
    Read(
        path="/v1/writers",
        summary="List which system writes which cohort, the last registered first",
        query=writers_read.WriterQuery,
        returns=Page[writers_read.WriterRow],
        answer=lambda connection, asked: writers_read.writers(connection, asked.policies, asked.query, asked.now),
    ),
    Read(
        path="/v1/writers/who",
        summary="Say which system writes one order, item, customer or stock now",
        query=writers_read.WhoWrites,
        returns=writers_read.WriterNow,
        answer=lambda connection, asked: writers_read.who_writes(connection, asked.policies, asked.query, asked.now),
    ),
    Read(
        path="/v1/overrides",
        summary="List overrides, the last asked for first",
        query=overrides_read.OverrideQuery,
        returns=Page[overrides_read.OverrideRow],
        answer=lambda connection, asked: overrides_read.overrides(connection, asked.query, asked.now),
    ),
    Read(
        path="/v1/overrides/rules",
        summary="List the rules that can be overridden: for what, how long, from which price, and who decides",
        returns=Listed[overrides_read.LentRule],
        answer=lambda connection, asked: listed(_rules(asked.policies)),
    ),
    Read(
        path="/v1/overrides/debt",
        summary="Say what each department's overrides cost a day, and what they cost on the last days",
        query=overrides_read.DebtQuery,
        returns=Listed[overrides_read.Debt],
        answer=lambda connection, asked: listed(
            overrides_read.debts(connection, asked.policies, asked.query, asked.now)
        ),
    ),
    Read(
        path="/v1/overrides/{override}",
        summary="Get one override: its terms, who decides it, and each time it let something pass",
        returns=overrides_read.OverrideDetail,
        answer=lambda connection, asked: overrides_read.override(
            connection, asked.policies, asked.path["override"], asked.now
        ),
    ),
    Read(
        path="/v1/audit",
        summary="List who did what, the newest first",
        query=audit.AuditQuery,
        returns=Page[audit.Act],
        answer=lambda connection, asked: audit.acts(connection, asked.query),
    ),
    Read(
        path="/v1/audit/journal",
        summary="Verify the journal: its positions, seals and chain; it reads all of it",
        returns=journal.Verified,
        answer=lambda connection, asked: journal.verify(connection),
    ),
    Read(
        path="/v1/audit/{subject}",
        summary="Say who asked for a change or an override, who decided it, and who could have and did not",
        returns=audit.Accountable,
        answer=lambda connection, asked: audit.accountable(connection, asked.path["subject"], asked.now),
    ),
)
