"""When a broken rule counts as caught: an assertion of a test fails, or a constraint holds. A crash is no catch."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.requests import rows

TESTS = Path(__file__).parent


def is_catch(error: AssertionError) -> bool:
    """Tell whether a test said so, and not the product about itself."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).is_relative_to(TESTS)


@asynccontextmanager
async def caught(url: str) -> AsyncIterator[None]:
    """Pass where the example inside fails by an assertion of a test; fail where it holds, or only something crashed.

    A command that crashed is set aside, and looks like a refusal to the example; those that a constraint of the
    database stopped are caught by it.
    """
    try:
        yield
    except AssertionError as error:
        if not is_catch(error):
            raise
    else:
        raise AssertionError("nobody noticed that a rule is broken")
    crashed = "select name, error from quarantined_command where error not like '%% violates %% constraint %%'"
    assert await rows(url, crashed) == [], "a command crashed"


def asked_of(proof: Callable[..., Any], there: dict[str, Any]) -> dict[str, Any]:
    """Return, of what is there, what a test asks for by the names of its parameters."""
    return {name: there[name] for name in proof.__code__.co_varnames[: proof.__code__.co_argcount]}


async def noticed(proof: Callable[..., Awaitable[None]], **there: Any) -> None:
    """Run a test on what is there, its `url` among it, and pass only where it notices that a rule is broken."""
    async with caught(there["url"]):
        await proof(**asked_of(proof, there))
