"""Once governance is declared, a contract changes only by a change, however it comes in."""

from __future__ import annotations

from tests.board import declared
from tests.catalogue.test_contract_odcs import REAL_LOOKING
from tests.proof import prove
from tests.requests import rows

from trueup.authority.standing import SYSTEM
from trueup.catalogue.contract_import import ImportContract
from trueup.core.door import Door

NEW = ImportContract(name="items", document=REAL_LOOKING, reason="agreed")
ACTIVE = "select version from policy_active where kind = 'contract'"


async def test_a_contract_is_imported_by_a_change_and_rolled_back(door: Door, url: str):
    company = await declared(door)
    for who in (SYSTEM, company.Mia):
        assert await company.refused(who, NEW) == "authority.needs_change"
    assert await rows(url, ACTIVE) == []
    change = await company.propose(company.Lea, NEW)
    await company.approve(change, company.Mia, company.Olga, company.Bea)
    await company.apply(company.Ivan, change)
    assert await rows(url, ACTIVE) == [(1,)]
    await company.revert(company.Mia, change)
    assert await rows(url, ACTIVE) == [(None,)], "what stood before, which was nothing, stands again: no rule is run"
    await prove(url)
