"""Stage a source: from its files to a validated staging area in one DuckDB file. The room's way in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate.forbidden import refuse_secrets
from trueup.migrate.mapping import Mapping
from trueup.migrate.profile import FileProfile, profile
from trueup.migrate.propose import Proposal, propose
from trueup.migrate.repair import repair_tables
from trueup.migrate.sources import SourceFile, ingest, tables_of
from trueup.migrate.typed import create_macros
from trueup.migrate.validate import validate

if TYPE_CHECKING:
    import duckdb

Tick = Callable[[str, int, int], None]
MEMORY_LIMIT = "600MB"


class OutcomeCount(msgspec.Struct, frozen=True):
    """How many rows of a file end alike. rule: empty for rows that are applied."""

    file: str
    entity: str
    outcome: str
    rule: str
    rows: int


class Staged(msgspec.Struct, frozen=True):
    """A staging area. path: the DuckDB file, to be opened read-only. proposal: reasons, where the mapping is proposed.

    findings: kind -> rows. The outcomes' rows sum to the rows of the files.
    """

    path: Path
    mapping: Mapping
    files: tuple[SourceFile, ...]
    profile: tuple[FileProfile, ...]
    outcomes: tuple[OutcomeCount, ...]
    findings: dict[str, int]
    proposal: Proposal | None = None

    def rows(self, outcome: str | None = None) -> int:
        """Count the rows with one planned outcome, or all of them."""
        return sum(count.rows for count in self.outcomes if outcome in (None, count.outcome))


def stage(paths: Sequence[Path], mapping: Mapping | None, workspace: Path, *, tick: Tick | None = None) -> Staged:
    """Read, profile, map and validate the files below `paths`; without a mapping, one is proposed from them.

    tick: called with (step, done, of). Raises SourceRefused, NothingToRead or MappingRefused in one message; nothing is
    left in the workspace then.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    target = workspace / "staging.duckdb"
    _remove(target)
    connection = open_staging(target)
    try:
        files = ingest(connection, paths, tick)
        refuse_secrets(connection, files)
        repair_tables(connection, tables_of(files))
        create_macros(connection)
        lock(connection)
        profiles = profile(connection, files, tick)
        proposal = propose(connection, files) if mapping is None else None
        used = proposal.mapping if proposal is not None else mapping or Mapping()
        validate(connection, files, used, tick)
        staged = Staged(target, used, files, profiles, _outcomes(connection), _findings(connection), proposal)
    except BaseException:
        connection.close()
        _remove(target)
        raise
    connection.close()
    return staged


def open_staging(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a staging file for writing, with the memory and threads it may take."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT, "threads": 2, "temp_directory": str(path.with_suffix(".spill")),
        "python_enable_replacements": False,
    }  # fmt: skip
    connection = duckdb.connect(str(path), config=config)
    connection.execute("set timezone = 'UTC'")
    return connection


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Shut the connection off from files and the network, for good; from here on users' SQL may run."""
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _outcomes(connection: duckdb.DuckDBPyConnection) -> tuple[OutcomeCount, ...]:
    found = connection.execute(
        "select file, entity, outcome, rule, count(*) from row_outcome group by all order by all"
    ).fetchall()
    return tuple(OutcomeCount(*row) for row in found)


def _findings(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return dict(connection.execute("select kind, count(*) from finding group by kind order by kind").fetchall())


def _remove(target: Path) -> None:
    for path in (target, target.with_suffix(".duckdb.wal")):
        path.unlink(missing_ok=True)
