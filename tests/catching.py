"""When a broken rule counts as caught: an assertion of a test fails, or a constraint holds. A crash is no catch."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

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
