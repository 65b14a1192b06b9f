"""Partners' terms as master data: staged, merged by field, owned, dated, and read where a lead time is asked for."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from tests.board import Company, declared
from tests.catalogue.test_amend import APPLY, amendment, publish, refusal_of
from tests.catalogue.test_amend import amend as amend_items
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, person, rows
from tests.sourcing.test_readiness import SHIPPABLE, placed

from trueup import house
from trueup.authority.apply import ApplyChange
from trueup.authority.appoint import AcceptAppointment, Appoint
from trueup.authority.change_read import change_detail
from trueup.authority.standing import SYSTEM
from trueup.catalogue import lead, read_partners, read_quality
from trueup.catalogue.amend_partners import AmendPartners
from trueup.catalogue.bulk_amend import read_table, stage, validated
from trueup.catalogue.partner_state import Partner, in_force
from trueup.catalogue.read import ItemQuery, items
from trueup.catalogue.readiness import ReadinessPolicy, readiness
from trueup.catalogue.register import RegisterItem
from trueup.catalogue.register_partner import RegisterPartner
from trueup.core import json
from trueup.core.checks import run_checks
from trueup.core.clock import TurnedClock
from trueup.core.database import OWNER, Connection, connect, session
from trueup.core.door import Door
from trueup.core.fields import NO_CUSTOM_FIELDS
from trueup.core.policy import Policies
from trueup.core.verb import Command, Outcome
from trueup.stock.shelves import NOBODY, read_places, read_stocked
from trueup.storyline import settled
from trueup.worker import notice_now

GLN, OTHER_GLN = "4012345000009", "5412345000013"
GOVERNED = [
    {"entity": "partner", "field": "payment_days", "owner": "Finance", "governed": True},
    {"entity": "partner", "field": "lead_days", "owner": "Master Data Owner", "governed": True},
    {"entity": "partner", "field": "gln", "owner": "Master Data Owner", "governed": True},
    {"entity": "partner", "field": "incoterm", "owner": "Finance", "mode": "propose", "governed": True},
]
RECORD = "select convert_to(to_jsonb(p)::text, 'UTF8') from partner p order by code"


def partner(code: str = "BRNO", **values: Any) -> RegisterPartner:
    return json.convert({"code": code, "name": code.title(), **values}, RegisterPartner)


def amend(*patches: dict[str, Any]) -> AmendPartners:
    return json.convert({"rows": list(patches)}, AmendPartners)


def terms(fields: dict[str, Any], code: str = "BRNO", **more: Any) -> dict[str, Any]:
    return {"code": code, "fields": fields, **more}


async def sent(door: Door, command: Command, key: str | None = None) -> Outcome:
    return await door.submit(SYSTEM, command, key or hashlib.sha256(json.encode(command)).hexdigest())


async def known(door: Door, *commands: Command) -> None:
    expect_all([await sent(door, command) for command in commands])


async def governed(door: Door) -> Company:
    await known(door, partner(payment_days=30, lead_days=14), partner("WIEN", lead_days=3))
    await publish(door, "field_ownership", {"owners": GOVERNED})
    return await declared(door, Stella="Data Steward")


async def asked(url: str) -> Connection:
    return await connect(url, default_transaction_read_only="on")


async def test_what_is_not_named_stays_and_the_same_again_is_merged(door: Door, url: str):
    await known(door, partner(gln=GLN, currency="EUR", minimum_order="500", claim_days=5, order_cutoff="14:00"))
    outcome = await sent(door, amend(terms({"lead_days": 14, "claim_days": None, "in_force_until": "2027-12-31"})))
    assert outcome.result == {"partners": 1, "planned": 0}
    assert await rows(url, "select lead_days, claim_days, minimum_order, in_force_until, version from partner") == [
        (14, None, Decimal(500), date(2027, 12, 31), 2)
    ]
    assert (await sent(door, amend(terms({"minimum_order": "500.00"})))).status == "merged"
    again = await sent(door, amend(terms({"lead_days": 14, "in_force_until": "2027-12-31"})), "again")
    assert again.status == "merged"
    assert await rows(url, "select version from partner") == [(2,)]
    await prove(url)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"gln": "4012345000008"}, "catalogue.gln", "gln"),
    ({"gln": "40123450000"}, "catalogue.gln", "gln"),
    ({"currency": "EURO"}, "catalogue.currency", "currency"),
    ({"minimum_order": "500"}, "catalogue.minimum_order", "minimum_order"),
    ({"minimum_order": "-1", "currency": "EUR"}, "catalogue.minimum_order", "minimum_order"),
    ({"timezone": "Mars/Base"}, "catalogue.timezone", "timezone"),
    ({"in_force_from": "2026-05-01", "in_force_until": "2026-04-30"}, "catalogue.in_force", "in_force_until"),
    ({"fields": {"buyer": "Ada"}}, "fields.unknown", "fields.buyer"),
]


async def test_it_refuses_what_a_partner_cannot_be_naming_every_row_and_field(door: Door, url: str):
    for fields, rule, where in REFUSED:
        refusal = refusal_of(await sent(door, partner(**fields)))
        assert (refusal.rule, refusal.where) == (rule, where)
    assert await rows(url, "select * from partner") == []
    await known(door, partner(), partner("WIEN"))
    for fields, rule, where in REFUSED:
        outcome = await sent(door, amend(terms({"name": "Wien"}, "WIEN"), terms(fields), terms({}, "NONE")))
        refusal = refusal_of(outcome)
        assert refusal.rule == rule
        assert [one.where for one in refusal.details] == [f"rows[1].fields.{where}", "rows[2].code"]
    assert await rows(url, "select name, version from partner order by code") == [("Brno", 1), ("Wien", 1)]
    await prove(url)


async def test_a_partner_stays_what_it_is_for_us(door: Door, url: str):
    await known(door, partner(), RegisterItem(sku="MUG", name="Mug", supplier="BRNO"))
    refusal = refusal_of(await sent(door, partner(kind="carrier")))
    assert refusal.rule == "catalogue.partner_kind"
    assert await rows(url, "select kind, version from partner") == [("supplier", 1)]
    await prove(url)


@pytest.mark.parametrize("how", ["register", "amend", "plan"])
async def test_an_item_is_bought_from_a_supplier_that_is_known_and_from_nobody_else(door: Door, url: str, how: str):
    await stocked(door, MUG=1)
    await known(door, partner(), partner("POST", kind="carrier"))

    def buying(code: str | None) -> Command:
        if how == "register":
            return RegisterItem(sku="MUG", name="Mug", supplier=code)
        more = {"effective_from": "2027-01-01"} if how == "plan" else {}
        return amend_items(amendment("MUG", {"supplier": code}, **more))

    for code, what in (("NONE", "no partner 'NONE'"), ("POST", "'POST' is a carrier")):
        refusal = refusal_of(await sent(door, buying(code)))
        assert (refusal.rule, what in refusal.what) == ("catalogue.unknown_supplier", True)
        assert refusal.where.endswith("supplier")
    assert await rows(url, "select supplier, version from item") == [(None, 1)]
    assert await rows(url, "select * from planned_amendment") == []
    assert (await sent(door, buying("BRNO"))).status == "applied"
    expected = None if how == "plan" else "BRNO"
    assert await rows(url, "select supplier from item") == [(expected,)]
    if how == "register":
        await known(door, RegisterItem(sku="MUG", name="Mug 2"))
        assert await rows(url, "select supplier from item") == [("BRNO",)], "left out, it stays"
    await prove(url)


async def test_the_lead_time_of_an_item_is_its_own_and_else_its_suppliers_wherever_it_is_asked(
    door: Door, url: str, clock: TurnedClock
):
    """In memory, in the list's condition and in a promise the same."""
    await stocked(door, OWN=1, THEIRS=1, NOBODYS=1, SLOW=1)
    await known(
        door,
        partner(lead_days=14),
        partner("WIEN"),
        amend_items(
            amendment("OWN", {**SHIPPABLE, "supplier": "BRNO"}),
            amendment("THEIRS", {**SHIPPABLE, "lead_days": None, "supplier": "BRNO"}),
            amendment("NOBODYS", {**SHIPPABLE, "lead_days": None}),
            amendment("SLOW", {**SHIPPABLE, "lead_days": None, "supplier": "WIEN"}),
        ),
    )
    policy = ReadinessPolicy()
    connection = await asked(url)
    try:
        everything = (await items(connection, ItemQuery())).items
        agreed = await lead.agreed(connection, everything)
        found = {item.sku: lead.lead_days(item, agreed[item.id]) for item in everything}
        assert found == {"OWN": 3, "THEIRS": 14, "NOBODYS": None, "SLOW": None}
        told = await (await connection.execute(f"select i.sku, {lead.LEAD_DAYS} from item i")).fetchall()
        assert dict(told) == found
        listed = (await items(connection, ItemQuery(readiness="shippable"), readiness=policy)).items
        ready = [item.sku for item in everything if readiness(item, policy, agreed[item.id]).step == "shippable"]
        assert [item.sku for item in listed] == ready == ["OWN", "THEIRS"]
        places = await read_places(connection)
        shelves = await read_stocked(connection, Policies([]), places, sorted(found), (), clock.now())
        assert {sku: shelf[NOBODY].part.lead_days for sku, shelf in shelves.items()} == found
    finally:
        await connection.close()
    await prove(url)


async def test_what_waited_for_a_lead_time_is_sourced_once_it_is_agreed_with_the_supplier(door: Door, url: str):
    await stocked(door, MUG=10)
    needed = {**SHIPPABLE, "lead_days": None, "supplier": "BRNO"}
    await known(door, partner(), amend_items(amendment("MUG", needed)))
    await publish(door, "readiness", {"enforce": True})
    order = await placed(door, order_of(MUG=2))
    await settled(door, url, house.build())
    units = "select allocated::int from order_line where order_id = %s"
    assert await rows(url, units, order) == [(0,)]
    await known(door, amend(terms({"lead_days": 14})))
    await settled(door, url, house.build())
    assert await rows(url, units, order) == [(2,)]
    await prove(url)


async def test_a_lead_time_agreed_in_the_same_batch_holds_for_the_next_command(door: Door, url: str):
    await stocked(door, MUG=10)
    needed = {**SHIPPABLE, "lead_days": None, "supplier": "BRNO"}
    await known(door, partner(), amend_items(amendment("MUG", needed)))
    await publish(door, "readiness", {"enforce": True, "sellable": ["lead_time"], "shippable": []})
    commands: list[tuple[str, Command]] = [
        ("too early", order_of(MUG=1)),
        ("agreed", amend(terms({"lead_days": 14}))),
        ("by then", order_of(MUG=1)),
    ]
    statuses = [outcome.status for outcome in await door.submit_all(SYSTEM, commands)]
    assert statuses == ["refused", "applied", "applied"]
    await prove(url)


async def test_rejecting_a_change_of_terms_leaves_the_partner_byte_identical(door: Door, url: str):
    company = await governed(door)
    before = await rows(url, RECORD)
    change = await company.propose(company.Mia, amend(terms({"lead_days": 9, "payment_days": 14})))
    assert await rows(url, RECORD) == before, "staged beside the record"
    await company.reject(company.Finn, change, "the terms stay")
    assert await rows(url, RECORD) == before
    assert await company.refused(company.Mia, ApplyChange(change=change[0])) == "authority.change_ended"
    assert await rows(url, RECORD) == before
    await prove(url)


async def test_a_governed_term_is_written_directly_by_nobody_its_owner_included(door: Door, url: str):
    company = await governed(door)
    before = await rows(url, RECORD)
    for command in (
        amend(terms({"payment_days": 14})),
        amend(terms({"payment_days": 14}, effective_from="2027-01-01")),
        partner(lead_days=14, payment_days=14),
        partner("NEW", payment_days=14),
    ):
        for who in (company.Mia, SYSTEM):
            assert await company.refused(who, command) == "authority.needs_change"
    assert await rows(url, RECORD) == before
    free = await company.act(company.Mia, amend(terms({"claim_days": 5})))
    assert free.status == "applied", "what is not governed goes through"
    await prove(url)


async def test_parallel_changes_of_terms_merge_by_field_and_conflict_only_on_the_same_one(door: Door, url: str):
    company = await governed(door)
    paid = await company.propose(company.Mia, amend(terms({"payment_days": 14})))
    leading = await company.propose(company.Lea, amend(terms({"lead_days": 9})))
    other = await company.propose(company.Lea, amend(terms({"lead_days": 8})))
    await company.approve(paid, company.Finn, company.Olga, company.Bea, company.Ivan)
    for change in (leading, other):
        await company.approve(change, company.Mia, company.Olga, company.Bea)
    await company.apply(company.Mia, paid)
    await company.apply(company.Mia, leading)
    agreed = "select payment_days, lead_days from partner where code = 'BRNO'"
    assert await rows(url, agreed) == [(14, 9)]
    assert await company.refused(company.Mia, ApplyChange(change=other[0])) == "authority.stale"
    assert await rows(url, agreed) == [(14, 9)]
    await company.revert(company.Mia, leading)
    assert await rows(url, agreed) == [(14, 14)], "rolled back in one step, the other field stays"
    await prove(url)


async def test_a_change_of_terms_says_that_it_cannot_be_replayed_and_needs_the_higher_quorum(door: Door, url: str):
    company = await governed(door)
    change = await company.propose(company.Lea, amend(terms({"lead_days": 9})))
    await company.approve(change, company.Mia, company.Olga)
    assert await company.refused(company.Mia, ApplyChange(change=change[0])) == "authority.not_approved"
    connection = await asked(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        found = await change_detail(connection, change[0], policies, door.now())
        assert found is not None
        assert found.unreplayed == ("catalogue.amend_partners: only policies are replayed",)
    finally:
        await connection.close()


async def test_who_does_not_own_a_term_that_asks_for_proposals_stages_one(door: Door, url: str):
    company = await governed(door)
    before = await rows(url, RECORD)
    outcome = await company.act(company.Stella, amend(terms({"incoterm": "DAP"})))
    assert outcome.status == "pending_approval", outcome
    assert await rows(url, RECORD) == before
    change = (outcome.result["change"], outcome.result["digest"])
    await company.approve(change, company.Finn, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Finn, change)
    assert await rows(url, "select incoterm from partner order by code") == [("DAP",), (None,)]
    await prove(url)


WRITES: dict[str, Command] = {
    "amend": amend(terms({"payment_days": 14})),
    "plan": amend(terms({"payment_days": 14}, effective_from="2027-01-01")),
    "register": partner(payment_days=14),
    "create": partner("NEW", payment_days=14),
}


@pytest.mark.parametrize("how", WRITES)
async def test_a_term_is_written_by_its_owner_alone_whichever_verb_writes_it(door: Door, url: str, how: str):
    await known(door, partner())
    await publish(door, "field_ownership", {"owners": [{**GOVERNED[0], "governed": False}]})
    before = await rows(url, RECORD)
    steward = await person(door, "Stella", "Data Steward")
    refusal = refusal_of(await door.submit(steward, WRITES[how], "not hers"))
    assert (refusal.rule, "belongs to Finance" in refusal.what) == ("catalogue.not_the_owner", True)
    assert await rows(url, RECORD) == before
    assert await rows(url, "select * from planned_amendment") == []
    owner = await person(door, "Fay", "Finance", "Data Steward")
    outcome = await door.submit(owner, WRITES[how], "hers")
    assert outcome.status == "applied", outcome.refusal
    await prove(url)


async def test_terms_for_a_day_to_come_wait_for_the_partners_day_and_are_told_as_of_any_time(
    door: Door, url: str, clock: TurnedClock
):
    start = clock.now()
    clock.turn(timedelta(minutes=1))
    await known(door, partner(timezone="Pacific/Auckland", lead_days=14), partner("WIEN"))
    await known(door, amend(terms({"lead_days": 9}, effective_from="2026-03-05")))
    begins = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)

    async def told(at: datetime) -> int | str | None:
        connection = await asked(url)
        try:
            policies = (await house.build().load_standing(connection)).policies
            found = await read_quality.partner_as_of(connection, "BRNO", at, policies)
            return found.lead_days if found is not None else "unknown"
        finally:
            await connection.close()

    expected = ["unknown", 14, 14, 9]
    moments = [start, clock.now(), begins - timedelta(seconds=1), begins]
    assert [await told(moment) for moment in moments] == expected
    clock.turn(begins - timedelta(seconds=1) - clock.now())
    assert await notice_now(url, door, APPLY) == 0
    clock.turn(timedelta(seconds=1))
    assert await notice_now(url, door, APPLY) == 1
    assert await rows(url, "select lead_days, version from partner where code = 'BRNO'") == [(9, 2)]
    assert [await told(moment) for moment in moments] == expected, "that it has happened changes nothing"
    await prove(url)


async def test_planned_terms_are_taken_back(door: Door, url: str):
    await known(door, partner(), amend(terms({"lead_days": 9}, effective_from="2027-01-01")))
    assert (await sent(door, amend(terms({"lead_days": None}, withdraw_planned=True)))).status == "applied"
    assert await rows(url, "select entity, ending from planned_amendment") == [("partner", "withdrawn")]
    await prove(url)


async def test_rows_with_bad_check_digits_are_named_and_the_others_staged_in_one_change(door: Door, url: str):
    company = await governed(door)
    table = [
        {"code": "BRNO", "gln": GLN, "claim_days": "5"},
        {"code": "WIEN", "gln": OTHER_GLN[:-1] + "0"},
        {"code": "NONE", "claim_days": "5"},
        {"code": "WIEN", "answer_within_minutes": "0"},
    ]
    connection = await connect(url)
    try:
        read = read_table(table, NO_CUSTOM_FIELDS, "partner")
        good = await validated(connection, house.build(), company.Stella, read, door.now())
        staged = await stage(connection, house.build(), door, company.Stella, good, title="GLNs", reason="a list",
                             key="file")  # fmt: skip
    finally:
        await connection.close()
    assert [(row.row, row.column, row.value) for row in staged.bad] == [
        (3, "gln", OTHER_GLN[:-1] + "0"), (4, "code", "NONE"), (5, "answer_within_minutes", "0"),
    ]  # fmt: skip
    assert (staged.rows, staged.outcome is not None) == (1, True)
    assert staged.outcome is not None
    assert await rows(url, "select gln from partner") == [(None,), (None,)]
    change = (staged.outcome.result["change"], staged.outcome.result["digest"])
    await company.approve(change, company.Mia, company.Olga, company.Bea)
    await company.apply(company.Mia, change)
    assert await rows(url, "select gln, claim_days from partner where code = 'BRNO'") == [(GLN, 5)]
    await prove(url)


def test_an_agreement_is_in_force_from_its_first_day_there_to_its_last():
    one = Partner(id="par_1", code="BRNO", name="Brno", kind="supplier", timezone="Pacific/Auckland",
                  in_force_from=date(2026, 3, 5), in_force_until=date(2026, 3, 6))  # fmt: skip
    begins = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
    ends = begins + timedelta(days=2)
    moment = timedelta(seconds=1)
    found = [in_force(one, at) for at in (begins - moment, begins, ends - moment, ends)]
    assert found == ["to_come", "in_force", "in_force", "ended"]


async def test_items_of_a_supplier_whose_agreement_is_over_are_a_finding(door: Door, url: str, clock: TurnedClock):
    await known(
        door,
        partner(in_force_until="2026-02-28"),
        partner("WIEN", in_force_until="2027-02-28"),
        RegisterItem(sku="MUG", name="Mug", supplier="BRNO"),
        RegisterItem(sku="CUP", name="Cup", supplier="WIEN"),
    )
    connection = await asked(url)
    try:
        found = await read_partners.suppliers_not_in_force(connection, clock.now())
        assert [(one.code, one.agreement, one.items) for one in found] == [("BRNO", "ended", 1)]
        listed = (await read_partners.partners(connection, read_partners.PartnerQuery(), clock.now())).items
        assert [(one.partner.code, one.agreement) for one in listed] == [("BRNO", "ended"), ("WIEN", "in_force")]
    finally:
        await connection.close()


async def test_partners_are_found_by_code_gln_name_and_kind(door: Door, url: str, clock: TurnedClock):
    await known(door, partner(gln=GLN, name="Factory in Brno"), partner("POST", kind="carrier", name="Parcel post"))
    connection = await asked(url)
    try:
        for query, expected in (
            ({"search": "BR"}, ["BRNO"]), ({"search": GLN}, ["BRNO"]), ({"search": "post"}, ["POST"]),
            ({"kind": "carrier"}, ["POST"]), ({"search": "none"}, []), ({"limit": 1}, ["BRNO"]),
        ):  # fmt: skip
            wanted = json.convert(query, read_partners.PartnerQuery)
            found = await read_partners.partners(connection, wanted, clock.now())
            assert [one.partner.code for one in found.items] == expected
        first = await read_partners.partners(connection, read_partners.PartnerQuery(limit=1), clock.now())
        rest = read_partners.PartnerQuery(limit=1, cursor=first.next)
        assert [one.partner.code for one in (await read_partners.partners(connection, rest, clock.now())).items] == [
            "POST"
        ]
        one = await read_partners.partner(connection, "BRNO", clock.now())
        assert one is not None
        assert await read_partners.partner(connection, one.partner.id, clock.now()) == one
    finally:
        await connection.close()


async def test_the_proofs_find_a_supplier_that_was_written_past_the_door(door: Door, url: str):
    """The control: with nothing written past it, they find nothing."""
    await known(door, partner("POST", kind="carrier"), RegisterItem(sku="MUG", name="Mug"))
    found = []
    for supplier in (None, "NONE", "POST"):
        with psycopg.connect(session(url, OWNER), autocommit=True) as connection:
            connection.execute("update item set supplier = %s", [supplier])
        opened = await asked(url)
        try:
            results = await run_checks(opened, house.CHECKS)
        finally:
            await opened.close()
        found.append([one.name for one in results if one.failing and one.name.startswith("catalogue.")])
    assert found == [[], ["catalogue.suppliers_are_partners"], ["catalogue.suppliers_are_partners"]]


async def test_who_is_appointed_for_one_partner_owns_its_terms_and_no_others(door: Door, url: str):
    await known(door, partner(), partner("WIEN"))
    await publish(door, "field_ownership", {"owners": [{**GOVERNED[1], "governed": False}]})
    ana = await person(door, "Ana", "Data Steward")
    for_one = Appoint(actor=ana.id, role="Master Data Owner", over="partner:BRNO")
    made = await sent(door, for_one)
    expect_all([made, await door.submit(ana, AcceptAppointment(appointment=made.result["appointment"]), "accept")])
    hers = await door.submit(ana, amend(terms({"lead_days": 9})), "hers")
    assert hers.status == "applied", hers.refusal
    other = refusal_of(await door.submit(ana, amend(terms({"lead_days": 9}, "WIEN")), "not hers"))
    assert other.rule == "catalogue.not_the_owner"
    assert await rows(url, "select code, lead_days from partner order by code") == [("BRNO", 9), ("WIEN", None)]
    await prove(url)
