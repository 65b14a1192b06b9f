"""The embedded server starts, stops and is joined; on a database that could lose an order, nothing starts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from trueup.core import database, embedded
from trueup.core.errors import DatabaseUnreachable, SettingsError, StartRefused
from trueup.core.settings import load_settings


@pytest.fixture(scope="module")
def own(worker_id: str) -> Iterator[embedded.Embedded]:
    """A server of this file's own, so that its settings can be turned."""
    home = Path(tempfile.gettempdir()) / f"trueup-start-{os.getpid()}-{worker_id}"
    running = embedded.start(home, shared_buffers_mb=128)
    try:
        yield running
    finally:
        embedded.remove(running, home)


def set_to(server: embedded.Embedded, name: str, value: str | None) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"alter system {f'set {name} = {value}' if value else f'reset {name}'}")
    embedded.stop(server)
    embedded.start(_home_of(server), shared_buffers_mb=128)


def _home_of(server: embedded.Embedded) -> Path:
    return next(Path(tempfile.gettempdir()).glob(f"trueup-start-{os.getpid()}-*"))


def test_a_running_server_is_joined_and_a_stopped_one_started_again(own: embedded.Embedded):
    home = _home_of(own)
    joined = embedded.start(home)
    assert not joined.started
    assert joined.url() == own.url()
    embedded.stop(own)
    assert not embedded.is_running(own)
    with pytest.raises(DatabaseUnreachable):
        database.refuse_unsafe(own.url("postgres"))
    assert embedded.start(home, shared_buffers_mb=128).started
    database.refuse_unsafe(own.url("postgres"))
    assert own.data.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_it_refuses_a_server_that_could_lose_what_it_acknowledged(own: embedded.Embedded, setting: str):
    set_to(own, setting, "off")
    try:
        with pytest.raises(StartRefused, match=setting):
            database.refuse_unsafe(own.url("postgres"))
        database.refuse_unsafe(own.url("postgres"), unsafe=True)
    finally:
        set_to(own, setting, None)
    database.refuse_unsafe(own.url("postgres"))


def test_it_refuses_settings_of_one_database_too(own: embedded.Embedded):
    database.create_database(own.url("postgres"), "loose")
    with psycopg.connect(own.url("postgres"), autocommit=True) as connection:
        connection.execute("alter database loose set synchronous_commit = off")
    with pytest.raises(StartRefused, match="synchronous_commit"):
        database.refuse_unsafe(own.url("loose"))


def test_it_refuses_a_replica(own: embedded.Embedded):
    embedded.stop(own)
    signal = own.data / "standby.signal"
    signal.touch()
    if own.user:
        os.chown(signal, *own.user)
    home = _home_of(own)
    try:
        embedded.start(home, shared_buffers_mb=128)
        with pytest.raises(StartRefused, match="replica"):
            database.refuse_unsafe(own.url("postgres"))
    finally:
        embedded.stop(own)
        signal.unlink()
        embedded.start(home, shared_buffers_mb=128)


def test_migrating_twice_changes_nothing(own: embedded.Embedded):
    database.create_database(own.url("postgres"), "twice")
    for _ in range(2):
        database.migrate(own.url("twice"))
    with psycopg.connect(own.url("twice")) as connection:
        assert connection.execute("select count(*) from journal").fetchone() == (0,)


def test_unsafe_is_for_throw_away_homes_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TRUEUP_UNSAFE", "1")
    assert load_settings(home=tmp_path).unsafe
    with pytest.raises(SettingsError, match="throw-away"):
        load_settings(home=Path("/var/lib/somewhere"))


def test_a_user_that_is_no_superuser_can_prepare_its_own_database_and_a_stranger_is_told_why_not():
    home = Path(tempfile.mkdtemp(prefix="trueup-own-"))
    server = embedded.start(home, shared_buffers_mb=128)
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            for statement in ("create role keeper login createrole", "create database shop owner keeper",
                              "create role stranger login", "create database other owner stranger"):  # fmt: skip
                connection.execute(statement)
        database.migrate(f"host={server.socket} user=keeper dbname=shop")
        with psycopg.connect(database.session(f"host={server.socket} user=keeper dbname=shop")) as connection:
            assert connection.execute("select current_user, session_user").fetchone() == ("trueup_app", "keeper")
        with pytest.raises(StartRefused, match="needs CREATEROLE"):
            database.migrate(f"host={server.socket} user=stranger dbname=other")
    finally:
        embedded.remove(server, home)
