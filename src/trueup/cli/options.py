"""Options that several commands share, and the settings they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option("--home", help="Folder of the embedded PostgreSQL [TRUEUP_HOME].")]
Database = Annotated[str | None, typer.Option("--database", help="URL of your own PostgreSQL 16+ [TRUEUP_DATABASE].")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on [TRUEUP_HOST, 127.0.0.1].")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on [TRUEUP_PORT, 8080].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
