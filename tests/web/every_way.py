"""Every way a command can come in by, and everything that is governed, as the house itself lists it."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg
from tests.cli.terminal import run
from tests.core.test_side_door import ATTEMPTS
from tests.web.console_visitor import Visitor

from trueup import house
from trueup.authority.appoint import Appoint
from trueup.authority.cohorts import Cohort
from trueup.authority.publish import PublishPolicy, WithdrawPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM, Rights
from trueup.authority.writers import AssignWriter, EndWriter
from trueup.catalogue.amend import AmendItems, ItemFields, ItemPatch
from trueup.catalogue.amend_locations import AmendLocations, LocationFields
from trueup.catalogue.amend_partners import AmendPartners, PartnerFields
from trueup.catalogue.contract_import import ImportContract
from trueup.catalogue.ownership import FIELDS, Entity
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.catalogue.register_partner import RegisterPartner
from trueup.cli.verbs import ADDRESSES
from trueup.core import json
from trueup.core.database import APP, session
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.policy import Policy, read_document
from trueup.core.verb import Actor, Command, Outcome

OWN = "own"
CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: {version}
status: active
schema:
  - name: item
    properties:
      - name: name
        required: true
"""
Make = Callable[[int], Command]


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """One governed object. acts: what creates, changes and deletes it; None where no act does. keys: what the register

    maps of it; none where it is not decided by a change but recorded. tables: where it stands.
    """

    name: str
    keys: frozenset[str]
    tables: tuple[str, ...]
    create: Make
    update: Make
    delete: Make | None = None


class Answer(msgspec.Struct, frozen=True):
    """How a way answered. rule: of the refusal, "" where it went through; text: everything it said."""

    status: str
    rule: str
    text: str


def examples() -> dict[str, dict[str, Any]]:
    """Documents of kinds whose shipped one is empty, and of those that the table itself needs."""
    owned = {"owner": "Master Data Owner", "mode": "accept_and_log", "governed": True}
    owners = [{"entity": entity, "field": field, **owned} for entity in FIELDS for field in FIELDS[entity]]
    everything = {
        **Rights().roles,
        "Integration Owner": ("*",),
        "Master Data Owner": ("*",),
        "Administrator": ("authority.*", "catalogue.*", "read"),
    }
    return {
        "rights": {"roles": everything},
        "fields": {"fields": [{"name": "colour"}]},
        "field_ownership": {"owners": owners},
        "amount_limits": {"limits": [{"act": "stock.adjust", "role": "Finance", "amount": "100", "unit": "EUR"}]},
        "buffers": {"buffers": [{"categories": ["tea"], "units": "1"}]},
        "guards": {"modes": {"freeze_guard": "simulated"}},
        "writers": {"systems": {"old": {"title": "The old shop"}}},
        "tax": {"home": "DE"},
    }


def documents(name: str, kind: type[Policy]) -> list[dict[str, Any]]:
    """Return two valid documents of a kind that are neither alike nor as shipped, found by turning single values."""
    given = examples().get(name)
    found = [read(name, given)] if given is not None else []
    shipped = kind()
    for changed in islice(_turned(json.to_plain(found[0] if found else shipped)), 3000):
        with suppress(AssertionError):
            one = read(name, changed)
            if one not in (shipped, *found):
                found.append(one)
        if len(found) == 2:
            break
    return [json.to_plain(one) for one in found]


def read(name: str, document: dict[str, Any]) -> Policy:
    one = read_document(house.POLICY_KINDS, name, document, house.known())
    assert not isinstance(one, Refusal), one
    return one


def _turned(value: Any) -> Iterator[Any]:
    """Yield the value with one of its parts another."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, max(value - 1, 0))
        case None | str():
            yield from (
                one
                for one in ("Europe/Berlin", "7", "DE", "USD", "origin", "off", "18:00", "0.2", 7, f"{value} more")
                if one != value
            )
        case dict():
            for name, part in value.items():
                yield from ({**value, name: one} for one in _turned(part))
        case list() | tuple():
            for at, part in enumerate(value):
                yield from ([*value[:at], one, *value[at + 1 :]] for one in _turned(part))
            if value:
                yield value[:-1]


def policies() -> Iterator[Thing]:
    """Yield the documents of every kind there is."""
    for name, kind in sorted(house.POLICY_KINDS.items()):
        first, second = documents(name, kind)
        fixed = name == Rights.kind or bool(kind.names)
        called = "item" if "item" in kind.names else (kind.names or ("default",))[0] if fixed else OWN
        left = [one for one in kind.names if one not in (called, "location", "partner")]
        other = left[-1] if left else f"{called} too"

        def publish(policy: str, document: dict[str, Any], kind: str = name) -> Make:
            return lambda _: PublishPolicy(policy_kind=kind, policy_name=policy, document=document, reason="held")

        def withdraw(policy: str, kind: str = name) -> Make:
            return lambda _: WithdrawPolicy(policy_kind=kind, policy_name=policy, reason="held")

        yield Thing(
            name=f"policy {name}",
            keys=frozenset(f"{name}.{field}" for field in kind.__struct_fields__),
            tables=("policy", "policy_active"),
            create=_first_then(publish(called, first), publish(other, first)),
            update=publish(called, second),
            delete=withdraw(called),
        )


def _first_then(first: Make, then: Make) -> Make:
    """The first is made while founding; afterwards it is there, and another one is asked for."""
    return lambda at: first(at) if at == 0 else then(at)


PART = [{"sku": "PART", "quantity": "1"}]
_KIT = {"kind": "kit", "components": PART}
BUNDLES: dict[Entity, dict[str, dict[str, Any]]] = {
    "item": {
        "kind": {"kind": "charge"}, "phantom": {**_KIT, "phantom": True}, "components": _KIT,
        "tracking": {"tracking": "lot"}, "expires": {"tracking": "lot", "expires": True},
        "name": {"name": "Another"}, "gtin": {"gtin": "4006381333931"}, "weight_g": {"weight_g": "310"},
        "category": {"category": "tea"}, "unit_price": {"unit_price": "9.90", "currency": "EUR"},
        "currency": {"currency": "EUR"}, "tax_class": {"tax_class": "reduced"}, "lead_days": {"lead_days": 3},
        "units": {"units": {"case": "24"}}, "fields": {"fields": {"colour": "red"}}, "length_mm": {"length_mm": "10"},
        "width_mm": {"width_mm": "10"}, "height_mm": {"height_mm": "10"}, "return_days": {"return_days": 30},
        "packs": {"packs": {"case": {"count": "24", "contains": "each"}}}, "brand": {"brand": "acme"},
        "net_content": {"net_content": "5", "net_content_unit": "g"}, "formulation": {"formulation": "green"},
        "net_content_unit": {"net_content": "5", "net_content_unit": "g"},
        "certifications": {"certifications": ["bio"]},
        "price_on_pack": {"price_on_pack": "5"}, "supplier": {"supplier": "BRNO"},
    },
    "location": {
        "name": {"name": "Another"}, "kind": {"kind": "store"}, "country": {"country": "DE"},
        "groups": {"groups": ["a"]},
        "timezone": {"timezone": "Europe/Berlin"}, "latitude": {"latitude": "1", "longitude": "1"},
        "longitude": {"latitude": "1", "longitude": "1"}, "postcode": {"postcode": "10115"},
        "calendar": {"calendar": "own"}, "handling_days": {"handling_days": 2}, "pickup": {"pickup": True},
        "fields": {"fields": {"colour": "red"}},
    },
    "partner": {
        "name": {"name": "Another"}, "kind": {"kind": "carrier"}, "gln": {"gln": "4012345000009"},
        "country": {"country": "DE"}, "timezone": {"timezone": "Europe/Berlin"}, "currency": {"currency": "EUR"},
        "in_force_from": {"in_force_from": "2026-01-01"}, "in_force_until": {"in_force_until": "2027-01-01"},
        "lead_days": {"lead_days": 3}, "minimum_order": {"minimum_order": "500", "currency": "EUR"},
        "payment_days": {"payment_days": 30}, "incoterm": {"incoterm": "DAP"}, "claim_days": {"claim_days": 5},
        "returns_days": {"returns_days": 30}, "answer_within_minutes": {"answer_within_minutes": 30},
        "order_cutoff": {"order_cutoff": "14:00"}, "fields": {"fields": {"colour": "red"}},
    },
}  # fmt: skip
"""What is sent to give each field of a record another value, with what it cannot be without."""


def records() -> Iterator[Thing]:
    """Yield every field of items, locations and partners, each on a record of its own."""
    known: dict[Entity, tuple[str, type[Any], type[Any], type[Any], tuple[str, ...]]] = {
        "item": ("sku", RegisterItem, AmendItems, ItemFields, ("item", "item_key")),
        "location": ("code", RegisterLocation, AmendLocations, LocationFields, ("location",)),
        "partner": ("code", RegisterPartner, AmendPartners, PartnerFields, ("partner",)),
    }
    for entity, fields in FIELDS.items():
        key, register, amend, amendable, tables = known[entity]
        for field in fields:
            bundle = BUNDLES[entity][field]
            here = f"{entity}-{field}"

            def create(
                at: int, kind: type[Any] = register, key: str = key, here: str = here, bundle: dict[str, Any] = bundle
            ) -> Command:
                more = bundle if at else {}
                return json.convert({key: f"{here}-{at}", "name": "Known", **more}, kind)  # type: ignore[no-any-return]

            def update(
                at: int, register: type[Any] = register, amend: type[Any] = amend, key: str = key, here: str = here,
                bundle: dict[str, Any] = bundle, amendable: type[Any] = amendable,
            ) -> Command:  # fmt: skip
                if bundle.keys() <= {*amendable.__struct_fields__}:
                    return json.convert({"rows": [{key: f"{here}-0", "fields": bundle}]}, amend)  # type: ignore[no-any-return]
                return json.convert({key: f"{here}-0", "name": "Known", **bundle}, register)  # type: ignore[no-any-return]

            keys = frozenset(f"{entity}.{one}" for one in (*bundle, "name"))
            yield Thing(name=f"{entity}.{field}", keys=keys, tables=tables, create=create, update=update)


def registered(people: dict[str, Actor]) -> Iterator[Thing]:
    """Yield the writers' rules, imported contracts, and who holds which role."""
    first, second = Cohort(channel="web"), Cohort(channel="shop")

    def contract(at: int, version: str) -> Command:
        name = "imported" if version != "1.0.0" or not at else "imported-too"
        return ImportContract(name=name, document=CONTRACT.format(name=name, version=version), reason="held")

    yield Thing(
        name="contract, imported",
        keys=frozenset(key for key in house.known().governed if key.startswith("contract.")),
        tables=("policy", "policy_active"),
        create=lambda at: contract(at, "1.0.0"),
        update=lambda at: contract(at, "1.1.0"),
    )
    yield Thing(
        name="rule of a writer",
        keys=frozenset({"writer.order"}),
        tables=("writer_rule",),
        create=lambda at: AssignWriter(entity="order", system="trueup", reason="held", cohort=second if at else first),
        update=lambda at: EndWriter(entity="order", reason="held", cohort=first),
        delete=lambda at: EndWriter(entity="order", reason="held", cohort=first),
    )

    def someone(at: int, **values: Any) -> Command:
        return RegisterActor(**{"name": f"Somebody {at}", "roles": ("Change Control Board",), **values})

    other = people["Carl"].id
    yield Thing(
        name="role, given",
        keys=frozenset(),
        tables=("actor",),
        create=someone,
        update=lambda at: someone(at, actor=other, name=f"Carl {at}", roles=(("Trainer",), ("Finance",))[at % 2]),
        delete=lambda at: someone(at, actor=other, name="Carl", roles=(), active=at % 2 == 0),
    )
    days = count(2027)
    yield Thing(
        name="role, appointed",
        keys=frozenset(),
        tables=("appointment",),
        create=lambda at: json.convert(
            {"actor": people["Dora"].id, "role": "Finance", "over": f"category:c{at}-{next(days)}"}, Appoint
        ),
        update=lambda at: json.convert(
            {"actor": people["Dora"].id, "role": "Finance", "over": f"brand:b{at}-{next(days)}"}, Appoint
        ),
    )


RULE = re.compile(r"[Rr]ule ([a-z_]+[.][a-z_]+)")
SHOWN = re.compile(r"visit\.submit\((\w+)")
PAGES = Path(house.__file__).parent / "web/console/pages"


def submitted_by_pages() -> set[str]:
    """Return the names of the commands that any form of the console sends."""
    return {name for page in PAGES.glob("*.py") for name in SHOWN.findall(page.read_text())} | {"Appoint"}


class Ways:
    """The ways in, each with who uses it: `await ways.send["API"](command)`."""

    def __init__(
        self, url: str, door: Door, address: str, session: aiohttp.ClientSession, visitor: Visitor, folder: Path
    ) -> None:
        self.url, self.door, self.address, self.session, self.visitor = url, door, address, session, visitor
        self.folder = folder
        self.keys: dict[str, str] = {}
        self.numbers = count()
        self._form: dict[str, str] = {}
        self.send: dict[str, Callable[[Command], Awaitable[Answer | None]]] = {
            "console": self.console,
            "API": lambda command: self.over_http(command, "API"),
            "file": self.file,
            "job": self.job,
            "token": lambda command: self.over_http(command, "token"),
            "agent": lambda command: self.over_http(command, "agent"),
        }

    async def job(self, command: Command) -> Answer:
        """As worker and storyline do: Trueup itself, through the door."""
        return _told(await self.door.submit(SYSTEM, command, f"due/{next(self.numbers)}"))

    async def file(self, command: Command) -> Answer:
        """The command line, reading a file, as the operator."""
        body = self.folder / f"{next(self.numbers)}.json"
        body.write_bytes(json.encode(command))
        name = next(verb.name for verb in house.VERBS if verb.command is type(command))
        told = await run(self.url, "do", name, "--file", str(body), "--json")
        return _told(msgspec.json.decode(told.out.strip().rpartition("\n")[2], type=Outcome))

    async def over_http(self, command: Command, way: str) -> Answer:
        """One address of the API that takes this command, with a key."""
        body = msgspec.json.decode(json.encode(command))
        for row in ADDRESSES[type(command)]:
            named = re.findall(r"{(\w+)}", row.path)
            filled = {name: body.get(row.fills.get(name, name)) for name in named}
            if any(value is None for value in filled.values()):
                continue
            path = row.path.format(**filled)
            sent = {k: v for k, v in body.items() if k not in {row.fills.get(n, n) for n in named} | row.fixed.keys()}
            return await self._http(row.method, path, sent, way)
        raise AssertionError(f"no address takes {command}")

    async def _http(self, method: str, path: str, body: dict[str, Any], way: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.keys[way]}", "Idempotency-Key": f"{way}-{next(self.numbers)}"}
        async with self.session.request(method, self.address + path, json=body, headers=headers) as answer:
            told = await answer.json(content_type=None)
        if answer.status < 300:
            return Answer(told["status"], "", str(told))
        return Answer("refused", told["type"].removeprefix("urn:trueup:rule:"), f"{told['detail']} {told['fix']}")

    async def console(self, command: Command) -> Answer | None:
        """The form of the console that sends this command, or None where no page has one."""
        form = _form_of(command)
        if form is None:
            assert type(command).__name__ not in submitted_by_pages(), "a page sends it: fill its form in here"
            return None
        path, fields = form
        if not self._form:
            # A form carries the session's own token, whichever page it is on.
            self._form = (await self.visitor.get("/policies/holds")).hidden("/policies/holds")
        named = fields.items() if isinstance(fields, dict) else fields
        sent: Any = [*named, *{**self._form, "key": f"held-{next(self.numbers)}"}.items()]
        page = await self.visitor.post(path, sent)
        text = _said(page.text)
        if page.status == 200:
            return Answer("applied", "", text)
        rule = RULE.search(text)
        assert page.status in (403, 422), f"{page.status}: {text}"
        assert rule is not None, text
        return Answer("refused", rule[1], text)


def _said(page: str) -> str:
    """Return the words of a page's main part."""
    main = page.partition("<main")[2].partition("</main>")[0] or page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


def _told(outcome: Outcome) -> Answer:
    refusal = outcome.refusal
    if refusal is None:
        return Answer(outcome.status, "", "")
    return Answer(outcome.status, refusal.rule, f"{refusal.what} {refusal.fix}")


def _form_of(command: Command) -> tuple[str, Any] | None:
    """Return where the console takes a command, and the fields of its form."""
    match command:
        case PublishPolicy():
            document = json.encode(command.document).decode()
            return f"/policies/{command.policy_kind}", {
                "name": command.policy_name, "document": document, "reason": command.reason}  # fmt: skip
        case WithdrawPolicy():
            return f"/policies/{command.policy_kind}/withdraw", {
                "name": command.policy_name, "reason": command.reason}  # fmt: skip
        case ImportContract():
            return "/contracts/import", {f: getattr(command, f) for f in command.__struct_fields__}
        case AssignWriter() | EndWriter():
            fields = {"entity": command.entity, "reason": command.reason, "channel": command.cohort.channel or ""}
            if isinstance(command, EndWriter):
                return "/writers/end", fields
            return "/writers/assign", {**fields, "system": command.system}
        case RegisterActor():
            fields = {"name": command.name, "kind": command.kind, "email": "", "active": "1" if command.active else ""}
            path = "/actors" if command.actor is None else f"/actors/{command.actor}"
            return path, [*fields.items(), *(("roles", role) for role in command.roles)]
        case Appoint():
            return f"/actors/{command.actor}/people/appoint", {
                "role": command.role, "over": command.over or "", "deputy": "", "until_on": ""}  # fmt: skip
        case AmendItems() | AmendPartners():
            row = command.rows[0]
            given = {n: v for n in row.fields.__struct_fields__ if (v := getattr(row.fields, n)) is not msgspec.UNSET}
            shown = {name: text for field, value in given.items() for name, text in _inputs(field, value).items()}
            shown |= {f"was-{name}": "" for name in shown}
            if isinstance(row, ItemPatch):
                return "/items/amend", {"sku": row.sku, "reason": "held", **shown}
            return "/partners/amend", {"code": row.code, "reason": "held", **shown}
    return None


def _inputs(field: str, value: Any) -> dict[str, str]:
    if field == "fields":
        return {f"fields.{name}": str(one) for name, one in value.items()}
    if field == "units":
        return {field: "\n".join(f"{name} {number}" for name, number in value.items())}
    if field == "packs":
        return {field: "\n".join(f"{name} {pack.count} {pack.contains}" for name, pack in value.items())}
    return {field: " | ".join(value) if isinstance(value, tuple | list) else str(value)}


def written_by_sql(url: str, tables: tuple[str, ...], attempt: str) -> dict[str, str]:
    """Try one operation on each table as the application's role; return how the database answered each."""
    found = {}
    with psycopg.connect(session(url, APP), autocommit=True) as connection:
        for table in tables:
            row = connection.execute(
                """select attname from pg_attribute where attrelid = %s::regclass and attnum > 0
                and attgenerated = '' and attidentity = '' order by attnum limit 1""",
                [table],
            ).fetchone()
            assert row is not None
            names = {"table": psycopg.sql.Identifier(table), "column": psycopg.sql.Identifier(row[0])}
            try:
                connection.execute(psycopg.sql.SQL(ATTEMPTS[attempt]).format(**names))
                found[table] = "carried out"
            except psycopg.Error as error:
                found[table] = str(error.sqlstate)
    return found
