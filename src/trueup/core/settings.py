"""Settings, from the environment and the command line; every one has a default that works on a laptop."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from trueup.core.errors import SettingsError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Trueup keeps things and how it listens.

    home: folder of the embedded server and of files Trueup makes.
    database: URL of the reader's own PostgreSQL 16+; None means the embedded one in `home`.
    host, port: where API and console listen.
    writers: batches the door may have open at once per process.
    queue_max: commands the door holds before it answers 429.
    unsafe: pass the refusal to start without fsync; only in a throw-away home.
    """

    home: Path
    database: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    writers: int = 2
    queue_max: int = 4000
    unsafe: bool = False


def load_settings(
    home: Path | None = None, database: str | None = None, host: str | None = None, port: int | None = None
) -> Settings:
    """Return the settings; what is given here wins over TRUEUP_HOME, TRUEUP_DATABASE, TRUEUP_HOST and TRUEUP_PORT.

    Raises SettingsError when a value cannot be understood, or when TRUEUP_UNSAFE=1 is used outside a temporary folder.
    """
    where = Path(home or os.environ.get("TRUEUP_HOME") or Path.home() / ".trueup").expanduser().absolute()
    unsafe = os.environ.get("TRUEUP_UNSAFE") == "1"
    if unsafe and not where.resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()):
        raise SettingsError(
            f"TRUEUP_UNSAFE=1 is only for throw-away homes below {tempfile.gettempdir()}; {where} is not one. Unset it."
        )
    return Settings(
        home=where,
        database=database or os.environ.get("TRUEUP_DATABASE") or None,
        host=host or os.environ.get("TRUEUP_HOST") or "127.0.0.1",
        port=port if port is not None else _whole_number("TRUEUP_PORT", 8080),
        writers=_whole_number("TRUEUP_WRITERS", 2),
        queue_max=_whole_number("TRUEUP_QUEUE_MAX", 4000),
        unsafe=unsafe,
    )


def _whole_number(name: str, default: int) -> int:
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal():
        raise SettingsError(f"{name} is {text!r}; it must be a whole number such as {default}")
    return int(text)
