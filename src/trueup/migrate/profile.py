"""Profile raw tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate.sources import SourceFile

if TYPE_CHECKING:
    import duckdb


class FileProfile(msgspec.Struct, frozen=True):
    """A file's profile."""

    name: str


def profile(
    connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], tick: object = None
) -> tuple[FileProfile, ...]:
    """Profile."""
    return ()
