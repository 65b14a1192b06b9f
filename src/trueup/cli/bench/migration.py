"""`bench migrate`: the real export of a shop, from profile to report, through the door."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trueup.cli.bench.measure import Figure, peak_mb
from trueup.core.errors import TrueupError

_EXPORT = "online_retail/online_retail_dev.parquet"


def migration() -> list[Figure]:
    """Run `trueup migrate run` on the 320,705 lines of Online Retail. Raises TrueupError where the file is absent."""
    source = Path(os.environ.get("TRUEUP_DATA") or "../shared/data") / _EXPORT
    if not source.exists():
        raise TrueupError(f"bench migrate needs {_EXPORT} below TRUEUP_DATA or ../shared/data; it is not shipped")
    with tempfile.TemporaryDirectory(prefix="trueup-bench-") as home:
        command = [sys.executable, "-m", "trueup.cli.main", "migrate", "run", "--source", str(source),
                   "--mapping", "online-retail", "--home", home, "--json"]  # fmt: skip
        with (Path(home) / "report.json").open("w+") as output, (Path(home) / "errors").open("w+") as errors:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=output, stderr=errors)
            peak = _watch(process)
            seconds = time.perf_counter() - began
            output.seek(0)
            errors.seek(0)
            report, complaint = output.read(), errors.read()
    if process.returncode:
        raise TrueupError(f"the migration failed: {complaint[-1500:]}")
    told = json.loads(report)
    lines = int(told["rows"]["in"])
    loading = float(told.get("seconds", {}).get("load") or seconds)
    return [
        Figure(
            name="migrate",
            figure=lines / loading,
            unit="lines/s through the door",
            limit=lines / seconds,
            peak_mb=peak,
            target="under 60 s and 1.5 GB, at least 8,000 lines/s through the door",
            met=seconds < 60 and peak < 1536 and lines / loading >= 8000,
            beside={"seconds, profile to report": seconds, "lines": float(lines)},
        )
    ]


def _watch(process: subprocess.Popen[bytes]) -> float:
    """Return the most memory in MB that the process held (the database's apart, which runs on its own)."""
    most = 0.0
    while process.poll() is None:
        most = max(most, peak_mb(process.pid) or 0.0)
        time.sleep(0.2)
    return most
