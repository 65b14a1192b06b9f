"""The sample that somebody has to have opened before they approve a change of many rows.

Nobody reads 500 rows, and nobody approves them unseen: some are drawn for each who approves, by the change, its
content, the moment it was planned and themselves, so that neither who asked nor who approves can choose them. The
opened sample shows a word that the approval has to bring. It proves that the sample was opened, and not that it was
read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec

from trueup.authority.changes_state import Change
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.errors import Refusal

SAMPLE_SIZE = 20


class Drawn(msgspec.Struct, frozen=True):
    """Which of so many rows (from 0) somebody is to look at. word: what their approval brings, "" where it is all."""

    rows: int
    chosen: tuple[int, ...]
    word: str


def sample_of(seed: str, rows: int, size: int = SAMPLE_SIZE) -> tuple[int, ...]:
    """Return which of so many rows (from 0) are to be looked at.

    Each row is ranked by a hash of it and the seed, and the lowest are taken: every row has the same chance, and one
    character of the seed moves the whole draw.
    """
    ranked = sorted(range(rows), key=lambda row: hashlib.sha256(f"{seed}/{row}".encode()).digest())
    return tuple(sorted(ranked[:size]))


def drawn(change: Change, voter: str) -> Drawn:
    """Return what is drawn for somebody of a change's rows."""
    rows = _rows(change.edits)
    # By when it was planned, too, which the door's clock says: who asks cannot try contents until the draw suits them.
    seed = f"{change.id}/{change.digest}/{change.planned_at.astimezone(UTC).isoformat()}/{voter}"
    chosen = sample_of(seed, len(rows))
    if len(chosen) == len(rows):
        return Drawn(len(rows), chosen, "")
    shown = json.encode([(number, rows[number]) for number in chosen])
    return Drawn(len(rows), chosen, hashlib.sha256(seed.encode() + b"\0" + shown).hexdigest()[:32])


def not_opened(change: Change, voter: str, word: str) -> Refusal | None:
    """Return why somebody may not approve a change of many rows: they did not open what was drawn for them."""
    wanted = drawn(change, voter)
    if not wanted.word or word == wanted.word:
        return None
    return Refusal(
        "authority.sample_not_opened",
        f"The change touches {wanted.rows} rows, and the {len(wanted.chosen)} drawn for you were not opened"
        + (" as it is now." if word else "."),
        f"Open /changes/{change.id} in the console, or GET /v1/changes/{change.id}/sample, look at them, and approve "
        "with its `word` as `sample`.",
        "sample",
        word,
    )


def _rows(edits: Sequence[Carried]) -> list[Any]:
    """Return the rows that edits bring, in their order."""
    return [row for edit in edits if isinstance(rows := edit.command.get("rows"), list | tuple) for row in rows]
