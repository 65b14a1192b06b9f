"""`trueup do`: every act through the door, under a key, with the rights and the scope of who acts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.terminal import run
from tests.conftest import stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import rows

from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.errors import TrueupError

ADJUST = ("do", "stock.adjust", "sku=MUG", "location=MAIN", "change=-1", "reason=broken", "reference=r1")
HELD = "select on_hand::int from stock_balance"


async def test_it_does_what_the_verb_says_and_the_same_key_does_it_once(door: Door, url: str):
    await stocked(door, MUG=5)
    first = await run(url, *ADJUST, "--key", "one")
    assert (first.code, first.out.split()[0]) == (0, "applied")
    again = await run(url, *ADJUST, "--key", "one", "--json")
    assert (again.code, again.json["status"], again.json["repeated"]) == (0, "applied", True)
    assert await rows(url, HELD) == [(4,)]
    assert (await run(url, *ADJUST)).code == 0, "without a key each is a new one"
    assert await rows(url, HELD) == [(3,)]
    assert await rows(url, "select distinct actor from journal where name = 'stock.adjust'") == [(SYSTEM.id,)]
    await prove(url)


async def test_values_are_text_or_json_as_the_field_takes_them(door: Door, url: str, tmp_path: Path):
    await stocked(door, MUG=5)
    await stocked(door, location="42")
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"from_location": "MAIN", "to_location": "MAIN", "reference": "[1] of 2"}))
    lines = 'lines=[{"sku":"MUG","quantity":"1.0"}]'
    sent = await run(url, "do", "stock.ship_transfer", lines, "to_location=42", "--file", str(body), "--json")
    assert sent.json["status"] == "applied", "a number is text where text is taken, and wins over the file"
    given = json.dumps({"transfer": sent.json["result"]["transfer"], "lines": [{"sku": "MUG", "quantity": 1}]})
    assert (await run(url, "do", "stock.receive_transfer", "close=true", "--file", "-", given=given)).code == 0
    pooled = ("do", "stock.set_pool", "location=42", "sku=MUG", "channel=null", "mode=cap")
    assert (await run(url, *pooled, "quantity=2")).code == 0
    ended = await run(url, *pooled, "quantity=null", "--json")
    assert ended.json["status"] == "applied", "null where the field takes it, text where it does not"
    assert await rows(url, "select reference, status from stock_transfer") == [("[1] of 2", "closed")]
    await prove(url)


async def test_a_refusal_says_rule_place_and_fix_and_ends_in_1(door: Door, url: str):
    await stocked(door, MUG=5)
    held = ("do", "stock.reserve", "location=MAIN", "expires_at=2099-01-01T00:00:00Z")
    short = await run(url, *held, 'lines=[{"sku":"MUG","quantity":9},{"sku":"CUP","quantity":1}]')
    assert short.code == 1
    assert short.out == ""
    for word in ("catalogue.unknown_item", "where:", "fix:", "CUP"):
        assert word in short.err
    raw = await run(url, *held, 'lines=[{"sku":"MUG","quantity":9}]', "--json")
    assert (raw.code, raw.json["status"], raw.json["refusal"]["rule"]) == (1, "refused", "stock.short")
    detailed = await run(url, *held, 'lines=[{"sku":"MUG","quantity":9}]')
    assert all(detail["what"] in detailed.err for detail in raw.json["refusal"]["details"])
    assert await rows(url, "select * from stock_claim") == []


@pytest.mark.parametrize(
    ("field", "where"),
    [("chnge=-1", "chnge"), ("change=many", "change"), ("change=1.5.2", "change"), ("status=lost", "status")],
)
async def test_a_body_that_is_no_such_command_names_the_field_and_those_there_are(
    door: Door, url: str, field: str, where: str
):
    await stocked(door, MUG=5)
    name = field.partition("=")[0]
    kept = [word for word in ADJUST if not word.startswith(f"{name}=")]
    wrong = await run(url, *kept, field, "--json")
    refusal = wrong.json["refusal"]
    assert (wrong.code, refusal["rule"], refusal["where"]) == (1, "request.invalid", where)
    assert "location, sku, change, reason, reference, status, lot" in refusal["fix"]
    assert await rows(url, HELD) == [(5,)]


async def test_what_cannot_be_read_is_said_in_words(door: Door, url: str, tmp_path: Path):
    with pytest.raises(TrueupError, match=r"no verb 'stock.adjst'; did you mean stock.adjust\?"):
        await run(url, "do", "stock.adjst")
    with pytest.raises(TrueupError, match="Trueup's own follow-up"):
        await run(url, "do", "stock.settle_intent")
    with pytest.raises(TrueupError, match="'sku' is no name=value"):
        await run(url, "do", "stock.adjust", "sku")
    with pytest.raises(TrueupError, match="sku stands twice"):
        await run(url, "do", "stock.adjust", "sku=A", "sku=B")
    broken = tmp_path / "broken.json"
    broken.write_text("[1]")
    with pytest.raises(TrueupError, match="holds no JSON object"):
        await run(url, "do", "stock.adjust", "--file", str(broken))
    nul = await run(url, "do", "stock.adjust", "--json", "--file", "-", given='{"reason": "a\\u0000b"}')
    assert (nul.code, "NUL" in nul.json["refusal"]["what"]) == (1, True)
    slash = await run(url, "do", "stock.adjust", "--json", "--file", "-", given='{"reason": "a\\\\u0000b"}')
    assert "NUL" not in slash.json["refusal"]["what"]
    with pytest.raises(TrueupError, match="cannot be read"):
        await run(url, "do", "stock.adjust", "--file", str(tmp_path / "none.json"))


async def test_what_an_address_fills_itself_is_not_for_the_caller_to_say(door: Door, url: str):
    refused = await run(url, "do", "sourcing.assign", "order=x", "mode=broker", "--json")
    assert (refused.code, refused.json["refusal"]["where"]) == (1, "mode")
    assert refused.json["refusal"]["what"] == "`mode` is not for you to say."


async def test_rights_and_scope_of_a_person_hold(door: Door, url: str):
    await organise(door)
    lead = await scoped(door, "Lena Lead", "NORTH")
    outcome = await door.submit(SYSTEM, RegisterActor(name="Ada", roles=("Auditor",), email="ada@example.com"), "ada")
    adjust = ("do", "stock.adjust", "sku=MUG", "change=-1", "reason=broken", "reference=r1", "--json")
    for who, location, rule in (
        ("ada@example.com", "SHOP1", "authority.not_allowed"),
        (outcome.result["actor"], "SHOP1", "authority.not_allowed"),
        (lead.id, "SHOP2", "authority.outside_scope"),
    ):
        refused = await run(url, *adjust, f"location={location}", "--as", who)
        assert (refused.code, refused.json["refusal"]["rule"]) == (1, rule)
    assert await rows(url, "select distinct on_hand::int from stock_balance") == [(10,)]
    assert (await run(url, *adjust, "location=SHOP1", "--as", "Lena Lead")).json["status"] == "applied"
    assert await rows(url, "select distinct actor from journal where name = 'stock.adjust'") == [(lead.id,)]
    for nobody in ("Nemo", "nemo@example.com"):
        with pytest.raises(TrueupError, match="nobody"):
            await run(url, *adjust, "location=SHOP1", "--as", nobody)
    await prove(url)


async def test_a_rehearsal_shows_what_would_happen_and_writes_nothing(door: Door, url: str):
    await stocked(door, MUG=5)
    before = await rows(url, "select max(position), (select count(*) from door_key) from journal")
    seen = await run(url, *ADJUST, "--rehearse", "--json")
    assert seen.json["outcome"]["status"] == "applied"
    assert [event["name"] for event in seen.json["events"]] == ["stock.moved"]
    told = await run(url, *ADJUST, "--rehearse")
    assert told.out.startswith("would be applied")
    assert "stock.moved" in told.out
    assert await rows(url, "select max(position), (select count(*) from door_key) from journal") == before
    assert await rows(url, HELD) == [(5,)]


async def test_who_is_too_late_is_told_what_changed(door: Door, url: str):
    await stocked(door, MUG=5)
    placed = await run(url, "do", "orders.place", "currency=EUR",
                       'lines=[{"sku":"MUG","quantity":2,"unit_price":"5.00"}]', "--json")  # fmt: skip
    order = f"order={placed.json['result']['order']}"
    hold = ("do", "orders.place_hold", order, "type=manual", "reason=ask first", "version=1")
    assert (await run(url, *hold)).code == 0
    late = await run(url, "do", "orders.cancel", order, "version=1", "--json")
    assert (late.code, late.json["refusal"]["rule"]) == (1, "orders.changed")
    assert "orders.hold_placed by Trueup" in late.json["refusal"]["details"][0]["what"]
    assert await rows(url, "select fulfilment_status from orders") == [("unfulfilled",)]
    await prove(url)
