"""Ways around owners and containments that somebody thought of: nothing owned or kept back is written or given by."""

from __future__ import annotations

from datetime import timedelta

from tests.board import declared, proposal
from tests.catalogue.test_amend import APPLY, amend, amendment, publish, refusal_of
from tests.catalogue.test_partners import amend as amend_partners
from tests.catalogue.test_partners import known, partner, terms
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import person, rows

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.worker import notice_now

NOT_THE_OWNER = "catalogue.not_the_owner"
TAX = {"entity": "item", "field": "tax_class", "owner": "Finance", "governed": True}
NAME = {"entity": "item", "field": "name", "owner": "Finance"}


async def test_a_change_writes_no_field_of_another_owner_beside_what_it_is_about(door: Door, url: str):
    """A vote is asked about what is governed; what is only owned is its owner's, also inside of a change."""
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [TAX, NAME]})
    company = await declared(door, Nora="Finance")
    both = proposal(amend(amendment("MUG", {"tax_class": "reduced", "name": "Stein"})))
    assert await company.refused(company.Mia, both) == NOT_THE_OWNER
    beside = proposal(amend(amendment("MUG", {"tax_class": "reduced"})), amend(amendment("MUG", {"name": "Stein"})))
    assert await company.refused(company.Mia, beside) == NOT_THE_OWNER
    change = await company.propose(company.Finn, amend(amendment("MUG", {"tax_class": "reduced", "name": "Stein"})))
    await company.approve(change, company.Nora, company.Bea, company.Olga, company.Ivan)
    await company.apply(company.Mia, change)
    assert await rows(url, "select name, tax_class from item") == [("Stein", "reduced")]
    await prove(url)


async def test_a_plan_does_not_put_back_what_was_decided_since(door: Door, url: str, clock: TurnedClock):
    """A plan that says again what stands now says nothing of it, when its day comes and something else stands there."""
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [TAX]})
    company = await declared(door)
    (before,) = (await rows(url, "select tax_class from item"))[0]
    day = (clock.now() + timedelta(days=3)).date()
    sneaked = amendment("MUG", {"name": "Stein", "tax_class": before}, effective_from=day.isoformat())
    await company.done(company.Mia, amend(sneaked))
    change = await company.propose(company.Mia, amend(amendment("MUG", {"tax_class": "reduced"})))
    await company.approve(change, company.Finn, company.Bea, company.Olga, company.Ivan)
    await company.apply(company.Mia, change)
    clock.turn(timedelta(days=4))
    await notice_now(url, door, APPLY)
    assert await rows(url, "select name, tax_class from item") == [("Stein", "reduced")]
    await prove(url)


async def test_a_plan_is_its_owners_also_where_another_row_makes_it_possible(door: Door, url: str, clock: TurnedClock):
    """A least order value needs a currency, which a row before it brings."""
    await known(door, partner())
    await publish(
        door, "field_ownership", {"owners": [{"entity": "partner", "field": "minimum_order", "owner": "Finance"}]}
    )
    mia = await person(door, "Mia", "Master Data Owner")
    day = (clock.now() + timedelta(days=3)).date().isoformat()
    both = amend_partners(terms({"currency": "EUR"}), terms({"minimum_order": "1.00"}, effective_from=day))
    assert refusal_of(await door.submit(mia, both, "both")).rule == NOT_THE_OWNER
    clock.turn(timedelta(days=4))
    await notice_now(url, door, APPLY)
    assert await rows(url, "select currency, minimum_order from partner") == [(None, None)]
    await prove(url)
