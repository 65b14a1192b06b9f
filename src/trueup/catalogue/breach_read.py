"""What everybody else may ask about contracts and their breaches, and what becomes due by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from trueup.catalogue.breach import KEYS_MAX, CheckContract
from trueup.catalogue.breach_state import COLUMNS, Breach, bites
from trueup.catalogue.contract import ROWS, Containment, Contract, EntityName, in_words, rules_of
from trueup.catalogue.contract_odcs import exported, not_run
from trueup.catalogue.contract_yaml import write_yaml
from trueup.catalogue.quarantine import Contain
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.verb import Command

Stage = Literal["failing", "initiated", "contained", "lifted", "passed", "withdrawn"]


def stage_of(breach: Breach, now: datetime) -> Stage:
    """Return where a breach stands, of its events and the time alone."""
    if breach.ended_by is not None:
        return breach.ended_by
    if bites(breach, now):
        return "contained"
    if breach.released_until is not None and now < breach.released_until:
        return "lifted"
    return "initiated" if breach.initiated_at is not None else "failing"


class BreachQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which breaches. key: a SKU or code. ended: whether the rule passed since; without it, those that fail now."""

    contract: str | None = None
    rule: str | None = None
    case: str | None = None
    key: str | None = None
    ended: bool = False
    cursor: str | None = None
    limit: Limit = 50


class BreachRow(msgspec.Struct, frozen=True):
    """One breach, and where it stands as of the time of reading."""

    breach: Breach
    stage: Stage


class ContractSummary(msgspec.Struct, frozen=True):
    """One contract: its version in force, and how many keys fail, of how many rules that are run."""

    name: str
    version: int
    id: str
    contract_version: str
    status: str
    owner_role: str
    rules: int
    failing_rules: int
    failing_keys: int
    contained_keys: int


class RuleResult(msgspec.Struct, frozen=True):
    """The last result of one rule: keys that fail now, since when, contained of these, and their case."""

    rule: str
    failing: int
    contained: int
    since: datetime
    due_at: datetime
    case: str


class RuleRow(msgspec.Struct, frozen=True):
    """One rule as it is run: what it asks for in words, and its last result; None where it passes on every key."""

    name: str
    entity: EntityName
    asks: str
    severity: int
    containment: Containment
    result: RuleResult | None


class ContractDetail(msgspec.Struct, frozen=True):
    """One contract in force. document: as its policy has it; not_run: rules written for other engines, as they came.

    odcs: the whole as an ODCS 3.1 document, in YAML.
    """

    name: str
    version: int
    document: dict[str, Any]
    rules: tuple[RuleRow, ...]
    not_run: tuple[str, ...]
    odcs: str


BreachPage = Page[BreachRow]
_BITES = """(containment <> 'none' and ended_at is null and due_at <= %s
    and (initiated_at is null or initiated_at > due_at) and (released_until is null or released_until <= %s))"""
"""`breach_state.bites` as SQL, for counting; a test holds the two together."""


async def breaches(connection: Connection, query: BreachQuery, now: datetime) -> BreachPage:
    """Return one page, the oldest first."""
    conditions = ["ended_at is not null" if query.ended else "ended_at is null"]
    parameters: list[Any] = []
    for column, value in (("contract", query.contract), ("rule", query.rule), ("case_id", query.case),
                          ("key", query.key)):  # fmt: skip
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(value)
    if query.cursor is not None:
        conditions.append("id > %s")
        parameters += read_cursor(query.cursor, (str,))
    rows = await connection.execute(
        f"select {COLUMNS} from breach where {' and '.join(conditions)} order by id limit %s",
        [*parameters, bounded(query.limit) + 1],
        prepare=False,
    )
    found = [BreachRow(b, stage_of(b, now)) for b in map(_breach_of, await rows.fetchall())]
    return page_of(found, bounded(query.limit), lambda row: write_cursor(row.breach.id))


async def contracts(connection: Connection, now: datetime) -> tuple[ContractSummary, ...]:
    """Return the contracts by name, with what fails now."""
    counted = await connection.execute(
        f"""select contract, count(distinct rule), count(distinct subject),
            count(distinct subject) filter (where {_BITES}) from breach where ended_at is null group by contract""",
        [now, now],
    )
    failing = {name: figures for name, *figures in await counted.fetchall()}
    return tuple(
        ContractSummary(
            name, version, contract.id or name, contract.version, contract.status, contract.owner_role,
            sum(1 for _ in rules_of(contract)), *failing.get(name, (0, 0, 0)),
        )
        for name, version, contract in await contracts_published(connection)
    )  # fmt: skip


async def results(connection: Connection, contract: str, now: datetime) -> dict[str, RuleResult]:
    """Return which rules of a contract fail now, by the rule's name; what is not there passes."""
    rows = await connection.execute(
        f"""select rule, count(*), count(*) filter (where {_BITES}), min(since), min(due_at), max(case_id)
        from breach where ended_at is null and contract = %s group by rule""",
        [now, now, contract],
    )
    return {row[0]: RuleResult(*row) for row in await rows.fetchall()}


async def contracts_published(connection: Connection) -> list[tuple[str, int, Contract]]:
    """Return the contracts as they are committed now: name, version and document."""
    rows = await connection.execute(
        """select p.name, p.version, p.document from policy p join policy_active a using (kind, name, version)
        where p.kind = %s order by p.name""",
        [Contract.kind],
    )
    return [
        (name, version, json.decode(bytes(document), Contract)) for name, version, document in await rows.fetchall()
    ]


async def contract(connection: Connection, name: str, now: datetime) -> ContractDetail | None:
    """Return one contract with its rules' last results, or None."""
    published = {known: (version, document) for known, version, document in await contracts_published(connection)}
    if name not in published:
        return None
    version, document = published[name]
    last = await results(connection, name, now)
    rules = tuple(
        RuleRow(rule.name, rule.entity, in_words(rule.check), rule.severity, rule.containment, last.get(rule.name))
        for rule in rules_of(document)
    )
    text = write_yaml(exported(name, document))
    return ContractDetail(name, version, json.to_plain(document), rules, not_run(document), text)


async def checks_of(connection: Connection, name: str, contract: Contract | None) -> list[CheckContract]:
    """Return the commands that run a contract on everything, and on what fails it now, in chunks."""
    entities = {rule.entity for rule in rules_of(contract)} if contract is not None and contract.in_force else set()
    commands = []
    for entity in ROWS:
        rows = await connection.execute(_EVERY[entity] if entity in entities else _FAILING, [name, entity])
        ids = [id_ for (id_,) in await rows.fetchall()]
        failing = await connection.execute(_OPEN_RULES, [name, entity])
        rules = tuple(rule for (rule,) in await failing.fetchall())
        commands += [
            CheckContract(contract=name, entity=entity, keys=tuple(ids[at : at + KEYS_MAX]), open_rules=rules)
            for at in range(0, len(ids), KEYS_MAX)
        ]
    return commands


_OPEN_RULES = """select distinct rule from breach
    where ended_at is null and contract = %s and entity = %s order by rule limit 200"""
_FAILING = """select distinct subject from breach
    where ended_at is null and contract = %s and entity = %s order by subject"""
_EVERY = {
    entity: f"select id from {entity} where %s::text is not null and %s::text is not null order by id"
    for entity in ROWS
}


async def due_to_check(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return the commands that run every contract on everything, once a night; for the worker."""
    found = {name: contract for name, _, contract in await contracts_published(connection)}
    return [
        (f"{name}/{now:%Y-%m-%d}/{at}", command)
        for name, contract in found.items()
        for at, command in enumerate(await checks_of(connection, name, contract))
    ]


async def due_to_contain(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return the commands that notice each containment that holds and was not noticed; for the worker."""
    rows = await connection.execute(
        f"select case_id, max(due_at) from breach where told_at is null and {_BITES} group by case_id order by case_id",
        [now, now],
    )
    return [(f"{case}/{due:%Y-%m-%dT%H:%M:%S}", Contain(case=case)) for case, due in await rows.fetchall()]


async def failing_any(
    connection: Connection, contract: str, entity: EntityName, rules: Sequence[str], limit: int = KEYS_MAX
) -> list[str]:
    """Return rows (ids) that fail one of these rules now, the oldest first: another row may have put them right."""
    rows = await connection.execute(
        """select subject from breach where ended_at is null and contract = %s and entity = %s
        and rule = any(%s::text[])
        group by subject order by min(id) limit %s""",
        [contract, entity, list(rules), limit],
    )
    return [subject for (subject,) in await rows.fetchall()]


def _breach_of(row: tuple[Any, ...]) -> Breach:
    return Breach(**dict(zip(Breach.__struct_fields__, row, strict=True)))
