"""What runs beside the server: the storyline, what is due, sealing, housekeeping and the nightly proofs.

It notices; it decides nothing. A deadline is computed from events on read, so that a worker that was dead for days
changes nothing but when somebody was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from trueup.authority import change_due, drift, employ, overrides, safe_action, stalemate
from trueup.authority.for_case import people_to_tell
from trueup.authority.standing import SYSTEM
from trueup.cases import notices
from trueup.cases.open import OpenCase
from trueup.catalogue import apply_amendment, breach_read
from trueup.core import journal
from trueup.core.batch import House
from trueup.core.checks import record_checks
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.jobs import make_app
from trueup.core.mail import MailSettings, load_mail_settings
from trueup.core.verb import Command
from trueup.orders import draft, expire, hold_upkeep, read_adoptions
from trueup.oversight import breach_exposure, stake, watch
from trueup.oversight.emergencies import settle_emergencies
from trueup.sourcing import schedule
from trueup.sourcing.broker import broker_when_due
from trueup.stock import lots, supply_read
from trueup.stock.intents import follow_freezes
from trueup.storyline import following

if TYPE_CHECKING:
    from procrastinate import App

KEY_DAYS = 30
log = structlog.get_logger("trueup.worker")


class Notice(msgspec.Struct, frozen=True):
    """What becomes due by itself. due: returns the commands to submit now, each under a key that names its occasion."""

    name: str
    cron: str
    due: Callable[[Connection, datetime], Awaitable[Sequence[tuple[str, Command]]]]


NOTICES: tuple[Notice, ...] = (
    Notice("age_holds", "*/5 * * * *", hold_upkeep.due_to_age),
    Notice("recheck_holds", "*/5 * * * *", hold_upkeep.due_to_recheck),
    Notice("source", "* * * * *", schedule.due_to_source),
    Notice("expire_unpaid", "* * * * *", expire.due_unpaid),
    Notice("follow_adoptions", "* * * * *", read_adoptions.due_to_follow),
    Notice("expire_drafts", "* * * * *", draft.due_drafts),
    Notice("apply_amendments", "* * * * *", apply_amendment.due_to_apply),
    Notice("expire_lots", "5 0 * * *", lots.due_to_expire),
    Notice("contain_breaches", "* * * * *", breach_read.due_to_contain),
    Notice("check_contracts", "45 0 * * *", breach_read.due_to_check),
    Notice("price_breaches", "*/5 * * * *", breach_exposure.due_to_price),
    Notice("price_breaches_first", "* * * * *", breach_exposure.due_to_price_first),
    Notice("notice_contracts", "*/15 * * * *", employ.due_contracts),
    Notice("notice_overrides", "*/15 * * * *", overrides.due_overrides),
    Notice("apply_changes", "* * * * *", change_due.due_to_apply),
    Notice("note_undecided", "*/15 * * * *", stalemate.due_undecided),
    Notice("watch_changes", "*/5 * * * *", watch.due_rollbacks),
    Notice("report_drift", "* * * * *", drift.due_drifts),
    Notice("take_safe_actions", "* * * * *", safe_action.due_safe_actions),
    Notice("price_cases", "*/20 * * * *", stake.due_to_price),
    Notice("notice_late_supply", "*/5 * * * *", supply_read.due_to_notice),
)


@asynccontextmanager
async def working(url: str, house: House, door: Door) -> AsyncIterator[App]:
    """Run worker and storyline for as long as the context lasts; several processes share the work, each job runs once.

    door: what follows and what is due is submitted through it.
    """
    app = make_app(url)
    register(app, url, house)
    for notice in NOTICES:
        register_notice(app, url, door, notice)
    register_freezes(app, url, door, house)
    register_case_notices(app, url, door, house, load_mail_settings())
    register_brokering(app, url, door, house)
    register_emergencies(app, url, door, house)
    async with app.open_async(), following(door, url, house):
        task = asyncio.create_task(app.run_worker_async(concurrency=1), name="worker")
        try:
            yield app
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def register(app: App, url: str, house: House) -> None:
    """Declare the periodic jobs: seal every minute, tidy and prove every night (UTC)."""

    @app.periodic(cron="* * * * *")
    @app.task(name="seal", queueing_lock="seal", pass_context=False)
    async def seal(timestamp: int) -> None:
        await seal_now(url)

    @app.periodic(cron="15 1 * * *")
    @app.task(name="tidy", queueing_lock="tidy", pass_context=False)
    async def tidy(timestamp: int) -> None:
        await tidy_now(url)

    @app.periodic(cron="30 1 * * *")
    @app.task(name="prove", queueing_lock="prove", pass_context=False)
    async def prove(timestamp: int) -> None:
        await prove_now(url, house)


def register_notice(app: App, url: str, door: Door, notice: Notice) -> None:
    """Declare the job that asks what is due and submits it."""

    @app.periodic(cron=notice.cron)
    @app.task(name=notice.name, queueing_lock=notice.name, pass_context=False)
    async def notices(timestamp: int) -> None:
        await notice_now(url, door, notice)


async def notice_now(url: str, door: Door, notice: Notice) -> int:
    """Submit what is due; return how many commands that were."""
    connection = await connect(url, default_transaction_read_only="on")
    try:
        due = await notice.due(connection, door.now())
    finally:
        await connection.close()
    await door.submit_all(SYSTEM, [(f"due/{notice.name}/{key}", command) for key, command in due])
    return len(due)


def register_brokering(app: App, url: str, door: Door, house: House) -> None:
    """Declare the job that runs the brokered groups of the routing policy, when its schedule says so."""

    @app.periodic(cron="* * * * *")
    @app.task(name="broker", queueing_lock="broker", pass_context=False)
    async def run(timestamp: int) -> None:
        connection = await connect(url, default_transaction_read_only="on")
        try:
            standing = await house.load_standing(connection)
            await broker_when_due(connection, door, SYSTEM, standing.policies)
        finally:
            await connection.close()


def register_emergencies(app: App, url: str, door: Door, house: House) -> None:
    """Declare the job that rolls back emergencies nobody reviewed in time, or escalates them."""

    @app.periodic(cron="* * * * *")
    @app.task(name="settle_emergencies", queueing_lock="settle_emergencies", pass_context=False)
    async def settle(timestamp: int) -> None:
        await settle_emergencies(url, house, door, door.now())


def register_freezes(app: App, url: str, door: Door, house: House) -> None:
    """Declare the job that starts freezes which are due, and puts through what waited for those that ended."""

    @app.periodic(cron="* * * * *")
    @app.task(name="follow_freezes", queueing_lock="follow_freezes", pass_context=False)
    async def follow(timestamp: int) -> None:
        connection = await connect(url, default_transaction_read_only="on")
        try:
            await follow_freezes(door, connection, house, door.now())
        finally:
            await connection.close()


def register_case_notices(app: App, url: str, door: Door, house: House, mail: MailSettings) -> None:
    """Declare the job that looks at cases whose time has come, and tells by e-mail whose turn it is."""

    @app.periodic(cron="* * * * *")
    @app.task(name="tell_cases", queueing_lock="tell_cases", pass_context=False)
    async def tell(timestamp: int) -> None:
        await tell_cases_now(url, door, house, mail)


async def tell_cases_now(url: str, door: Door, house: House, mail: MailSettings) -> int:
    """Write down who is to be told of cases, and send it; return how many messages were tried."""
    connection = await connect(url)
    try:
        standing = (await house.load_standing(connection)).at(door.now())
        people = await people_to_tell(connection, standing, door.now())
        while await notices.look(connection, door.now(), standing.policies, people) == notices.LOOKED_AT_MAX:
            pass
        tried = 0
        while mail.host is not None and (sent := await notices.send_due(connection, door.now, mail)):
            tried += sent
        why = await notices.blocked(connection) if tried else None
        if why is not None:
            await door.submit(SYSTEM, _unsent(why), f"due/mail/{door.now():%Y-%m-%dT%H:%M}")
        return tried
    finally:
        await connection.close()


def _unsent(why: str) -> OpenCase:
    """Return the case of notices that cannot be sent; the console shows it to whom no e-mail comes."""
    return OpenCase(
        cause="notices:mail",
        kind="notices",
        title="Notices of cases cannot be sent by e-mail",
        severity=2,
        owner_role="IT Process Owner",
        source={"error": why, "link": "/cases/notices?status=queued"},
    )


async def seal_now(url: str) -> int:
    """Seal what the journal gained, and make its next partition; return the number of ranges sealed."""
    connection = await connect(url)
    try:
        await connection.execute("select journal_extend()")
        return await journal.seal(connection)
    finally:
        await connection.close()


async def tidy_now(url: str) -> None:
    """Forget keys older than 30 days, sign-in links and sessions that ended, and who ordered what the days before."""
    connection = await connect(url, statement_timeout="15min")
    try:
        await connection.execute("delete from door_key where at < now() - make_interval(days => %s)", [KEY_DAYS])
        await connection.execute("delete from refused_command where at < now() - make_interval(days => %s)", [KEY_DAYS])
        await connection.execute("delete from sign_in_link where expires_at < now() - interval '1 day'")
        await connection.execute("delete from web_session where expires_at < now()")
        await connection.execute("delete from sign_in_failure where at < now() - interval '1 day'")
        await connection.execute("delete from order_fingerprint where at < now() - interval '2 days'")
    finally:
        await connection.close()


async def prove_now(url: str, house: House) -> int:
    """Run every room's checks and keep the results; return how many found something."""
    connection = await connect(url, statement_timeout="15min")
    try:
        results = await record_checks(connection, house.checks)
    finally:
        await connection.close()
    failing = sum(result.failing > 0 for result in results)
    if failing:
        log.error("checks found something", failing=failing)
    return failing
