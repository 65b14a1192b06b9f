"""Run a contract's rules on rows; what fires is a case at that moment, and a clock until containment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec

from trueup.cases.case import CaseActed, CaseSubject
from trueup.cases.close import CloseCase
from trueup.cases.merge import MergeCase
from trueup.cases.open import case_events
from trueup.cases.state import Cases
from trueup.catalogue.breach_state import Breach, Breaches, Ended, RuleFired, RulePassed
from trueup.catalogue.contract import Contract, EntityName, Row, Running, fault_of, rules_of
from trueup.catalogue.ownership import Row as Record
from trueup.catalogue.ownership import key_of
from trueup.catalogue.partner_state import Partners
from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb

KEYS_MAX = 200


class CheckContract(Command, frozen=True, kw_only=True):
    """Run the rules of a contract on rows of an entity, by their ids.

    open_rules: names of those that fail now; the contract may not have them any more, or be withdrawn.
    """

    contract: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    entity: EntityName
    keys: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=KEYS_MAX)]
    open_rules: Annotated[tuple[str, ...], msgspec.Meta(max_length=200)] = ()


def check_contract(state: State, command: CheckContract, context: Context) -> Decision:
    """Run every rule of the contract on the rows: what fires opens or joins its case, what passes ends its breach.

    One rule is one case, with the keys as its subjects. Each key's clock starts when it first failed, and is the
    contract's as of then. When the last key of a case passes, that is an act with an effect on the case; a person
    closes it, with its root cause. A rule that is no longer in the contract ends its breaches as withdrawn. Refuses no
    row: of ids that are none nothing is said. Where nothing changed it ends as merged.
    """
    contract = context.policies.find(Contract, command.contract)
    running = [rule for rule in rules_of(contract) if rule.entity == command.entity] if contract is not None else []
    rules = {rule.name: rule for rule in running if contract is not None and contract.in_force}
    fired: dict[str, list[tuple[Row, str]]] = {}
    ended: dict[Ended, list[Breach]] = {"passed": [], "withdrawn": []}
    for row in _rows(state, command):
        known = state.of(Breaches).open_on(command.contract, row.id)
        ended["withdrawn"] += [breach for name, breach in known.items() if name not in rules]
        for name, rule in rules.items():
            fault = fault_of(rule.check, row, context.now)
            if fault is not None and name not in known:
                fired.setdefault(name, []).append((row, fault))
            elif fault is None and name in known:
                ended["passed"].append(known[name])
    events = [event for name, rows in fired.items() for event in _fire(state, command, rules[name], rows, context)]
    events += _end(state, ended, set(fired), context)
    result = {
        "contract": command.contract,
        "fired": sum(len(rows) for rows in fired.values()),
        "passed": len(ended["passed"]) + len(ended["withdrawn"]),
    }
    subject = f"contract/{command.contract}"
    return Accepted(events, subject, result, "applied" if events else "merged")


def _rows(state: State, command: CheckContract) -> Iterator[Row]:
    catalogue, breaches = state.of(Catalogue), state.of(Breaches)
    for id_ in dict.fromkeys(command.keys):
        written_at, twins = breaches.written.get(id_, (None, frozenset()))
        known: Record | None
        if command.entity == "item":
            known = catalogue.item_of(id_)
        elif command.entity == "location":
            known = catalogue.place_of(id_)
        else:
            known = state.of(Partners).partners.get(id_)
        if known is not None:
            yield Row(command.entity, id_, key_of(known), known, written_at, twins)


def cause_of(contract: str, rule: str) -> str:
    """Return the cause of the case of a rule's breaches: one rule is one case."""
    return f"contract:{contract}:{rule}"


def _fire(
    state: State, command: CheckContract, rule: Running, rows: Sequence[tuple[Row, str]], context: Context
) -> list[Event]:
    contract = context.policies.get(Contract, command.contract)
    events = case_events(
        state,
        context,
        cause=cause_of(command.contract, rule.name),
        kind="contract_breach",
        title=f"{rule.entity.title()} data breaks {rule.name} of contract {command.contract}"[:200],
        severity=rule.severity,
        owner_role=contract.owner_role,
        subjects=[CaseSubject(rule.entity, row.id, f"{row.key}: {fault}") for row, fault in rows],
    )
    case = events[-1].subject
    due_at = context.now + timedelta(hours=contract.initiate_hours)
    breaches = tuple(
        Breach(
            id=context.new_id("brc"),
            contract=command.contract,
            rule=rule.name,
            entity=rule.entity,
            subject=row.id,
            key=row.key,
            detail=fault,
            case_id=case,
            containment=rule.containment,
            since=context.now,
            due_at=due_at,
        )
        for row, fault in rows
    )
    version = context.policies.version(Contract, command.contract)
    return [*events, RuleFired(case=case, version=version, breaches=breaches)]


def _end(state: State, ended: dict[Ended, list[Breach]], fired: set[str], context: Context) -> list[Event]:
    """Return the end of breaches, case by case; the end of a case's last one is an act on it."""
    events: list[Event] = []
    cases = sorted({breach.case_id for breaches in ended.values() for breach in breaches})
    for case in cases:
        left = state.of(Breaches).open_count(case)
        names: set[str] = set()
        for how in ("passed", "withdrawn"):
            mine = [breach for breach in ended[how] if breach.case_id == case]
            if mine:
                ids, subjects = tuple(b.id for b in mine), tuple(b.subject for b in mine)
                events.append(RulePassed(case=case, breaches=ids, subjects=subjects, how=how, at=context.now))
                left -= len(mine)
                names |= {breach.rule for breach in mine}
        known = state.of(Cases).cases.get(case)
        if left == 0 and not names & fired and known is not None and known.closed_at is None:
            last = next(b for breaches in ended.values() for b in reversed(breaches) if b.case_id == case)
            note = f"{last.rule} passes again on every key"
            events.append(CaseActed(case=case, effect=last.subject, note=note, at=context.now))
    return events


def while_failing(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb that, where it ends a case, is refused while the rule that opened the case still fails.

    Merged into another one, the case would end without the rule having passed.
    """
    if verb.command not in (CloseCase, MergeCase):
        return verb
    wants, decide = verb.wants, verb.decide

    def wanting(state: State, command: CloseCase | MergeCase, policies: Policies) -> None:
        wants(state, command, policies)
        state.of(Breaches).want_case(command.case)

    return msgspec.structs.replace(verb, wants=wanting, decide=_ending(decide))


def _ending(decide: Callable[[State, Any, Context], Decision]) -> Callable[[State, Any, Context], Decision]:
    def end_case(state: State, command: CloseCase | MergeCase, context: Context) -> Decision:
        open_ = state.of(Breaches).of_case(command.case)
        return decide(state, command, context) if not open_ else _still_failing(state, open_[0])

    end_case.__doc__ = decide.__doc__
    return end_case


def _still_failing(state: State, first: Breach) -> Refusal:
    count = state.of(Breaches).open_count(first.case_id)
    return Refusal(
        "catalogue.still_failing",
        f"{first.rule} still fails on {count} {'key' if count == 1 else 'keys'}, {first.key} first: {first.detail}.",
        "Put the values right; the rule is run again on every write of the key, and the case can be closed when it "
        "passes.",
        "case",
        first.case_id,
    )


def _wants(state: State, command: CheckContract, policies: Policies) -> None:
    contract = policies.find(Contract, command.contract)
    names = {rule.name for rule in rules_of(contract)} if contract is not None else set()
    causes = [cause_of(command.contract, name) for name in sorted(names.union(command.open_rules))]
    for cause in causes:
        state.of(Cases).want_cause(cause)
    state.of(Breaches).want_keys(command.contract, causes, command.keys)
    if command.entity == "item":
        for key in command.keys:
            state.of(Catalogue).want_item_id(key)
    elif command.entity == "location":
        state.of(Catalogue).want_every_location()
    else:
        for key in command.keys:
            state.of(Partners).want_id(key)


VERBS = (
    Verb(
        name="catalogue.check_contract",
        command=CheckContract,
        decide=check_contract,
        wants=_wants,
        touches=lambda command: (f"contract:{command.contract}",),
    ),
)
