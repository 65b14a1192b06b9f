"""Everything that is governed, by every way in: refused or recorded exactly as the register says."""

from __future__ import annotations

import ast
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psycopg
from tests.board import ROLES as BOARD_ROLES
from tests.board import declared, published
from tests.conftest import expect_all
from tests.core.test_side_door import governed as governed_tables
from tests.proof import prove
from tests.requests import person, rows
from tests.web import every_way
from tests.web.console_visitor import console, signed_in
from tests.web.every_way import Answer, Thing, Ways, written_by_sql

from trueup import house
from trueup.authority.decision_rights import DecisionRights
from trueup.authority.declare import DeclareGovernance
from trueup.authority.drift import due_drifts
from trueup.authority.register import IssueKey, RegisterActor
from trueup.authority.separation import may_hold
from trueup.authority.standing import ROLES, SYSTEM, Standing
from trueup.authority.state import Authority, PolicyPublished, PolicyWithdrawn
from trueup.authority.writers_state import WriterAssigned, WriterEnded, Writers
from trueup.catalogue.amendments import AmendmentPlanned, Amendments
from trueup.catalogue.partner_state import PartnerRegistered, Partners
from trueup.catalogue.register import RegisterItem
from trueup.catalogue.register_partner import RegisterPartner
from trueup.catalogue.state import Catalogue, ItemRegistered, LocationRegistered
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import OWNER, connect, session
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.verb import Actor, Command, Event


def as_many_as_may_be() -> tuple[str, ...]:
    """Return the roles one actor may hold together once governance is declared, taking every one that still fits."""
    held: list[str] = []
    for role in reversed(ROLES):
        if may_hold(Policies(()), "Agent", [*held, role], "full", "roles") is None:
            held.append(role)
    return tuple(held)


async def _with_key(door: Door, actor: str) -> str:
    secret = f"tu_{uuid.uuid4().hex}"
    key = IssueKey(actor=actor, digest=hashlib.sha256(secret.encode()).hexdigest(), label="held")
    expect_all([await door.submit(SYSTEM, key, f"key {actor}")])
    return secret


async def _service(door: Door, name: str, *roles: str) -> Actor:
    made = await door.submit(SYSTEM, RegisterActor(name=name, kind="service", roles=roles), f"service {name}")
    expect_all([made])
    return Actor(made.result["actor"], "service", name, frozenset(roles))


class Held:
    """An installation that is being founded, served, with somebody at each way in."""

    def __init__(self, ways: Ways, url: str, who: dict[str, Actor], people: dict[str, Actor]) -> None:
        self.ways, self.url, self.who, self.people = ways, url, who, people
        self.things = [*every_way.policies(), *every_way.records(), *every_way.registered(people)]
        self.tables = tuple(table for table in governed_tables(url) if not table.startswith("journal_"))
        self._connection = psycopg.connect(url, autocommit=True)

    def written(self, tables: Iterable[str] = ()) -> dict[str, str]:
        """Return a digest of every byte of these governed tables, or of all of them."""
        digests = " union all ".join(
            f"select '{table}', md5(coalesce(string_agg(t::text, '' order by t::text), '')) from {table} t"
            for table in tables or self.tables
        )
        return dict(self._connection.execute(digests).fetchall())

    def close(self) -> None:
        self._connection.close()

    async def standing(self) -> Standing:
        connection = await connect(self.url)
        try:
            found: Standing = await house.build().load_standing(connection)
            return found
        finally:
            await connection.close()

    async def last(self, verb: str) -> str | None:
        """Return who the journal says did this last."""
        sql = "select actor from journal where kind = 'c' and name = %s order by position desc limit 1"
        found = await rows(self.url, sql, verb)
        return str(found[0][0]) if found else None


@asynccontextmanager
async def founded(url: str, door: Door, clock: TurnedClock, folder: Path) -> AsyncIterator[Held]:
    """Serve an installation before governance is declared."""
    people = {name: await person(door, name, role) for name, role in BOARD_ROLES.items()}
    people |= {"Carl": await person(door, "Carl"), "Dora": await person(door, "Dora")}
    erp = await _service(door, "erp", "Integration Owner")
    agent = await _service(door, "agent", *as_many_as_may_be())
    async with (
        console(url, clock) as address,
        aiohttp.ClientSession() as session,
        signed_in(url, clock, address, people["Adam"].id) as visitor,
    ):
        ways = Ways(url, door, address, session, visitor, folder)
        ways.keys = {
            "API": await _with_key(door, people["Mia"].id),
            "token": await _with_key(door, erp.id),
            "agent": await _with_key(door, agent.id),
        }
        who = {"console": people["Adam"], "API": people["Mia"], "file": SYSTEM, "job": SYSTEM, "token": erp,
               "agent": agent}  # fmt: skip
        held = Held(ways, url, who, people)
        try:
            yield held
        finally:
            held.close()


def _verb(command: Command) -> str:
    return next(verb.name for verb in house.VERBS if verb.command is type(command))


async def _found_everything(held: Held) -> list[str]:
    """Create every thing, each by another way; return what was not recorded with who did it."""
    first = {"policy rights": 0, "policy fields": 1}
    wrong = []
    await held.ways.job(RegisterItem(sku="PART", name="Part"))
    await held.ways.job(RegisterPartner(code="BRNO", name="Brno"))
    for entity in ("location", "partner"):
        await held.ways.job(published("fields", entity, fields=[{"name": "colour"}]))
    for at, thing in enumerate(sorted(held.things, key=lambda one: first.get(one.name, 2))):
        command = thing.create(0)
        names = list(held.ways.send)
        standing = await held.standing()
        for way in (*names[at % len(names) :], *names[: at % len(names)]):
            allowed = standing.allows(held.who[way].roles, _verb(command))
            answer = await held.ways.send[way](command) if allowed else None
            if answer is None:
                continue
            if answer.status != "applied" or await held.last(_verb(command)) != held.who[way].id:
                wrong.append(f"{thing.name} by {way}: {answer}")
            break
    return wrong


def _expected(standing: Standing, thing: Thing, command: Command, actor: Actor) -> str:
    """Return the rule that the register asks for, or "" where the act is recorded."""
    if not standing.allows(actor.roles, _verb(command)):
        return "authority.not_allowed"
    return "authority.needs_change" if thing.keys else ""


def _says_who(register: DecisionRights, thing: Thing, answer: Answer) -> bool:
    """Tell whether a refusal names, of one of the thing's keys, who decides it and how long that takes."""
    said = []
    for key in thing.keys:
        decision = register.of(key)
        assert decision is not None, f"nobody decides {key}"
        said.append((f"{decision.decider} decides {key}", f"within {decision.hours} hours"))
    return any(who in answer.text and hours in answer.text for who, hours in said)


async def _cell(
    held: Held, standing: Standing, thing: Thing, command: Command, way: str, where: str, seen: dict[str, str]
) -> list[str]:
    """Send one command one way; return what is wrong with how it ended. seen: what was written, when last looked at."""
    expected = _expected(standing, thing, command, held.who[way])
    answer = await held.ways.send[way](command)
    if answer is None:
        return []
    after = held.written(seen)
    changed = sorted(table for table in seen if seen[table] != after[table])
    seen.update(after)
    if not expected:
        recorded = answer.status in ("applied", "merged") and await held.last(_verb(command)) == held.who[way].id
        return [] if recorded and set(thing.tables) <= {*changed} else [f"{where}: not recorded, {answer}, {changed}"]
    wrong = [f"{where}: wrote {changed}"] if changed else []
    if answer.rule != expected:
        wrong.append(f"{where}: {expected} expected, {answer.status} {answer.rule}: {answer.text[:300]}")
    elif expected == "authority.needs_change" and not _says_who(standing.policies.get(DecisionRights), thing, answer):
        wrong.append(f"{where}: it does not say who decides: {answer.text[:300]}")
    return wrong


async def test_everything_governed_is_held_in_every_way(url: str, door: Door, clock: TurnedClock, tmp_path: Path):
    """Every policy, field, writer's rule, contract and role; created, changed and deleted; by seven ways in."""
    async with founded(url, door, clock, tmp_path) as held:
        unrecorded = await _found_everything(held)
        assert unrecorded == []
        await held.ways.job(DeclareGovernance(mode="full", window_days=0))
        standing = await held.standing()
        assert standing.declared is not None
        wrong: list[str] = []
        cells = 0
        for thing in held.things:
            before = held.written()
            seen = held.written((*thing.tables, "journal", "change"))
            for operation, make in (("create", thing.create), ("update", thing.update), ("delete", thing.delete)):
                for way in held.ways.send if make is not None else ():
                    assert make is not None
                    cells += 1
                    where = f"{operation} {thing.name} by {way}"
                    wrong += await _cell(held, standing, thing, make(cells), way, where, seen)
            if thing.keys and held.written() != before:
                wrong.append(f"{thing.name}: something was written")
        assert wrong == []
        assert cells > 800, "the table is what the house lists"
        for tables in {thing.tables for thing in held.things}:
            for attempt in ("insert", "update", "delete"):
                answers = written_by_sql(url, tables, attempt)
                assert set(answers.values()) == {"42501"}, f"{attempt}: {answers}"
        await prove(url)


async def test_a_refusal_follows_the_register(door: Door, url: str):
    """Another decider in the register is another name in the refusal."""
    company = await declared(door)
    edit = published("holds", timezone="Europe/Berlin")
    before = await company.act(company.Adam, edit)
    assert before.refusal is not None
    assert "Operations Process Owner decides holds.timezone" in before.refusal.what
    moved = [
        {**json.to_plain(one), "keys": [key for key in one.keys if key != "holds.timezone"]}
        for one in DecisionRights().decisions
    ]
    to_finance = {"keys": ["holds.timezone"], "domain": "Operations", "decider": "Finance", "hours": 7}
    change = await company.propose(company.Lea, published("decision_rights", decisions=[*moved, to_finance]))
    await company.approve(change, company.Sue, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Sue, change)
    after = await company.act(company.Adam, edit)
    assert after.refusal is not None
    assert "Finance decides holds.timezone" in after.refusal.what
    assert "within 7 hours" in after.refusal.what
    await prove(url)


async def test_what_the_owner_of_the_database_writes_is_recorded_and_a_policy_is_found_as_drift(
    door: Door, url: str, clock: TurnedClock
):
    """The one way past the door: it is known who took it and when, and a policy becomes a case."""
    company = await declared(door)
    await company.done(company.Mia, RegisterItem(sku="MUG", name="Mug"))
    change = await company.propose(company.Lea, published("holds", timezone="Europe/Berlin"))
    await company.approve(change, company.Olga)
    await company.apply(company.Olga, change)
    statements = {
        "item": "update item set name = 'Cup'",
        "actor": "update actor set roles = '{Sponsor}' where name = 'Adam'",
        "policy": "update policy set document = convert_to('{\"timezone\": \"Europe/Rome\"}', 'UTF8')",
        "policy_active": "update policy_active set version = version",
        "writer_rule": "delete from writer_rule",
    }
    with psycopg.connect(session(url, OWNER), autocommit=True) as connection:
        for statement in statements.values():
            connection.execute(statement)
    found = await rows(url, "select relation, login, statement, at is not null from bypass order by at")
    assert found == [(table, "postgres", statement, True) for table, statement in statements.items()]
    connection_ = await connect(url)
    try:
        (due,) = await due_drifts(connection_, clock.now())
    finally:
        await connection_.close()
    await company.done(SYSTEM, due[1])
    ((title, role),) = await rows(url, "select title, owner_role from cases where kind = 'policy_drift'")
    assert role == "IT Process Owner"
    assert "holds/default was changed past the door, by the database user postgres at " in title


DECIDED: dict[type[Event], str] = {
    PolicyPublished: "a document in force",
    PolicyWithdrawn: "a document in force",
    ItemRegistered: "an item",
    LocationRegistered: "a location",
    PartnerRegistered: "a partner and its terms",
    AmendmentPlanned: "what an item or a location will be",
    WriterAssigned: "who writes",
    WriterEnded: "who writes",
}
"""The events that write what is governed."""
RECORDED: dict[str, str] = {
    "authority.actor_registered": "who may come in is recorded; taking access away cannot wait",
    "authority.key_issued": "as above",
    "authority.key_revoked": "as above",
    "authority.node_set": "the organisation is a fact",
    "authority.node_removed": "the organisation is a fact",
    "authority.governance_declared": "before it nothing is governed; the small mode comes back by the Sponsor",
    "catalogue.site_operated": "day-to-day operation within bands",
    "catalogue.alias_added": "another spelling of a key",
    "catalogue.amendment_ended": "what was planned ends by what was decided, or is taken back by a governed verb",
    "catalogue.field_overwritten": "the log of a field that somebody owns",
}
CARRIES_OUT: dict[str, str] = {
    "catalogue.apply_amendment": "what was decided when it was planned, on its day",
}
"""Verbs that may write what is governed though they are not governed themselves, and why."""


def test_every_event_that_writes_a_governed_table_is_accounted_for():
    """A new event of these tables is either one that is decided, or one that is recorded, for a reason."""
    slices = (Authority, Catalogue, Partners, Amendments, Writers)
    taken = {event for kind in slices for event in kind().takes()}
    unknown = sorted(event.name for event in taken - DECIDED.keys() if event.name not in RECORDED)
    assert unknown == [], "say in DECIDED or RECORDED what these write"
    assert taken >= DECIDED.keys()
    assert {event.name for event in taken} >= RECORDED.keys(), "a reason for an event that there is not"


def test_no_verb_writes_what_is_governed_without_being_governed():
    """Whatever module makes such an event, every verb of it is governed, or listed with why not."""
    root = Path(house.__file__).parent
    made_in: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        module = ".".join(("trueup", *path.relative_to(root).with_suffix("").parts))
        called = {node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        made = {name.id for name in called if isinstance(name, ast.Name)} & {kind.__name__ for kind in DECIDED}
        if made:
            made_in[module] = made
    verbs = {verb.name: verb for verb in house.VERBS}
    writing = {name for name, verb in verbs.items() if verb.decide.__module__ in made_in}
    open_ = sorted(name for name in writing if verbs[name].governance is None and name not in CARRIES_OUT)
    assert open_ == []
    assert {verb.decide.__module__ for verb in verbs.values()} >= made_in.keys(), "each is made where its verb decides"
    assert writing >= {"authority.publish_policy", "catalogue.register_item", "authority.assign_writer"}


def test_nothing_governed_is_deleted_by_a_verb():
    """There is no statement in the house that deletes it; the application's role could not run one besides."""
    gone = [
        f"{path.name}: {table}"
        for path in Path(house.__file__).parent.rglob("*.py")
        for table in ("policy", "policy_active", "item", "location", "partner", "writer_rule", "actor")
        if re.search(rf"delete from {table}\b", path.read_text())
    ]
    assert gone == []
