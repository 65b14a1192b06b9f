"""`trueup show`: every read of the API, answered from the same declarations in a session that cannot write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.terminal import run, told
from tests.conftest import stocked
from tests.organised import organise, scoped
from tests.requests import rows

from trueup.cli.show import ROWS, find
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.web.api.bodies import names_in
from trueup.web.api.promises import QUESTIONS
from trueup.web.api.routes import READS

REQUIRED = {
    "/v1/items/{item}/as-of": ["at=2026-03-02T09:00:00Z"],
    "/v1/partners/{partner}/as-of": ["at=2026-03-02T09:00:00Z"],
    "/v1/availability": ["sku=MUG"],
    "/v1/availability/explain": ["sku=MUG", "location=MAIN"],
    "/v1/claimable": ["sku=MUG", "location=MAIN"],
    "/v1/stock/waiting": ["sku=MUG", "location=MAIN"],
    "/v1/stock/claims": ["item=MUG", "location=MAIN"],
    "/v1/promises": ['lines=[{"sku":"MUG","quantity":1}]'],
    "/v1/availabilities": ['lines=[{"sku":"MUG","quantity":1}]'],
    "/v1/sourcing/simulations": ["document={}"],
}


def test_it_lists_and_finds_every_read_of_the_api():
    listed = {entry["path"]: entry for entry in told("show", "--json").json["reads"]}
    assert sorted(listed) == sorted([*(row.path for row in READS), *(row.path for row in QUESTIONS)])
    words = told("show").out
    for row in ROWS:
        assert row.summary in words
        assert listed[row.path]["what"] == row.summary
        written = row.path.format_map(dict.fromkeys(names_in(row.path), "some-id"))
        for path in (written, written.removeprefix("/v1/"), f"{written}/"):
            found = find(path)
            assert found.row is row
            assert found.parts == dict.fromkeys(names_in(row.path), "some-id")


async def test_every_read_answers_or_says_that_there_is_nothing(door: Door, url: str):
    await stocked(door, MUG=5)
    before = await rows(url, "select max(position) from journal")
    for row in ROWS:
        path = row.path.format_map(dict.fromkeys(names_in(row.path), "nothing_here"))
        seen = await run(url, "show", path, *REQUIRED.get(row.path, []), "--json")
        assert seen.code == 0 or seen.json["refusal"]["rule"] == "read.unknown", (path, seen)
        assert (await run(url, "show", path, *REQUIRED.get(row.path, []))).code == seen.code
    assert await rows(url, "select max(position) from journal") == before


async def test_a_list_is_a_table_with_its_next_page_and_one_thing_a_record(door: Door, url: str):
    await stocked(door, MUG=5, CUP=1, PLATE=0)
    page = await run(url, "show", "/v1/items", "limit=2")
    head, *lines = page.out.splitlines()
    assert head.split()[:3] == ["id", "sku", "name"]
    assert [line.split()[1] for line in lines] == ["CUP", "MUG"]
    assert len({line.index(sku) for line, sku in zip(lines, ("CUP", "MUG"), strict=True)}) == 1, "columns are aligned"
    following = page.err.split("trueup show ")[1].split()
    assert following[:2] == ["/v1/items", "limit=2"]
    rest = await run(url, "show", *following)
    assert [line.split()[1] for line in rest.out.splitlines()[1:]] == ["PLATE"]
    assert "next:" not in rest.err
    assert (await run(url, "show", "/v1/items?limit=2&search=PLA")).out == rest.out, "the query of an address, too"
    one = await run(url, "show", "items/MUG")
    assert ["sku", "MUG"] in [line.split() for line in one.out.splitlines()]
    assert (await run(url, "show", "items/MUG", "--json")).json["item"]["sku"] == "MUG"
    assert (await run(url, "show", "/v1/transfers")).out.strip() == "nothing"


async def test_a_basket_is_asked_about_from_a_file(door: Door, url: str, tmp_path: Path):
    await stocked(door, MUG=5)
    basket = tmp_path / "basket.json"
    basket.write_text(json.dumps({"lines": [{"sku": "MUG", "quantity": 6}]}))
    seen = (await run(url, "show", "/v1/availabilities", "--file", str(basket), "--json")).json
    assert (seen["items"][0]["available"], seen["dates"]) == (["5"], [None])
    nobody = await run(url, "show", "/v1/promises", 'lines=[{"sku":"JUG","quantity":1}]', "--json")
    assert (nobody.code, nobody.json["refusal"]["where"]) == (1, "lines[0].sku")
    wrong = await run(url, "show", "/v1/promises", "line=1", "--json")
    assert (wrong.code, wrong.json["refusal"]["where"]) == (1, "line")


async def test_rights_and_scope_of_a_person_hold(door: Door, url: str):
    await organise(door)
    lead = await scoped(door, "Lena Lead", "NORTH")
    mine = (await run(url, "show", "/v1/stock", "--as", lead.id, "--json")).json["items"]
    assert [row["location"] for row in mine] == ["SHOP1"]
    assert len((await run(url, "show", "/v1/stock", "--json")).json["items"]) == 2
    for path, rule in (("/v1/actors", "authority.not_allowed"), ("/v1/events", "authority.outside_scope")):
        refused = await run(url, "show", path, "--as", lead.id, "--json")
        assert (refused.code, refused.json["refusal"]["rule"]) == (1, rule)
        assert rule in (await run(url, "show", path, "--as", lead.id)).err
    basket = 'lines=[{"sku":"MUG","quantity":1}]'
    seen = (await run(url, "show", "/v1/availabilities", basket, "--as", lead.id, "--json")).json
    assert seen["locations"] == ["SHOP1"]
    outside = await run(url, "show", "/v1/availabilities", basket, 'locations=["SHOP2"]', "--as", lead.id, "--json")
    assert (outside.code, outside.json["refusal"]["rule"]) == (1, "authority.outside_scope")
    outside = await run(url, "show", "/v1/sourcing/simulations", "document={}", "--as", lead.id, "--json")
    assert (outside.code, outside.json["refusal"]["rule"]) == (1, "authority.outside_scope")


async def test_what_is_not_there_names_what_is(door: Door, url: str):
    with pytest.raises(TrueupError, match=r"nothing to read at /v1/transfrs; did you mean /v1/transfers"):
        await run(url, "show", "/v1/transfrs")
    with pytest.raises(TrueupError, match="nothing to read at /v1/;"):
        await run(url, "show", "/")
    none = await run(url, "show", "/v1/orders/100023", "--json")
    assert (none.code, none.json["refusal"]["rule"]) == (1, "read.unknown")
    wrong = await run(url, "show", "/v1/stock/lots", "item=MUG", "--json")
    assert (wrong.code, wrong.json["refusal"]["where"]) == (1, "item")
    assert "sku" in wrong.json["refusal"]["fix"]
