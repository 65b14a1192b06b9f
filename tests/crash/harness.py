"""What a crash test needs: a server that can be killed in several ways, and a load that tells its answers.

`Server` owns a throw-away PostgreSQL; `Load` runs any command line that writes one line per acknowledged thing to its
standard output, and keeps each line in a file before it counts. Both end only processes that they started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from trueup.core import database, embedded

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A PostgreSQL of the test's own, in a throw-away home."""

    def __init__(self, home: Path, *, unsafe: bool = False, settings: dict[str, str] | None = None) -> None:
        self.home = home
        self._unsafe = unsafe
        self._settings = settings or {}
        self.start()

    def start(self) -> None:
        """Start, or start again: recovery runs where there was a crash."""
        self.running = embedded.start(
            self.home, fast_and_unsafe=self._unsafe, shared_buffers_mb=128, settings=self._settings
        )

    def database(self, name: str) -> str:
        """Make a migrated database; return its URL."""
        database.create_database(self.running.url("postgres"), name)
        database.migrate(self.running.url(name))
        return self.running.url(name)

    def postmaster(self) -> int:
        """Return the server's process id."""
        return int((self.running.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def terminate_backends(self) -> None:
        """End every session of ours, as an administrator would."""
        with psycopg.connect(self.running.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trueup'"
            )

    def checkpoint(self) -> None:
        """Make everything up to now durable, whatever the settings say."""
        with psycopg.connect(self.running.url("postgres"), autocommit=True) as connection:
            connection.execute("checkpoint")

    def stop_immediately(self) -> None:
        """Stop without a checkpoint; the next start recovers."""
        embedded.stop(self.running, mode="immediate")

    def kill_postmaster(self) -> None:
        """Kill the postmaster alone; its children notice and go."""
        self._kill([self.postmaster()])

    def kill_all(self) -> None:
        """Kill the postmaster and all its children at once, writers of the log included."""
        postmaster = self.postmaster()
        self._kill([postmaster, *_children_of(postmaster)])

    def _kill(self, processes: Sequence[int]) -> None:
        postmaster = self.postmaster()
        everyone = [postmaster, *_children_of(postmaster)]
        for process in processes:
            os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(_is_alive(process) for process in everyone):
            assert time.monotonic() < deadline, "the server's processes outlive their postmaster"
            time.sleep(0.02)

    def remove(self) -> None:
        """Stop and delete everything."""
        embedded.remove(self.running, self.home)
        shutil.rmtree(self.home, ignore_errors=True)


class Load:
    """A process that works until it is done or killed; its lines are on disk before anybody counts them."""

    def __init__(self, arguments: Sequence[str], acknowledged: Path) -> None:
        self._file = acknowledged.open("a", encoding="utf-8")
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self._file.write(line)
                self._file.flush()
                self.lines.append(line.rstrip("\n"))

    def begin(self) -> None:
        """Say that it may begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait_for(self, lines: int, seconds: float = 60) -> None:
        """Wait until it has told so many lines, or has ended."""
        deadline = time.monotonic() + seconds
        while len(self.lines) < lines and self.process.poll() is None:
            assert time.monotonic() < deadline, f"only {len(self.lines)} of {lines} answers came"
            time.sleep(0.005)

    def kill(self) -> list[str]:
        """Kill it; return everything it told."""
        self.process.kill()
        return self.finish()

    def finish(self) -> list[str]:
        """Wait for its end; return everything it told."""
        self.process.wait(timeout=120)
        self._reader.join()
        self._file.close()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.lines


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def _children_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]


def _is_alive(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")
