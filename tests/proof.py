"""What a test asks of a database when it is done: every check, the journal's seals, and the rebuild from events."""

from __future__ import annotations

from trueup import house
from trueup.core import journal
from trueup.core.checks import run_checks
from trueup.core.database import connect
from trueup.core.rebuild import rebuilt_differences


async def prove(url: str) -> None:
    """Fail when a check finds something, the journal does not verify, or folding it does not give the tables."""
    problems = await problems_of(url)
    assert not problems, "\n".join(problems)


async def problems_of(url: str) -> list[str]:
    """Return everything that is wrong with a database, in words."""
    connection = await connect(url)
    try:
        found = [
            f"{result.name}: {result.failing} {result.sample[0]}"
            for result in await run_checks(connection, house.CHECKS)
            if result.failing
        ]
        await journal.seal(connection)
        found += [f"journal: {broken}" for broken in (await journal.verify(connection)).breaks]
        found += [f"rebuild: {broken}" for broken in await rebuilt_differences(connection, house.build())]
    finally:
        await connection.close()
    return found
