"""A shop that lived through a window of days, for tests of replays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.conftest import Databases
from tests.replayed import Past, living


@pytest.fixture
async def past(databases: Databases) -> AsyncIterator[Past]:
    """A shop that lived through the window, and what came after."""
    made = await databases.once(living)
    lived = databases.copied(made.lived)
    yield msgspec.structs.replace(made, lived=lived)
    databases.drop(lived)
