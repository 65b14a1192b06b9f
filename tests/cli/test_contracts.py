"""`trueup contract`: a file in, a file out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.board import declared
from tests.catalogue.test_contract_odcs import REAL_LOOKING, document_of
from tests.cli.terminal import run, told
from tests.proof import prove
from tests.requests import rows

from trueup.catalogue.contract_yaml import read_yaml
from trueup.core.door import Door
from trueup.core.errors import TrueupError


def test_a_contract_goes_in_and_comes_out(url: str, tmp_path: Path):
    file = tmp_path / "items.odcs.yaml"
    file.write_text(REAL_LOOKING, encoding="utf-8")
    done = told("contract", "import", str(file), "--reason", "agreed", "--database", url)
    assert "not_run" in done.out
    out = tmp_path / "out.yaml"
    told("contract", "export", "catalogue_items", "--output", str(out), "--database", url)
    assert read_yaml(out.read_text(encoding="utf-8")) == document_of(REAL_LOOKING)
    assert read_yaml(told("contract", "export", "catalogue_items", "--database", url).out) == document_of(REAL_LOOKING)
    (listed,) = told("show", "/v1/contracts", "--database", url, "--json").json["items"]
    assert (listed["name"], listed["owner_role"], listed["failing_keys"]) == ("catalogue_items", "Data Steward", 0)


def test_what_is_none_is_refused_with_its_place(url: str, tmp_path: Path):
    file = tmp_path / "items.odcs.yaml"
    file.write_text(REAL_LOOKING.replace("required: true", "required: yes", 1), encoding="utf-8")
    done = told("contract", "import", str(file), "--database", url)
    assert done.code == 1
    assert "schema[0].properties[0].required" in done.out + done.err
    with pytest.raises(TrueupError, match="there is no contract 'none'"):
        told("contract", "export", "none", "--database", url)
    with pytest.raises(TrueupError, match="there is no file"):
        told("contract", "import", str(tmp_path / "nofile"), "--database", url)


async def test_a_contract_is_proposed_where_it_changes_only_by_a_change(door: Door, url: str, tmp_path: Path):
    file = tmp_path / "contract.yaml"
    file.write_text(REAL_LOOKING, encoding="utf-8")
    company = await declared(door, Alma="Auditor")
    asked = ("contract", "import", str(file), "--reason", "agreed")
    assert (await run(url, *asked, "--as", company.Alma.id)).code == 1
    assert await rows(url, "select id from change") == []
    done = await run(url, *asked, "--as", company.Lea.id)
    ((change, title, reason),) = await rows(url, "select id, title, reason from change")
    assert (done.code, title, reason) == (0, "Contract catalogue_items", "agreed"), done
    assert all(words in done.out for words in (f"/changes/{change}", "It is decided by", "Master Data Owner"))
    assert await rows(url, "select version from policy_active where kind = 'contract'") == []
    await prove(url)
