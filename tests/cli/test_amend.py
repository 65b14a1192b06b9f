"""`trueup amend FILE`: a table in; what was wrong out, cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.board import declared
from tests.catalogue.test_amend import publish
from tests.catalogue.test_partners import known, partner
from tests.cli.terminal import run
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup.core.door import Door
from trueup.core.errors import TrueupError


async def test_the_good_rows_are_amended_and_the_bad_cells_named(door: Door, url: str, tmp_path: Path):
    await stocked(door, MUG=1, CUP=1)
    file = tmp_path / "weights.csv"
    file.write_text("sku;weight_g;gtin\nMUG;310;\nCUP;90;4006381333932\n", encoding="utf-8")
    for _ in range(2):
        done = await run(url, "amend", str(file), "--reason", "weighed")
        assert (done.code, "1 row amended" in done.out) == (1, True), done
        assert "row 3, gtin '4006381333932'" in done.out
        assert "check digit should be 1" in done.out
    assert await rows(url, "select sku, weight_g, version from item order by sku") == [
        ("CUP", None, 1),
        ("MUG", 310, 2),
    ]


async def test_a_table_of_something_else_is_refused_with_the_columns_there_are(door: Door, url: str, tmp_path: Path):
    file = tmp_path / "other.csv"
    file.write_text("sku,colour\nMUG,red\n", encoding="utf-8")
    with pytest.raises(TrueupError, match="no column 'colour'"):
        await run(url, "amend", str(file))
    with pytest.raises(TrueupError, match="is no file"):
        await run(url, "amend", str(tmp_path / "none.csv"))


async def test_terms_of_partners_are_amended_from_a_file_too(door: Door, url: str, tmp_path: Path):
    await known(door, partner(), partner("WIEN"))
    file = tmp_path / "terms.csv"
    file.write_text("code,lead_days,gln\nBRNO,14,4012345000009\nWIEN,3,4012345000008\n")
    done = await run(url, "amend", str(file), "--of", "partners", "--reason", "the year's terms")
    assert (done.code, "1 row amended" in done.out, "check digit should be 9" in done.out) == (1, True, True), done
    assert await rows(url, "select code, lead_days, gln from partner order by code") == [
        ("BRNO", 14, "4012345000009"), ("WIEN", None, None)
    ]  # fmt: skip
    shown = await run(url, "show", "partners", "--json")
    assert (shown.code, '"lead_days":14' in shown.out.replace(" ", "")) == (0, True), shown
    await prove(url)


OWNED = [
    {"entity": "item", "field": "unit_price", "owner": "Finance", "governed": True},
    {"entity": "item", "field": "brand", "owner": "Master Data Owner", "mode": "propose", "governed": True},
    {"entity": "partner", "field": "payment_days", "owner": "Finance", "governed": True},
]


@pytest.mark.parametrize(
    ("of", "text"), [("items", "sku,unit_price\nMUG,3\n"), ("partners", "code,payment_days\nBRNO,21\n")]
)
async def test_who_owns_a_governed_field_and_may_not_amend_proposes_it(
    door: Door, url: str, tmp_path: Path, of: str, text: str
):
    await stocked(door, MUG=1)
    await known(door, partner())
    await publish(door, "field_ownership", {"owners": OWNED})
    company = await declared(door, Alma="Auditor")
    file = tmp_path / "file.csv"
    file.write_text(text)
    asked = ("amend", str(file), "--of", of, "--title", "The new terms", "--reason", "agreed")
    refused = await run(url, *asked, "--as", company.Alma.id)
    assert (refused.code, f"may not catalogue.amend_{of}" in refused.out) == (1, True), refused
    assert await rows(url, "select id from change") == []
    for _ in range(2):
        done = await run(url, *asked, "--as", company.Finn.id)
        ((change, title, reason),) = await rows(url, "select id, title, reason from change")
        assert (done.code, title, reason) == (0, "The new terms", "agreed"), done
        assert all(words in done.out for words in (f"/changes/{change}", "It is decided by", "Finance", "digest=")), (
            done
        )
    assert await rows(url, "select unit_price from item union select payment_days from partner") == [(None,)]
    file.write_text("sku,name\nMUG,Stein\n")
    free = await run(url, "amend", str(file), "--as", company.Finn.id)
    assert (free.code, "may not catalogue.amend_items" in free.out) == (1, True), free
    assert len(await rows(url, "select id from change")) == 1
    await prove(url)


async def test_a_long_file_that_owners_want_proposed_is_one_change_under_its_title(
    door: Door, url: str, tmp_path: Path
):
    await stocked(door, MUG=1, CUP=1)
    await publish(door, "field_ownership", {"owners": OWNED})
    company = await declared(door)
    file = tmp_path / "brands.csv"
    file.write_text("sku,brand,gtin\nMUG,Aurora,4006381333932\n")
    wrong = await run(url, "amend", str(file), "--as", company.Mia.id)
    assert (wrong.code, "row 2, gtin '4006381333932': " in wrong.out) == (1, True), wrong
    lines = [f"MUG,{'Aurora' if at == 0 else ''},2020-01-0{at % 9 + 1}" for at in range(1001)]
    file.write_text("\n".join(["sku,brand,effective_from", *lines, "CUP,Aurora,"]))
    done = await run(url, "amend", str(file), "--title", "Brands", "--reason", "one name", "--as", company.Mia.id)
    assert done.code == 0, done
    assert await rows(
        url, "select title, reason, jsonb_array_length(convert_from(content, 'UTF8')::jsonb) from change"
    ) == [("Brands", "one name", 2)]
    assert "2020-01-01 has begun: what is said from it holds from when it is applied" in done.out
    assert await rows(url, "select brand from item") == [(None,), (None,)]
    await prove(url)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("sku\nMUG\n", "has one column only"),
        ("sku,brand\n", "has no rows"),
        ("sku,brand\nMUG\n", "line 2 has more or fewer cells"),
        ("code,payment_days\nBRNO,3\n", "--of partners"),
    ],
)
async def test_a_file_that_is_no_table_is_refused_in_words_that_say_what_to_do(
    door: Door, url: str, tmp_path: Path, text: str, said: str
):
    file = tmp_path / "wrong.csv"
    file.write_text(text)
    with pytest.raises(TrueupError, match=said):
        await run(url, "amend", str(file))


async def test_a_wrong_cell_is_told_as_people_say_it_and_a_day_that_is_over_holds_from_now(
    door: Door, url: str, tmp_path: Path
):
    await stocked(door, MUG=1)
    file = tmp_path / "cells.csv"
    file.write_text("sku,lead_days,effective_from\nMUG,abc,\n\nMUG,3,31.12.2026\nMUG,4,2020-01-01\n")
    done = await run(url, "amend", str(file))
    assert "row 2, lead_days 'abc': 'abc' is no whole number. Write digits" in done.out, done
    assert "row 4, effective_from '31.12.2026': '31.12.2026' is no day. Write YYYY-MM-DD" in done.out
    assert "2020-01-01 has begun: what is said from it holds from now on" in done.out
    assert await rows(url, "select lead_days from item") == [(4,)]
