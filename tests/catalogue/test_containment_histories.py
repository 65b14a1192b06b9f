"""Containments in random order: an item is barred if and only if a rule fails, its time is up, and nobody lifted it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalogue.breaches import items_contract
from tests.conftest import START

from trueup.authority.overrides_state import OverrideGranted, Overrides
from trueup.authority.standing import SYSTEM
from trueup.authority.state import Authority
from trueup.cases.act import CommentOnCase, comment_on_case
from trueup.cases.case import CaseActed
from trueup.cases.close import VERBS as CLOSING
from trueup.cases.close import CloseCase
from trueup.cases.ladder import RootCauses
from trueup.cases.state import Cases
from trueup.catalogue.breach import CheckContract, check_contract, while_failing
from trueup.catalogue.breach_state import Breaches
from trueup.catalogue.quarantine import Contain, ReleaseContainment, barred, contain, release_containment
from trueup.catalogue.state import Catalogue, Item, ItemRegistered
from trueup.core import ids
from trueup.core.errors import Refusal
from trueup.core.policy import Active, Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Context, Decision, State

ITEMS = ("itm_a", "itm_b", "itm_c")
POLICIES = Policies([Active("items", 1, b"", items_contract())], (), {RootCauses.kind: RootCauses})
close_case = while_failing(next(verb for verb in CLOSING if verb.command is CloseCase)).decide
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(ITEMS), st.booleans()),
    st.tuples(st.just("turn"), st.integers(1, 30), st.booleans()),
    st.tuples(st.sampled_from(("act", "comment", "notice", "close")), st.just(0), st.booleans()),
    st.tuples(st.just("lift"), st.integers(1, 30), st.booleans()),
)


class History:
    """The product's own rules on one state in memory, and beside it what each item must be, kept on its own."""

    def __init__(self) -> None:
        self.state = State((Authority, Overrides, Catalogue, Cases, Breaches))
        self.now = START
        self.failing: dict[str, datetime] = {}
        self.initiated: dict[str, datetime] = {}
        self.lifted: dict[str, datetime] = {}
        self.draws = 0
        for item in ITEMS:
            self._register(item, known=True)

    def _register(self, item: str, *, known: bool) -> None:
        weight = Quantity(10) if known else None
        row = Item(id=item, sku=item.upper(), name=item, kind="good", weight_g=weight)
        self.state.evolve(ItemRegistered(item=row, at=self.now))

    def _do(self, rule: Any, command: Command) -> Decision:
        self.draws += 1
        decision: Decision = rule(self.state, command, self.context())
        for event in decision.events if isinstance(decision, Accepted) else ():
            self.state.evolve(event)
        return decision

    def context(self) -> Context:
        loans = [one for one in self.state.of(Overrides).overrides.values() if one.life(self.now) == "active"]
        excused = frozenset((one.rule, key) for one in loans for key in one.objects)
        return Context(SYSTEM, self.now, ids.sequence(self.now, self.draws << 40), POLICIES, excused)

    @property
    def case(self) -> str:
        return next(iter(self.state.of(Cases).cases), "case_none")

    def write(self, item: str, known: bool) -> None:
        self._register(item, known=known)
        self._do(check_contract, CheckContract(contract="items", entity="item", keys=(item,)))
        if known:
            self.failing.pop(item, None)
        elif item not in self.failing:
            self.failing[item] = self.now
            self.initiated.pop(item, None)

    def turn(self, hours: int, _: bool) -> None:
        self.now += timedelta(hours=hours)

    def act(self, _: int, __: bool) -> None:
        if self.case != "case_none":
            self.state.evolve(CaseActed(case=self.case, effect="x", note="done", at=self.now))
            for item in self.failing:
                self.initiated.setdefault(item, self.now)

    def comment(self, _: int, __: bool) -> None:
        self._do(comment_on_case, CommentOnCase(case=self.case, text="soon"))

    def notice(self, _: int, __: bool) -> None:
        self._do(contain, Contain(case=self.case))

    def close(self, _: int, __: bool) -> None:
        decision = self._do(close_case, CloseCase(case=self.case, root_cause="training", note="done"))
        if self.failing:
            assert isinstance(decision, Refusal), "closed while the rule fails"

    def lift(self, hours: int, whole: bool) -> None:
        contained = [item for item in ITEMS if self.is_contained(item)]
        chosen = contained if whole else contained[:1]
        keys = () if whole else tuple(item.upper() for item in chosen)
        command = ReleaseContainment(case=self.case, keys=keys, hours=hours, reason="busy")
        decision = self._do(release_containment, command)
        assert isinstance(decision, Accepted) == bool(chosen)
        if isinstance(decision, Accepted):
            granted = OverrideGranted(override=decision.result["override"], role="Sponsor", by="act_s", at=self.now)
            self.state.evolve(granted)
        for item in chosen:
            self.lifted[item] = max(self.now + timedelta(hours=hours), self.lifted.get(item, START))

    def is_contained(self, item: str) -> bool:
        since = self.failing.get(item)
        if since is None or self.now < since + timedelta(hours=24):
            return False
        acted = self.initiated.get(item)
        return acted is None or acted > since + timedelta(hours=24)

    def must_be_barred(self, item: str) -> bool:
        if not self.is_contained(item):
            return False
        return item not in self.lifted or self.now >= self.lifted[item]


@given(st.lists(OPERATIONS, max_size=40))
@settings(max_examples=200, deadline=None)
def test_an_item_is_barred_exactly_while_its_rule_fails_unheeded(operations: list[tuple[str, Any, bool]]):
    history = History()
    for name, what, whether in operations:
        getattr(history, name)(what, whether)
        found = set(barred(history.state, ITEMS, history.context(), sent=True))
        assert found == {item for item in ITEMS if history.must_be_barred(item)}, (name, what, whether)
