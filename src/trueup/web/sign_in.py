"""Prove who one is at the console: by password, or by a link that works once.

`sign_in_with_password` and `sign_in_with_link` return the cookie to set on the redirect, or a refusal to show; what a
wrong password and an unknown address are told is the same. `make_link` and `set_password` are for the command line.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from litestar import Request
from litestar.datastructures import Cookie

from trueup.core.database import connect
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Actor
from trueup.web import sessions
from trueup.web.security import wrong_origin
from trueup.web.site import Site, site_of

LINK_LIFETIME = timedelta(minutes=15)
FAILURES_MAX = 10
FAILURES_WITHIN = timedelta(minutes=15)
PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 12, 200

_HASHER = PasswordHasher()
# Verified when there is no such address, so that both answers take the same time.
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))
# Each verification takes 64 MB and tens of milliseconds; two at a time are enough for people.
_AT_ONCE = asyncio.Semaphore(2)

_WRONG = Refusal(
    "sign_in.wrong",
    "This address and password do not belong together.",
    "Check both, or ask an administrator for a sign-in link.",
)
_TOO_MANY = Refusal(
    "sign_in.too_many",
    "Too many attempts failed for this address or from this place.",
    "Wait 15 minutes, or sign in with a link from an administrator.",
)
_LINK = Refusal(
    "sign_in.link",
    "This link was used already, has expired, or is not one.",
    "Ask for a new one: a link works once, within 15 minutes.",
)


async def sign_in_with_password(request: Request[Any, Any, Any], email: str, password: str) -> Cookie | Refusal:
    """Begin a session for the person of this e-mail address; return its cookie, or why not."""
    refusal = wrong_origin(request)
    if refusal is not None:
        return refusal
    site = site_of(request)
    who = _who(request, email)
    if not await _attempt(site, who):
        return _TOO_MANY
    async with site.reads.connection() as connection:
        cursor = await connection.execute(
            """select a.id, p.argon2 from actor a join password p on p.actor = a.id
            where lower(a.email) = lower(%s) and a.active and a.kind = 'person'""",
            [email.replace("\0", "")],
        )
        row = await cursor.fetchone()
    known = await _is_password(row[1] if row else _NOBODY, password)
    actor = (await site.access.standing()).actors.get(row[0]) if row and known else None
    if actor is None:
        return _WRONG
    return await _begin(request, actor, who)


async def sign_in_with_link(request: Request[Any, Any, Any], token: str) -> Cookie | Refusal:
    """Begin a session by a link's token, which works no more after this; return its cookie, or why not.

    Call it on POST only: programs that look at mail follow links by GET.
    """
    refusal = wrong_origin(request)
    if refusal is not None:
        return refusal
    site = site_of(request)
    who = _who(request, None)
    if not await _attempt(site, who):
        return _TOO_MANY
    now = site.now()
    async with site.sign_in.connection() as connection:
        cursor = await connection.execute(
            """update sign_in_link set used_at = %s where digest = %s and used_at is null and expires_at > %s
            returning actor""",
            [now, _digest(token), now],
        )
        row = await cursor.fetchone()
        await connection.execute("delete from sign_in_link where expires_at < %s", [now - timedelta(days=1)])
    actor = (await site.access.standing(fresh=True)).actors.get(row[0]) if row else None
    return _LINK if actor is None else await _begin(request, actor, who)


async def sign_out(request: Request[Any, Any, Any]) -> Cookie:
    """End this browser's session; return the cookie that clears it. Check the CSRF token before."""
    return await sessions.end(request)


async def make_link(url: str, actor: str, now: datetime | None = None) -> str:
    """Return a fresh token for an actor (`act_...`): it opens `/sign-in/link?token=...` once, within 15 minutes.

    Raises Refused when there is no active person of this id.
    """
    token = secrets.token_urlsafe(32)
    expires_at = (now or datetime.now(UTC)) + LINK_LIFETIME
    async with await connect(url) as connection:
        made = await connection.execute(
            """insert into sign_in_link (digest, actor, expires_at)
            select %s, id, %s from actor where id = %s and active and kind = 'person'""",
            [_digest(token), expires_at, actor],
        )
    if not made.rowcount:
        raise Refused(_no_person(actor))
    return token


async def set_password(url: str, actor: str, password: str) -> None:
    """Set a person's password and end all their sessions. Raises Refused when it is too short or too long."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise Refused(
            Refusal(
                "sign_in.password_length",
                f"The password has {len(password)} characters.",
                f"Choose one of {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters; a sentence is good.",
                "password",
            )
        )
    async with await connect(url) as connection:
        made = await connection.execute(
            """insert into password (actor, argon2) select id, %s from actor where id = %s and kind = 'person'
            on conflict (actor) do update set argon2 = excluded.argon2, at = now()""",
            [_HASHER.hash(password), actor],
        )
        await connection.execute("delete from web_session where actor = %s", [actor])
    if not made.rowcount:
        raise Refused(_no_person(actor))


async def _begin(request: Request[Any, Any, Any], actor: Actor, who: list[str]) -> Cookie:
    site = site_of(request)
    async with site.sign_in.connection() as connection:
        await connection.execute(
            "delete from sign_in_failure where who = any(%s) or at < %s", [who, site.now() - FAILURES_WITHIN]
        )
    return await sessions.begin(request, actor)


async def _attempt(site: Site, who: list[str]) -> bool:
    """Book an attempt as failed until it succeeds; return False, booking nothing, where there were too many."""
    now = site.now()
    async with site.sign_in.connection() as connection:
        cursor = await connection.execute(
            """insert into sign_in_failure (who, at) select w, %s from unnest(%s::text[]) w
            where not exists (select from sign_in_failure where who = any(%s) and at > %s
                              group by who having count(*) >= %s) returning who""",
            [now, who, who, now - FAILURES_WITHIN, FAILURES_MAX],
        )
        return bool(await cursor.fetchall())


def _who(request: Request[Any, Any, Any], email: str | None) -> list[str]:
    """Return what failures are counted by: the network address, and the digest of the e-mail address."""
    client = request.client
    who = [f"place:{client.host if client else 'local'}"]
    if email is not None:
        who.append("mail:" + hashlib.sha256(email.strip().lower().encode()).hexdigest())
    return who


async def _is_password(argon2: str, password: str) -> bool:
    if len(password) > PASSWORD_LENGTH_MAX:
        return False
    async with _AT_ONCE:
        try:
            return await asyncio.to_thread(_HASHER.verify, argon2, password)
        except (VerificationError, InvalidHashError):
            return False


def _no_person(actor: str) -> Refusal:
    return Refusal("sign_in.unknown", f"There is no active person {actor!r}.", "Register the person first.",
                   "actor", actor)  # fmt: skip


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
