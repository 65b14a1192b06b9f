"""Issue C, people: roles are appointed and accepted, lent and ended; they pass on, and some do not go together."""

from __future__ import annotations

from datetime import date, timedelta

from tests.authority.staff import appointed, company, done, end, gone, refused
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import order_of, person, receipt, rows

from trueup import house
from trueup.authority.appoint import AcceptAppointment, Appoint
from trueup.authority.delegate import Delegate, EndDelegation
from trueup.authority.employ import SetEmployment
from trueup.authority.people import holders
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.resign import ResignDeputy
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.verb import Actor
from trueup.worker import NOTICES, notice_now

TODAY = START.date()


async def who_holds(url: str, role: str, over: str | None, clock: TurnedClock) -> list[str]:
    """Return the names of who holds a role, as the standing answers."""
    connection = await connect(url)
    try:
        standing = await house.build().load_standing(connection)
    finally:
        await connection.close()
    return [standing.own[id_].name for id_ in holders(standing, role, over, clock.now())]


async def test_handing_over_the_only_integration_owners_role_on_day_40(door: Door, url: str, clock: TurnedClock):
    """Issue C: to nobody it is refused, while revoking the person's access works at once and passes the role on."""
    people = await company(door)
    irma, sponsor = people["Integration Owner"], people["Sponsor"]
    await done(door, SYSTEM, RegisterActor(name="Irma", roles=("Integration Owner", "Order Agent"), actor=irma.id))
    clock.turn(timedelta(days=40))
    handed = RegisterActor(name="Irma", roles=("Order Agent",), actor=irma.id)
    outcome = await refused(door, SYSTEM, handed, "authority.vacant_in_window")
    assert outcome.refusal is not None
    assert "2026-05-31" in outcome.refusal.what
    assert "authority.appoint" in outcome.refusal.fix
    assert "Administrator" in outcome.refusal.fix
    assert "Irma" in await who_holds(url, "Integration Owner", None, clock)
    assert await rows(url, "select id from cases") == []

    revoked, after = await door.submit_all(
        SYSTEM, [("revoke", gone(irma, "Integration Owner", "Order Agent"))]
    ) + await door.submit_all(irma, [("after", order_of(MUG=1))])
    assert revoked.status == "applied"
    assert after.refusal is not None
    assert after.refusal.rule == "authority.unknown_actor"
    assert await who_holds(url, "Integration Owner", None, clock) == [sponsor.name]
    case = await rows(url, "select kind, owner_role, title from cases where closed_at is null")
    assert [(kind, role) for kind, role, _ in case] == [("role_passed", "Sponsor")]
    assert "Irma" in case[0][2]
    await prove(url)


async def test_the_only_appointees_role_cannot_be_given_back_but_to_a_successor_or_deputy_who_accepted(
    door: Door, url: str, clock: TurnedClock
):
    people = await company(door)
    lead, deputy = people["Fulfilment Lead"], await person(door, "Dora")
    held = await appointed(door, lead, "Integration Owner")
    await done(door, SYSTEM, gone(people["Integration Owner"]))
    assert await rows(url, "select id from cases") == []
    await refused(door, lead, end(held), "authority.vacant_in_window")
    await done(door, SYSTEM, Appoint(actor=deputy.id, role="Integration Owner"))
    await refused(door, lead, end(held), "authority.vacant_in_window", "nobody accepted yet")
    await refused(door, deputy, end(held), "authority.not_allowed", "not hers")
    (waiting,) = (await rows(url, "select id from appointment where actor = %s", deputy.id))[0]
    await done(door, deputy, AcceptAppointment(appointment=waiting))
    await done(door, lead, end(held), "now")
    assert await who_holds(url, "Integration Owner", "integration:erp", clock) == ["Dora"]
    until = Appoint(actor=lead.id, role="Sponsor", until_on=TODAY + timedelta(days=30))
    await done(door, SYSTEM, until)
    await prove(url)


async def test_after_the_window_the_role_may_be_given_back(door: Door, url: str, clock: TurnedClock):
    people = await company(door)
    held = await appointed(door, people["Fulfilment Lead"], "Integration Owner")
    await done(door, SYSTEM, gone(people["Integration Owner"]))
    clock.turn(timedelta(days=90))
    await done(door, people["Fulfilment Lead"], end(held), "the window is over")
    assert await who_holds(url, "Integration Owner", None, clock) == []
    await prove(url)


async def test_a_revoked_holders_role_goes_to_the_deputy_who_accepted(door: Door, url: str, clock: TurnedClock):
    people = await company(door)
    holder, deputy = await person(door, "Hanna"), await person(door, "Dora")
    await appointed(door, holder, "Master Data Owner", "category:tea", deputy=deputy)
    assert (await who_holds(url, "Master Data Owner", "category:tea", clock))[:2] == ["Hanna", "Dora"]
    await done(door, SYSTEM, gone(holder))
    assert (await who_holds(url, "Master Data Owner", "category:tea", clock))[0] == "Dora"
    assert await rows(url, "select id from cases") == []
    assert people["Master Data Owner"].name in await who_holds(url, "Master Data Owner", "category:tea", clock)
    await prove(url)


async def test_an_appointment_counts_once_accepted_and_ends_by_itself(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    anna = await person(door, "Anna")
    held = await appointed(door, anna, "Fulfilment Lead", until_on=TODAY + timedelta(days=1), accept=False)
    assert (await door.submit(anna, receipt(1), "before")).status == "refused"
    await refused(door, SYSTEM, AcceptAppointment(appointment=held), "authority.not_appointee")
    await done(door, anna, AcceptAppointment(appointment=held))
    assert (await door.submit(anna, receipt(2), "holding")).status == "applied"
    clock.turn(timedelta(hours=38, minutes=59))
    assert (await door.submit(anna, receipt(3), "last minute")).status == "applied"
    clock.turn(timedelta(minutes=1))
    late = await door.submit(anna, receipt(4), "after the day")
    assert late.refusal is not None
    assert late.refusal.rule == "authority.not_allowed"
    await prove(url)


async def test_a_delegation_ends_by_itself_and_cannot_be_passed_on(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    lead, anna, bert = (
        await person(door, "Lea", "Fulfilment Lead"),
        await person(door, "Anna"),
        await person(door, "Bert"),
    )
    tomorrow = TODAY + timedelta(days=1)
    await done(door, lead, Delegate(to=anna.id, role="Fulfilment Lead", until_on=tomorrow))
    assert (await door.submit(anna, receipt(1), "lent")).status == "applied"
    await refused(door, anna, Delegate(to=bert.id, role="Fulfilment Lead", until_on=tomorrow), "authority.not_own")
    await refused(door, anna, Delegate(to=bert.id, rights=("stock.receive",), until_on=tomorrow), "authority.not_own")
    assert (await door.submit(bert, receipt(2), "never lent")).status == "refused"
    clock.turn(timedelta(hours=39))
    assert (await door.submit(anna, receipt(3), "over")).status == "refused"
    await prove(url)


async def test_single_rights_are_delegated_and_end_with_their_givers_access(door: Door, url: str):
    await stocked(door, MUG=10)
    lead, anna = await person(door, "Lea", "Fulfilment Lead"), await person(door, "Anna")
    given = Delegate(to=anna.id, rights=("stock.receive",), until_on=TODAY)
    outcome = await done(door, lead, given)
    assert (await door.submit(anna, receipt(1), "lent")).status == "applied"
    assert (await door.submit(anna, order_of(MUG=1), "not lent")).status == "refused"
    stranger = await person(door, "Carl")
    await refused(door, stranger, EndDelegation(delegation=outcome.result["delegation"]), "authority.not_allowed")
    await done(door, SYSTEM, gone(lead))
    assert (await door.submit(anna, receipt(2), "the giver is gone")).status == "refused"
    await prove(url)


async def test_access_ends_with_the_contract_at_the_end_of_that_day_in_the_business_zone(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=10)
    zone = PublishPolicy(policy_kind="people", policy_name="default",
                         document={"timezone": "America/New_York"}, reason="we are there")  # fmt: skip
    await done(door, SYSTEM, zone)
    carl = await person(door, "Carl", "Fulfilment Lead")
    contract = SetEmployment(actor=carl.id, employer="consultant", company="Acme", contract_end=TODAY)
    await done(door, SYSTEM, contract)
    clock.turn(timedelta(hours=19, minutes=59))
    assert (await door.submit(carl, receipt(1), "23:59 there")).status == "applied"
    clock.turn(timedelta(minutes=1))
    late = await door.submit(carl, receipt(2), "midnight there")
    assert late.refusal is not None
    assert late.refusal.rule == "authority.unknown_actor"
    await prove(url)


async def test_a_case_tells_before_a_contract_ends_and_the_roles_pass_on_after_it(
    door: Door, url: str, clock: TurnedClock
):
    people = await company(door)
    lena, sponsor = await person(door, "Lena"), people["Sponsor"]
    held = await appointed(door, lena, "Integration Owner")
    await done(door, SYSTEM, gone(people["Integration Owner"]))
    await done(door, SYSTEM, SetEmployment(actor=lena.id, contract_end=TODAY + timedelta(days=20)))
    notice = next(n for n in NOTICES if n.name == "notice_contracts")
    await notice_now(url, door, notice)
    opened = "select kind from cases where kind in ('contract_ends') or cause like %s order by kind"
    assert await rows(url, opened, f"%{lena.id}") == []
    clock.turn(timedelta(days=7))
    await notice_now(url, door, notice)
    await notice_now(url, door, notice)
    assert await rows(url, opened, f"%{lena.id}") == [("contract_ends",)]
    clock.turn(timedelta(days=14))
    assert await who_holds(url, "Integration Owner", "integration:erp", clock) == [sponsor.name]
    await notice_now(url, door, notice)
    await notice_now(url, door, notice)
    assert await rows(url, opened, f"%{lena.id}") == [("contract_ends",), ("role_passed",)]
    assert await rows(url, "select ended_at is null from appointment where id = %s", held) == [(False,)]
    assert await who_holds(url, "Integration Owner", "integration:erp", clock) == [sponsor.name]
    await prove(url)


async def test_a_consultant_is_never_the_only_holder_of_a_governance_role(door: Door, url: str, clock: TurnedClock):
    people = await company(door)
    carl, dora = await person(door, "Carl"), await person(door, "Dora")
    await done(door, SYSTEM, SetEmployment(actor=carl.id, employer="consultant", company="Acme"))
    irma = people["Integration Owner"]
    await appointed(door, carl, "Integration Owner")
    less = RegisterActor(name="Irma", roles=(), actor=irma.id)
    await refused(door, SYSTEM, less, "authority.consultant_alone")
    own = await appointed(door, dora, "Integration Owner")
    await done(door, SYSTEM, less, "two hold it")
    await refused(door, dora, end(own), "authority.consultant_alone")
    dora_too = SetEmployment(actor=dora.id, employer="consultant", company="Acme")
    await refused(door, SYSTEM, dora_too, "authority.consultant_alone")
    assert await rows(url, "select actor from employment where actor = %s", dora.id) == []
    await done(door, SYSTEM, gone(dora))
    assert await who_holds(url, "Integration Owner", None, clock) == ["Carl", "Person Sponsor"]
    await prove(url)


async def test_roles_that_do_not_go_together_are_refused_however_they_are_given(door: Door, url: str):
    people = await company(door)
    admin = people["Administrator"]
    tomorrow = TODAY + timedelta(days=1)
    both = RegisterActor(name="Adam", roles=("Administrator", "Change Control Board"), actor=admin.id)
    outcome = await refused(door, SYSTEM, both, "authority.separated_roles")
    assert outcome.refusal is not None
    assert "within 48 hours" in outcome.refusal.fix
    await refused(door, SYSTEM, Appoint(actor=admin.id, role="Sponsor"), "authority.separated_roles")
    deputy = Appoint(actor=people["Finance"].id, role="Sponsor", deputy=admin.id)
    await refused(door, SYSTEM, deputy, "authority.separated_roles")
    lent = Delegate(to=admin.id, role="Sponsor", until_on=tomorrow)
    await refused(door, people["Sponsor"], lent, "authority.separated_roles")
    new = RegisterActor(name="Nina", roles=("Auditor", "Administrator"))
    await refused(door, SYSTEM, new, "authority.separated_roles")
    anna = await person(door, "Anna")
    waiting = await appointed(door, anna, "Sponsor", accept=False)
    await refused(door, SYSTEM, Appoint(actor=anna.id, role="Administrator"), "authority.separated_roles")
    assert (await rows(url, "select count(*) from appointment"))[0][0] == 1
    await done(door, anna, AcceptAppointment(appointment=waiting))
    late = RegisterActor(name="Anna", roles=("Administrator",), actor=anna.id)
    await refused(door, SYSTEM, late, "authority.separated_roles", "appointed by now")
    await prove(url)


async def test_bad_input_is_refused_with_the_place(door: Door, url: str, clock: TurnedClock):
    """Issue C, bad input: a cycle of deputies, unknown roles and people, dates that end before they begin."""
    anna, bert, carl = [await person(door, name) for name in ("Anna", "Bert", "Carl")]
    role = "Master Data Owner"

    async def wrong(command: Appoint | Delegate, rule: str, where: str, by: Actor = SYSTEM) -> None:
        outcome = await refused(door, by, command, rule)
        assert outcome.refusal is not None
        assert outcome.refusal.where == where

    await wrong(Appoint(actor=anna.id, role="King"), "authority.unknown_role", "role")
    await wrong(Appoint(actor="act_none", role=role), "authority.unknown_actor", "actor")
    await wrong(Appoint(actor=anna.id, role=role, deputy="act_none"), "authority.unknown_actor", "deputy")
    await wrong(Appoint(actor=anna.id, role=role, deputy=anna.id), "authority.deputy_cycle", "deputy")
    yesterday = TODAY - timedelta(days=1)
    await wrong(Appoint(actor=anna.id, role=role, until_on=yesterday), "authority.dates", "until_on")
    backwards = Appoint(actor=anna.id, role=role, from_on=date(2027, 1, 2), until_on=date(2027, 1, 1))
    await wrong(backwards, "authority.dates", "until_on")
    await appointed(door, anna, role, "category:tea", deputy=bert)
    await appointed(door, bert, role, None, deputy=carl)
    outcome = await refused(door, SYSTEM, Appoint(actor=carl.id, role=role, over="category:tea", deputy=anna.id),
                            "authority.deputy_cycle")  # fmt: skip
    assert outcome.refusal is not None
    assert "Carl -> Anna -> Bert -> Carl" in outcome.refusal.what
    await done(door, SYSTEM, Appoint(actor=carl.id, role=role, over="category:mugs", deputy=anna.id))
    await wrong(Appoint(actor=anna.id, role=role, over="category:tea"), "authority.already_appointed", "actor")
    far = Delegate(to=carl.id, role=role, over="category:tea", until_on=TODAY + timedelta(days=31))
    await wrong(far, "authority.delegation_too_long", "until_on", anna)
    past = Delegate(to=carl.id, role=role, over="category:tea", until_on=yesterday)
    await wrong(past, "authority.dates", "until_on", anna)
    what = Delegate(to=carl.id, until_on=TODAY)
    await wrong(what, "authority.delegation_what", "role", anna)
    await prove(url)


async def test_nobody_appoints_themselves(door: Door, url: str):
    admin, anna = await person(door, "Adam", "Administrator"), await person(door, "Anna")
    await refused(door, admin, Appoint(actor=admin.id, role="Trainer"), "authority.own_roles")
    await refused(door, admin, Appoint(actor=anna.id, role="Trainer", deputy=admin.id), "authority.own_roles")
    assert (await door.submit(anna, Appoint(actor=admin.id, role="Trainer"), "no right")).status == "refused"
    assert await rows(url, "select id from appointment") == []


async def test_a_deputy_resigns_alone_and_the_sponsor_is_told(door: Door, url: str, clock: TurnedClock):
    """In the window a role without a successor is a case, and the holder's successor is refused no more than before."""
    await company(door)
    ida, dan = await person(door, "Ida"), await person(door, "Dan")
    appointment = await appointed(door, ida, "Integration Owner", "integration:erp", deputy=dan)
    clock.turn(timedelta(days=40))
    await refused(door, ida, ResignDeputy(appointment=appointment, reason="no"), "authority.not_deputy")
    assert "Dan" in await who_holds(url, "Integration Owner", "integration:erp", clock)
    await done(door, dan, ResignDeputy(appointment=appointment, reason="too much"))
    assert "Dan" not in await who_holds(url, "Integration Owner", "integration:erp", clock)
    assert "Ida" in await who_holds(url, "Integration Owner", "integration:erp", clock)
    found = await rows(url, "select kind, owner_role, severity, title from cases where kind = 'deputy_resigned'")
    assert [row[:3] for row in found] == [("deputy_resigned", "Sponsor", 2)]
    assert "Dan is not deputy Integration Owner for integration:erp any more" in found[0][3]
    await refused(door, dan, ResignDeputy(appointment=appointment, reason="again"), "authority.not_deputy", "again")
    await prove(url)


async def test_a_deputy_who_alone_fills_a_role_does_not_resign_in_the_window(door: Door, url: str, clock: TurnedClock):
    """The holder's contract has ended: the role is the deputy's by now, and is handed over, not given back."""
    people = await company(door)
    ida, dan = await person(door, "Ida"), await person(door, "Dan")
    appointment = await appointed(door, ida, "Data Steward", deputy=dan)
    steward = people["Data Steward"]
    await done(door, SYSTEM, RegisterActor(name=steward.name, roles=("Order Agent",), actor=steward.id))
    await done(door, SYSTEM, SetEmployment(actor=ida.id, employer="own", contract_end=TODAY))
    clock.turn(timedelta(days=2))
    assert await who_holds(url, "Data Steward", None, clock) == ["Dan"]
    await refused(door, dan, ResignDeputy(appointment=appointment, reason="too much"), "authority.vacant_in_window")
    assert await who_holds(url, "Data Steward", None, clock) == ["Dan"]
    await prove(url)


async def test_an_offered_deputyship_is_declined_without_a_case(door: Door, url: str):
    await company(door)
    ida, dan = await person(door, "Ida"), await person(door, "Dan")
    appointment = await appointed(door, ida, "Finance", "category:tea", deputy=dan, accept=False)
    await done(door, dan, ResignDeputy(appointment=appointment, reason="no time"))
    assert await rows(url, "select deputy from appointment where id = %s", appointment) == [(None,)]
    assert await rows(url, "select kind from cases where kind = 'deputy_resigned'") == []
    await prove(url)
