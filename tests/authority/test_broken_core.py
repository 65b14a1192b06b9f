"""Broken variants of withdrawing and of who may do what where: each is noticed by the test that guards it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.authority import test_change_types as types
from tests.authority import test_parts as within
from tests.authority import test_people as people
from tests.authority import test_votes as voting
from tests.authority import test_ways_around as around
from tests.authority import test_withdraw as withdraw
from tests.board import declared
from tests.cases import test_for_case as cases
from tests.catalogue import test_master_data_changes as bulk
from tests.catching import noticed

from trueup import house
from trueup.authority import (
    apply,
    approve,
    confirm,
    declare,
    for_case,
    parts,
    publish,
    register,
    resign,
    sampled,
    tenure,
    votes,
)
from trueup.authority.publish import PublishPolicy
from trueup.authority.state import Authority
from trueup.authority.tenure import actors_at
from trueup.catalogue import parts as catalogue_parts
from trueup.catalogue import read_quality
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


def a_right_over_a_part_serves_everywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "parts_of_right", lambda *_: None)


def a_part_is_looked_at_as_it_will_be(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(catalogue_parts, "_of", lambda *rows: [catalogue_parts._parts(rows[-1])])


def one_thing_in_a_part_is_enough(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "lies_in", lambda places, held: any(not set(one).isdisjoint(held) for one in places or ()))


def what_names_no_part_lies_in_each(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "lies_in", lambda places, held: all(not set(one).isdisjoint(held) for one in places or ()))


def a_limit_of_a_part_holds_everywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(confirm, "roles_here", lambda verb, state, command, decision, context, written: context.actor.roles)


def a_rungs_right_has_no_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(for_case, "_worth", lambda *_: ())


def a_rungs_role_over_a_part_serves_everywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(for_case, "outside", lambda *_: None)


def votes_outlive_the_office(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(votes, "_still", lambda then, now: tuple(then))


def votes_outlive_the_contract(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(votes, "_voted", lambda one, *_: votes.Voted(one, one.roles))


def what_the_asker_lends_is_a_vote_by_now(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(votes, "own_say", lambda change, voter, own, tenure, now: actors_at(
        own, tenure, now, lambda roles, right: False)[voter].deciding())  # fmt: skip


def a_narrower_role_votes_as_the_wider_one_did(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(votes, "_still", lambda then, now: tuple(
        role for role in then if role.partition("@")[0] in {one.partition("@")[0] for one in now}))  # fmt: skip


def the_small_mode_comes_back_by_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register, "outgrows", lambda *_: False)


def everybody_may_go_back_to_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(declare, "_not_small", lambda *_: None)


def nobody_opens_the_sample(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approve, "not_opened", lambda *_: None)


def one_word_is_everybodys(patch: pytest.MonkeyPatch) -> None:
    honest = sampled.drawn
    patch.setattr(sampled, "drawn", lambda change, voter: honest(change, "anybody"))
    patch.setattr(read_quality, "drawn", lambda change, voter: honest(change, "anybody"))


def a_deputy_resigns_in_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(resign, "_told", lambda *_: [])


def rules_of_changing_are_rolled_back_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply, "_settled", lambda *_: None)


def a_right_lent_alone_is_lent_everywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tenure, "_reach", lambda delegation, *_: [delegation.over])


VARIANTS: list[tuple[Break, Proof]] = [
    (what_is_shipped_is_published_where_nothing_stood,
     withdraw.test_rolling_back_a_first_version_puts_back_what_held_before_byte_for_byte),
    (versions_begin_again_after_a_withdrawal, withdraw.test_versions_go_on_counting_after_a_withdrawal),
    (a_withdrawal_does_not_rest_on_what_is_read_then,
     withdraw.test_a_withdrawal_is_decided_by_who_decides_what_is_read_afterwards),
    (a_withdrawal_touches_nothing_governed, withdraw.test_nobody_withdraws_directly_once_governance_is_declared),
    (a_first_document_is_compared_with_what_is_shipped,
     withdraw.test_a_first_document_under_a_name_is_compared_with_what_held_there),
    (the_small_mode_comes_back_by_itself, types.test_the_small_mode_does_not_come_back_because_people_leave),
    (everybody_may_go_back_to_small, types.test_the_small_mode_does_not_come_back_because_people_leave),
    (nobody_opens_the_sample, bulk.test_approving_many_rows_demands_that_the_sample_was_opened),
    (one_word_is_everybodys, bulk.test_approving_many_rows_demands_that_the_sample_was_opened),
    (a_deputy_resigns_in_silence, people.test_a_deputy_resigns_alone_and_the_sponsor_is_told),
    (rules_of_changing_are_rolled_back_for_ever,
     around.test_a_rule_of_changing_is_not_eased_by_rolling_it_back_alone),
    (a_right_lent_alone_is_lent_everywhere, within.test_a_right_lent_alone_is_no_wider_than_its_givers_role),
    (votes_outlive_the_office, voting.test_an_approval_of_who_lost_the_role_does_not_count),
    (votes_outlive_the_office, voting.test_a_vote_does_not_pass_on_with_the_role),
    (votes_outlive_the_contract, voting.test_an_approval_of_whose_contract_ended_does_not_count),
    (what_the_asker_lends_is_a_vote_by_now,
     voting.test_who_has_the_role_only_from_the_asker_by_now_has_no_vote),
    (a_narrower_role_votes_as_the_wider_one_did,
     voting.test_a_role_that_was_narrowed_to_a_part_votes_for_the_part),
    (a_right_over_a_part_serves_everywhere, within.test_the_owner_of_tea_writes_tea_and_nothing_else),
    (a_part_is_looked_at_as_it_will_be,
     within.test_nothing_is_moved_into_or_out_of_a_part_by_who_holds_only_one),
    (one_thing_in_a_part_is_enough, within.test_the_owner_of_tea_writes_tea_and_nothing_else),
    (what_names_no_part_lies_in_each, within.test_what_names_no_part_needs_the_role_over_everything),
    (a_limit_of_a_part_holds_everywhere, within.test_a_limit_of_a_role_over_a_part_holds_there),
    (a_rungs_right_has_no_limit, cases.test_a_rungs_acts_obey_amount_limits_like_anybodys),
    (a_rungs_role_over_a_part_serves_everywhere, cases.test_a_rungs_right_by_a_role_over_a_part_serves_there),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "proof"), VARIANTS, ids=[f"{one[0].__name__}-{at}" for at, one in enumerate(VARIANTS)]
)
async def test_a_broken_variant_is_caught(
    broken: Break, proof: Proof, door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    broken(monkeypatch)
    there: dict[str, Any] = {"door": door, "url": url, "clock": clock}
    if "company" in proof.__code__.co_varnames[: proof.__code__.co_argcount]:
        there["company"] = await declared(door)
    await noticed(proof, **there)
