"""Broken variants of withdrawing and of who may do what where: each is noticed by the test that guards it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.authority import test_withdraw as withdraw
from tests.board import declared
from tests.catching import noticed

from trueup import house
from trueup.authority import publish
from trueup.authority.publish import PublishPolicy
from trueup.authority.state import Authority
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.policy import Policies

Proof = Callable[..., Awaitable[None]]
Break = Callable[[pytest.MonkeyPatch], None]


def what_is_shipped_is_published_where_nothing_stood(patch: pytest.MonkeyPatch) -> None:
    def shipped(policy_kind: str, policy_name: str, reason: str) -> PublishPolicy:
        document = json.to_plain(house.POLICY_KINDS[policy_kind]())
        return PublishPolicy(policy_kind=policy_kind, policy_name=policy_name, document=document, reason=reason)

    patch.setattr(publish, "WithdrawPolicy", shipped)


def versions_begin_again_after_a_withdrawal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Authority, "last_version", lambda self, kind, name: self.versions.get((kind, name), (0, ""))[0])


def a_withdrawal_does_not_rest_on_what_is_read_then(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publish, "_base", lambda kind, state, command, first: state.of(Authority).versions.get(
        (kind.kind, command.policy_name), (0, ""))[1])  # fmt: skip


def a_withdrawal_touches_nothing_governed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publish, "_withdrawn", lambda *_: [])


def a_first_document_is_compared_with_what_is_shipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Policies, "read_as", lambda self, kind, name: kind())


VARIANTS: list[tuple[Break, Proof]] = [
    (what_is_shipped_is_published_where_nothing_stood,
     withdraw.test_rolling_back_a_first_version_puts_back_what_held_before_byte_for_byte),
    (versions_begin_again_after_a_withdrawal, withdraw.test_versions_go_on_counting_after_a_withdrawal),
    (a_withdrawal_does_not_rest_on_what_is_read_then,
     withdraw.test_a_withdrawal_is_decided_by_who_decides_what_is_read_afterwards),
    (a_withdrawal_touches_nothing_governed, withdraw.test_nobody_withdraws_directly_once_governance_is_declared),
    (a_first_document_is_compared_with_what_is_shipped,
     withdraw.test_a_first_document_under_a_name_is_compared_with_what_held_there),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "proof"), VARIANTS, ids=[variant[0].__name__ for variant in VARIANTS])
async def test_a_broken_variant_is_caught(
    broken: Break, proof: Proof, door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    broken(monkeypatch)
    there: dict[str, Any] = {"door": door, "url": url, "clock": clock}
    if "company" in proof.__code__.co_varnames[: proof.__code__.co_argcount]:
        there["company"] = await declared(door)
    await noticed(proof, **there)
