"""The command line as a terminal runs it, in this process and on the test's database."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from typer.testing import CliRunner

from trueup.cli.main import app


class Told(NamedTuple):
    """How a command ended: its exit code, standard output, and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run(url: str, *arguments: str, given: str | None = None) -> Told:
    """Run a command on this database; what Trueup raises on purpose comes out as `main` shows it."""
    return await asyncio.to_thread(told, *arguments, "--database", url, given=given)


def told(*arguments: str, given: str | None = None) -> Told:
    result = CliRunner().invoke(app, list(arguments), input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Told(result.exit_code, result.stdout, result.stderr)
