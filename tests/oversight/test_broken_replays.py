"""Broken variants of the replay: each is caught, since its prediction is not what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.replayed import Past, Proposal, happened_at, predicted

from trueup import storyline
from trueup.core import ids, replay, replay_window
from trueup.orders.channel import Channel
from trueup.oversight import impact
from trueup.stock import past as stock_past

Break = Callable[[pytest.MonkeyPatch], None]
_SHIPPED_ROWS, _SHIPPED_BALANCES = replay_window.rows_of, stock_past._set_balances


def without_expiries(patch: pytest.MonkeyPatch) -> None:
    """Claims never end."""
    patch.setattr(stock_past.StockPast, "turn", lambda self, now: ())


def from_present_stock(patch: pytest.MonkeyPatch) -> None:
    """What moved since the window is not taken off."""

    async def of_now(connection: Any, stock: Any, since: Any) -> None:
        await _SHIPPED_BALANCES(connection, stock, since + timedelta(days=365))

    patch.setattr(stock_past, "_set_balances", of_now)


def without_carrying_state(patch: pytest.MonkeyPatch) -> None:
    """Each command sees the stock as it was when the window began."""
    shipped = replay.Side._evolve

    def forgetting(self: replay.Side, event: Any) -> None:
        if not event.name.startswith("stock."):
            shipped(self, event)

    patch.setattr(replay.Side, "_evolve", forgetting)


def in_the_wrong_order(patch: pytest.MonkeyPatch) -> None:
    """The last command goes first."""

    async def backwards(*given: Any) -> AsyncIterator[list[replay.Row]]:
        rows = [row async for page in _SHIPPED_ROWS(*given) for row in page]
        commands = [at for at, row in enumerate(rows) if row.kind != "e"]
        for first, after in reversed([*zip(commands, [*commands[1:], len(rows)], strict=True)]):
            yield rows[first:after]

    patch.setattr(impact, "rows_of", backwards)


def without_what_follows(patch: pytest.MonkeyPatch) -> None:
    """Nothing follows by itself."""
    patch.setattr(storyline.InMemory, "__call__", lambda *given: ())


def with_fresh_ids(patch: pytest.MonkeyPatch) -> None:
    """What later commands name is not found."""
    patch.setattr(replay, "_Given", lambda *given: ids.new_id)


BROKEN: tuple[Break, ...] = (
    without_expiries, from_present_stock, without_carrying_state, in_the_wrong_order, without_what_follows,
    with_fresh_ids,
)  # fmt: skip


async def test_each_broken_replay_is_caught(past: Past, monkeypatch: pytest.MonkeyPatch):
    happened = await happened_at(past)
    said = await predicted(past, {})
    assert said == {number: happened[number] for number in said}, "the shipped replay tells what happened"
    unnoticed = []
    for broken in BROKEN:
        with monkeypatch.context() as patch:
            broken(patch)
            try:
                told = await predicted(past, {})
            except AssertionError:
                continue
        if told == said:
            unnoticed.append(broken.__name__)
    assert unnoticed == []


async def test_an_order_that_was_refused_then_and_is_taken_now_shows(past: Past, monkeypatch: pytest.MonkeyPatch):
    proposal: Proposal = {("channel", "web"): Channel(locations=("WEST", "MAIN"), short="partial", tax="table")}
    assert "n13" not in await predicted(past, {})
    assert (await predicted(past, proposal))["n13"].outcome == "placed"

    async def accepted_only(*given: Any) -> AsyncIterator[list[replay.Row]]:
        async for page in _SHIPPED_ROWS(*given):
            yield [row for row in page if row.kind != "r"]

    monkeypatch.setattr(impact, "rows_of", accepted_only)
    assert "n13" not in await predicted(past, proposal), "without the refused ones it would not"
