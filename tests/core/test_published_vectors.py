"""The published lists, where they are at hand: currencies of ISO 4217, and GS1 numbers found in real files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from trueup.catalogue import gtin
from trueup.core import money

DATA = Path(os.environ.get("TRUEUP_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")

pytestmark = pytest.mark.data


def file(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not below TRUEUP_DATA or ../shared/data")
    return path


def test_every_currency_of_the_list_has_its_exponent():
    entries = ElementTree.parse(file("iso4217/list_one_2026-01-01.xml")).iter("CcyNtry")
    listed = {entry.findtext("Ccy"): entry.findtext("CcyMnrUnts") for entry in entries if entry.findtext("Ccy")}
    exponents = {str(code): int(units) for code, units in listed.items() if units and units.isdigit()}
    assert {code: money.exponent(code) for code in exponents} == exponents
    paid_with = {code for code in exponents if money.is_currency(code)}
    assert exponents.keys() - paid_with <= {"XDR", "XTS", "XXX", "XBA", "XBB", "XBC", "XBD", "XSU", "XUA"}


def test_numbers_in_real_files_check_as_their_collectors_found():
    vectors = json.loads(file("gs1/vectors_from_edi_samples.json").read_text())
    numbers = [v for v in vectors if v["value"].isdecimal() and len(v["value"]) in gtin.LENGTHS]
    assert len(numbers) > 10
    assert {v["value"]: gtin.fault(v["value"]) is None for v in numbers} == {
        v["value"]: v["check_digit_ok"] for v in numbers
    }
