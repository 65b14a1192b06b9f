"""What a benchmark reports, and how CPU time is taken: ours, the database's and the load generator's apart."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, kw_only=True):
    """One measured figure.

    figure, unit: e.g. 1820 orders/s. limit: what the machine could do at most in the same run, in the same unit.
    ratio: figure / limit. p50_ms, p99_ms: latencies. peak_mb: of our own process. cpu_us_per_unit: by whom.
    target, met: what was promised, and whether this run kept it. beside: further figures of the same run.
    """

    name: str
    figure: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    peak_mb: float | None = None
    cpu_us_per_unit: dict[str, float] = {}
    target: str = ""
    met: bool | None = None
    beside: dict[str, float] = {}


class Latencies(msgspec.Struct):
    """What a load run saw.

    done: requests answered as wished after the warm-up, in `seconds`, each with its milliseconds. failed: answered
    otherwise. sent: all of them, the warm-up's included, for which `cpu_seconds` of the load generator were used.
    """

    done: int
    failed: int
    sent: int
    seconds: float
    milliseconds: list[float]
    cpu_seconds: float

    def per_second(self) -> float:
        """Return the rate of requests answered as wished."""
        return self.done / self.seconds if self.seconds else 0.0

    def percentile(self, hundredth: int) -> float:
        """Return a percentile of the latencies in milliseconds."""
        if not self.milliseconds:
            return 0.0
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, len(ordered) * hundredth // 100)]


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds a process and all its descendants have used, those that ended included.

    On Linux from /proc to 10 ms; elsewhere from `ps`, to its resolution.
    """
    if not Path("/proc/self/stat").exists():
        return _cpu_from_ps(root)
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in [root, *descendants(root)]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / ticks


def descendants(root: int) -> list[int]:
    """Return the ids of all processes below one."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in listed.splitlines():
        pid, parent = (int(word) for word in line.split())
        children.setdefault(parent, []).append(pid)
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def peak_mb(pid: int) -> float | None:
    """Return the most memory a process held so far in MB (Linux)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return None


def postmaster(data: Path) -> int:
    """Return the process id of the embedded server."""
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def machine() -> dict[str, str]:
    """Describe the machine the figures are from."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def median(values: Sequence[float]) -> float:
    """Return the median; of nothing, zero."""
    return statistics.median(values) if values else 0.0


def _cpu_from_ps(root: int) -> float:
    pids = ",".join(str(pid) for pid in [root, *descendants(root)])
    listed = subprocess.run(["ps", "-o", "time=", "-p", pids], capture_output=True, text=True, check=False).stdout
    total = 0.0
    for line in listed.split():
        seconds = 0.0
        for part in line.replace("-", ":").split(":"):
            seconds = seconds * 60 + float(part)
        total += seconds
    return total
