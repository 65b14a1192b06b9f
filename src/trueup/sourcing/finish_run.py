"""Record how a brokering run ended."""

from __future__ import annotations

from typing import Any

import msgspec

from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb
from trueup.sourcing.state import RunFinished


class FinishRun(Command, frozen=True, kw_only=True):
    """Record how a brokering run ended. cost, sequential_cost: of the plan and of the rules, in `currency`."""

    run: str
    orders: int
    assigned: int
    fallen_back: int
    cost: Quantity
    sequential_cost: Quantity
    currency: str
    seconds: Quantity
    decided_by: str
    report: dict[str, Any] = msgspec.field(default_factory=dict)


def finish_run(state: State, command: FinishRun, context: Context) -> Decision:
    """Keep the run's report. Source: issue "brokering run"; nothing of it is decided here."""
    values = {name: getattr(command, name) for name in command.__struct_fields__}
    return Accepted([RunFinished(**values, at=context.now)], command.run, {"run": command.run})


VERBS = (Verb(name="sourcing.finish_run", command=FinishRun, decide=finish_run),)
