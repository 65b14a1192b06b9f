"""Who is told of a case and its rungs: once, with the true times, by e-mail over a real SMTP server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.cases.conftest import Mailbox
from tests.cases.laddering import HOUR, act, ladder, mailed_person, opened, publish, rung, steps
from tests.cases.test_ladder import an_effect, ready
from tests.conftest import START
from tests.proof import prove
from tests.requests import rows

from trueup import house, worker
from trueup.authority.register import RegisterActor
from trueup.cases import notices
from trueup.cases.act import ActOnCase
from trueup.cases.close import CloseCase
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import SettingsError
from trueup.core.mail import MailSettings, load_mail_settings


async def tell(url: str, door: Door, mail: MailSettings) -> int:
    return await worker.tell_cases_now(url, door, house.build(), mail)


def told(mailbox: Mailbox) -> list[tuple[str, str]]:
    return [(str(message["To"]), str(message["Subject"]).partition(":")[0]) for message in mailbox.taken]


async def noticed(url: str) -> list[tuple[Any, ...]]:
    return await rows(url, "select step, status, reached_at from notice order by reached_at, step")


async def test_a_worker_stopped_for_80_h_sends_exactly_one_notice_per_rung_with_the_true_times(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    for name, role in (("Owen", "Operations Process Owner"), ("Cora", "Change Control Board"), ("Sue", "Sponsor")):
        await mailed_person(door, name, role)
    await mailed_person(door, "Dan", "Data Steward")
    await opened(door, "odd", "a", price="12.00")
    assert await tell(url, door, mail) == 0
    clock.turn(80 * HOUR)
    assert await tell(url, door, mail) == 3
    assert await tell(url, door, mail) == 0
    assert sorted(told(mailbox)) == [
        ("cora@example.com", "Rung 2 of 3"), ("owen@example.com", "Rung 1 of 3"), ("sue@example.com", "Rung 3 of 3"),
    ]  # fmt: skip
    assert await noticed(url) == [
        (f"rung/{number}", "sent", START + hours * HOUR) for number, hours in ((1, 24), (2, 48), (3, 72))
    ]
    first = next(message for message in mailbox.taken if "owen" in str(message["To"]))
    body = first.get_content()
    assert f"this step was reached {START + 24 * HOUR:%Y-%m-%d %H:%M} UTC" in body
    assert "written 3360 minutes later" in body
    assert "You may now, for this case: orders.release_hold" in body
    clock.turn(80 * HOUR)
    assert await tell(url, door, mail) == 0
    assert len({message["Message-ID"] for message in mailbox.taken}) == 3
    await prove(url)


async def test_two_workers_at_once_send_one(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    await mailed_person(door, "Owen", "Operations Process Owner")
    for number in range(30):
        await opened(door, f"odd {number}")
    clock.turn(25 * HOUR)
    sent = await asyncio.gather(*(tell(url, door, mail) for _ in range(3)))
    sent.append(await tell(url, door, mail))
    assert sum(sent) == len(mailbox.taken) == 30
    assert {status for _, status, _ in await noticed(url)} == {"sent"}
    await prove(url)


async def test_the_owner_of_severity_1_is_told_at_once_and_the_next_when_nobody_takes_it(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    ada = await mailed_person(door, "Ada", "Order Agent")
    await mailed_person(door, "Dan", "Data Steward")
    await mailed_person(door, "Owen", "Operations Process Owner")
    slots = [{"role": "Order Agent", "person": ada.id}]
    assert (await publish(door, "rota", {"slots": slots}, "on_call")).refusal is None
    await opened(door, "down", severity=1)
    assert await tell(url, door, mail) == 1
    clock.turn(timedelta(minutes=14))
    assert await tell(url, door, mail) == 0
    clock.turn(timedelta(minutes=1))
    assert await tell(url, door, mail) == 1
    clock.turn(HOUR)
    assert await tell(url, door, mail) == 1
    assert told(mailbox) == [("dan@example.com", "Severity 1, yours"), ("ada@example.com", "Nobody took it"),
                             ("ada@example.com", "Rung 1 of 2")]  # fmt: skip
    await prove(url)


async def test_what_was_reached_before_an_act_or_the_end_is_told_all_the_same_and_nothing_after(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    for name, role in (("Owen", "Operations Process Owner"), ("Cora", "Change Control Board"), ("Sue", "Sponsor")):
        await mailed_person(door, name, role)
    await ready(door, url)
    case = await opened(door, "odd")
    clock.turn(50 * HOUR)
    assert (await act(door, ActOnCase(case=case, effect=await an_effect(door, url), note="n"))).status == "applied"
    clock.turn(50 * HOUR)
    assert (await act(door, CloseCase(case=case, root_cause="role", note="n"))).status == "applied"
    assert await tell(url, door, mail) == 2
    assert await noticed(url) == [("rung/1", "sent", START + 24 * HOUR), ("rung/2", "sent", START + 48 * HOUR)]
    assert await rows(url, "select count(*) from case_watch") == [(0,)]
    await prove(url)


async def test_an_answer_lost_after_the_message_is_unknown_shown_and_never_sent_again(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    await mailed_person(door, "Owen", "Operations Process Owner")
    await opened(door, "odd")
    clock.turn(25 * HOUR)
    mailbox.hangs_up = True
    assert await tell(url, door, mail) == 1
    mailbox.hangs_up = False
    clock.turn(HOUR)
    assert await tell(url, door, mail) == 0
    assert [status for _, status, _ in await noticed(url)] == ["unknown"]
    assert "answer was lost" in (await rows(url, "select error from notice"))[0][0]
    connection = await connect(url)
    try:
        page = await notices.notices(connection, notices.NoticeQuery(status="unknown"))
    finally:
        await connection.close()
    assert [row.recipient for row in page.items] == [(await rows(url, "select recipient from notice"))[0][0]]
    assert len(mailbox.taken) == 1
    await prove(url)


async def test_what_was_certainly_not_taken_is_tried_again_and_what_never_will_be_is_not(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    await mailed_person(door, "Owen", "Operations Process Owner")
    await opened(door, "odd")
    clock.turn(25 * HOUR)
    mailbox.answer = "451 try later"
    assert await tell(url, door, mail) == 1
    assert await tell(url, door, mail) == 0, "not before its time"
    clock.turn(timedelta(minutes=2))
    mailbox.recipient = "450 busy"
    assert await tell(url, door, mail) == 1
    clock.turn(timedelta(minutes=4))
    closed = MailSettings(host="127.0.0.1", port=1, timeout_seconds=2)
    assert await tell(url, door, closed) == 1
    assert await rows(url, "select status, tries from notice") == [("queued", 3)]
    clock.turn(timedelta(minutes=8))
    mailbox.answer, mailbox.recipient = "250 OK", "550 nobody of that name"
    assert await tell(url, door, mail) == 1
    assert await rows(url, "select status, tries, error from notice") == [("failed", 4, "550 nobody of that name")]
    clock.turn(timedelta(days=1))
    mailbox.recipient = "250 OK"
    assert await tell(url, door, mail) == 1
    assert ["cannot be sent by e-mail" in str(message["Subject"]) for message in mailbox.taken] == [True], (
        "only that of the case which the silent server was"
    )
    await prove(url)


async def test_what_a_worker_claimed_and_died_over_is_unknown(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    await mailed_person(door, "Owen", "Operations Process Owner")
    await opened(door, "odd")
    clock.turn(25 * HOUR)
    assert await worker.tell_cases_now(url, door, house.build(), MailSettings()) == 0
    assert [status for _, status, _ in await noticed(url)] == ["queued"], "without a server they wait, and are shown"
    connection = await connect(url)
    try:
        await connection.execute("update notice set claimed_at = %s, tries = 1", [clock.now()])
        clock.turn(timedelta(minutes=11))
        assert await notices.send_due(connection, clock.now, mail) == 0
    finally:
        await connection.close()
    assert [status for _, status, _ in await noticed(url)] == ["unknown"]
    assert mailbox.taken == []


async def test_where_a_role_is_vacant_the_sponsor_is_told(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    await mailed_person(door, "Sue", "Sponsor")
    assert (await act(door, RegisterActor(name="Nora", roles=("Finance",)))).status == "applied"
    assert (await publish(door, "ladder", ladder((2, steps(rung(60, "Finance")))))).refusal is None
    await opened(door, "odd")
    clock.turn(HOUR)
    assert await tell(url, door, mail) == 1
    assert told(mailbox) == [("sue@example.com", "Rung 1 of 1")]


@pytest.mark.parametrize(("name", "value"), [("TLS", "perhaps"), ("PORT", "0"), ("PORT", "smtp"), ("FROM", "nobody"),
                                             ("FROM", "a@b\r\nBcc: c@d"), ("PASSWORD", "secret")])  # fmt: skip
def test_settings_that_cannot_be_understood_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"TRUEUP_MAIL_{name}", value)
    with pytest.raises(SettingsError, match=f"TRUEUP_MAIL_{name}"):
        load_mail_settings()


async def test_control_without_the_unique_key_a_step_is_told_again(
    door: Door, url: str, clock: TurnedClock, mail: MailSettings, mailbox: Mailbox
):
    """The negative control of "once": the key dropped, and the time to look turned back."""
    await mailed_person(door, "Owen", "Operations Process Owner")
    await opened(door, "odd")
    clock.turn(25 * HOUR)
    assert await tell(url, door, mail) == 1
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("update case_watch set look_at = %s", [clock.now()])
    assert await tell(url, door, mail) == 0
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("alter table notice drop constraint notice_pkey")
        owner.execute("alter table notice drop constraint notice_case_id_round_step_recipient_key")
        owner.execute("update case_watch set look_at = %s", [clock.now()])
    assert await tell(url, door, mail) > 0
    assert len(mailbox.taken) > 1
