"""Logs say where something broke, never with what."""

from __future__ import annotations

import pytest
import structlog

from trueup.core.logs import configure_logs


def test_a_traceback_shows_no_local_variable(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    configure_logs()
    try:
        _break_with("somebody@example.com")
    except RuntimeError:
        structlog.get_logger("test").exception("batch failed", commands=3)
    finally:
        structlog.configure(**before)
    written = capsys.readouterr().err
    assert "batch failed" in written
    assert "_break_with" in written
    assert "somebody@example.com" not in written


def _break_with(address: str) -> None:
    kept = {"email": address}
    if kept:
        raise RuntimeError("it broke")
