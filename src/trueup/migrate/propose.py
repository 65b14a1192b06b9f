"""Propose a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate.mapping import Mapping
from trueup.migrate.sources import SourceFile

if TYPE_CHECKING:
    import duckdb


class Proposal(msgspec.Struct, frozen=True):
    """A proposed mapping."""

    mapping: Mapping


def propose(connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> Proposal:
    """Propose."""
    return Proposal(Mapping())
