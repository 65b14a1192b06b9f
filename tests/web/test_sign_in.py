"""Signing in at the console: a password, or a link that works once; and what a stranger's page cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cache
from typing import Any

import aiohttp
import psycopg
import pytest
from litestar import Request, Response, Router, get, post
from litestar.response import Redirect
from tests.web.conftest import Client, Serve
from yarl import URL

from trueup import house
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused
from trueup.web.app import Routed, routed
from trueup.web.security import safe_next
from trueup.web.sessions import current_session, only_signed_in
from trueup.web.sign_in import make_link, set_password, sign_in_with_link, sign_in_with_password, sign_out

EMAIL, PASSWORD = "ann@example.com", "a long enough sentence"
HTML = {"Content-Type": "application/x-www-form-urlencoded"}


@post("/sign-in")
async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    form = await request.form()
    found = await sign_in_with_password(request, form["email"], form["password"])
    return _ended(found, safe_next(form.get("next")))


@post("/sign-in/link")
async def use_link(request: Request[Any, Any, Any]) -> Response[Any]:
    return _ended(await sign_in_with_link(request, (await request.form())["token"]), "/")


@get("/who")
async def who(request: Request[Any, Any, Any]) -> dict[str, str]:
    session = await current_session(request)
    assert session is not None
    return {"actor": session.actor.name, "csrf": session.csrf}


@post("/do")
async def do(request: Request[Any, Any, Any]) -> dict[str, str]:
    return {"done": (await request.form()).get("what", "")}


@post("/sign-out")
async def leave(request: Request[Any, Any, Any]) -> Response[Any]:
    return Redirect("/sign-in", status_code=303, cookies=[await sign_out(request)])


def _ended(found: Any, target: str) -> Response[Any]:
    if isinstance(found, Refusal):
        return Response({"rule": found.rule, "what": found.what}, status_code=403)
    return Redirect(target, status_code=303, cookies=[found])


class Browser:
    """One browser: keeps its cookies."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.session = session
        self.address = address

    async def get(self, path: str) -> tuple[int, Any, Any]:
        async with self.session.get(self.address + path, allow_redirects=False) as answer:
            return answer.status, answer.headers, await _body(answer)

    async def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> tuple[int, Any, Any]:
        sent = {"Origin": self.address, **(headers or {})}
        async with self.session.post(self.address + path, data=form, headers=sent, allow_redirects=False) as answer:
            return answer.status, answer.headers, await _body(answer)

    def cookie(self) -> str | None:
        return {cookie.key: cookie.value for cookie in self.session.cookie_jar}.get("trueup")


async def _body(answer: aiohttp.ClientResponse) -> Any:
    return await answer.json(content_type=None) if "json" in answer.content_type else await answer.text()


@pytest.fixture
async def actor(door: Door, url: str) -> str:
    """A person with a password."""
    outcome = await door.submit(SYSTEM, RegisterActor(name="Ann", roles=("Finance",), email=EMAIL), "ann")
    made: str = outcome.result["actor"]
    await set_password(url, made, PASSWORD)
    return made


@cache
def few_pages() -> Routed:
    inside = Router("/", route_handlers=[who, do, leave], before_request=only_signed_in)
    return routed(house.build(), pages=[sign_in, use_link, inside])


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[Client]:
    """A server with a few pages of this test's own."""
    async with serve(few_pages()) as opened:
        yield opened


@pytest.fixture
async def browser(client: Client) -> AsyncIterator[Browser]:
    """A browser without cookies."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, client.address)


async def test_a_password_begins_a_session(browser: Browser, actor: str, url: str) -> None:
    status, headers, _ = await browser.get("/who?x=1")
    assert (status, headers["location"]) == (303, "/sign-in?next=%2Fwho%3Fx%3D1")
    status, headers, _ = await browser.post("/sign-in", email="ANN@example.com", password=PASSWORD, next="/who")
    assert (status, headers["location"]) == (303, "/who")
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=43200" in cookie
    assert "secure" not in cookie, "this is http"
    assert (await browser.get("/who"))[2]["actor"] == "Ann"
    with psycopg.connect(url) as connection:
        stored = connection.execute("select digest, csrf from web_session").fetchall()
    assert browser.cookie()
    assert str(browser.cookie()) not in str(stored), "the database knows only the digest"


async def test_a_wrong_password_and_an_unknown_address_are_told_the_same(browser: Browser, actor: str) -> None:
    wrong = await browser.post("/sign-in", email=EMAIL, password="wrong")
    unknown = await browser.post("/sign-in", email="nobody@example.com", password="wrong")
    assert wrong[0] == unknown[0] == 403
    assert wrong[2] == unknown[2]
    assert browser.cookie() is None


async def test_after_ten_failures_even_the_right_password_waits(
    browser: Browser, actor: str, clock: TurnedClock, url: str
) -> None:
    rules = [(await browser.post("/sign-in", email=EMAIL, password="wrong"))[2]["rule"] for _ in range(11)]
    assert rules == ["sign_in.wrong"] * 10 + ["sign_in.too_many"]
    assert (await browser.post("/sign-in", email=EMAIL, password=PASSWORD))[2]["rule"] == "sign_in.too_many"
    with psycopg.connect(url) as connection:
        assert EMAIL not in str(connection.execute("select who from sign_in_failure").fetchall())
    clock.turn(timedelta(minutes=15, seconds=1))
    assert (await browser.post("/sign-in", email=EMAIL, password=PASSWORD))[0] == 303


async def test_a_link_works_once(browser: Browser, actor: str, url: str, clock: TurnedClock) -> None:
    token = await make_link(url, actor, clock.now())
    assert (await browser.post("/sign-in/link", token=token))[0] == 303
    assert (await browser.get("/who"))[2]["actor"] == "Ann"
    assert (await browser.post("/sign-in/link", token=token))[2]["rule"] == "sign_in.link"


async def test_a_link_ends_after_fifteen_minutes(browser: Browser, actor: str, url: str, clock: TurnedClock) -> None:
    token = await make_link(url, actor, clock.now())
    clock.turn(timedelta(minutes=15))
    assert (await browser.post("/sign-in/link", token=token))[2]["rule"] == "sign_in.link"
    with pytest.raises(Refused):
        await make_link(url, "act_nobody")


async def test_signing_in_begins_a_new_session_and_ends_the_one_before(browser: Browser, actor: str, url: str) -> None:
    browser.session.cookie_jar.update_cookies({"trueup": "planted-by-somebody"}, URL(browser.address))
    await browser.post("/sign-in", email=EMAIL, password=PASSWORD)
    first = browser.cookie()
    assert first != "planted-by-somebody"
    await browser.post("/sign-in", email=EMAIL, password=PASSWORD)
    assert browser.cookie() != first
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from web_session").fetchone() == (1,)


async def test_a_session_ends_with_sign_out_with_time_and_with_access(
    browser: Browser, actor: str, clock: TurnedClock, door: Door
) -> None:
    await browser.post("/sign-in", email=EMAIL, password=PASSWORD)
    csrf = (await browser.get("/who"))[2]["csrf"]
    kept = browser.cookie()
    assert (await browser.post("/sign-out", csrf=csrf))[0] == 303
    browser.session.cookie_jar.update_cookies({"trueup": kept or ""}, URL(browser.address))
    assert (await browser.get("/who"))[0] == 303, "the cookie that was kept opens nothing"
    await browser.post("/sign-in", email=EMAIL, password=PASSWORD)
    clock.turn(timedelta(hours=12))
    assert (await browser.get("/who"))[0] == 303


async def test_a_post_needs_the_token_of_its_session(browser: Browser, actor: str) -> None:
    await browser.post("/sign-in", email=EMAIL, password=PASSWORD)
    csrf = (await browser.get("/who"))[2]["csrf"]
    for form, headers in (({}, {}), ({"csrf": "guess"}, {}), ({}, {"X-CSRF-Token": ""}), ({"csrf": csrf[:-1]}, {})):
        status, _, body = await browser.post("/do", headers, what="x", **form)
        assert status == 403
        assert body["type"] == "urn:trueup:rule:security.csrf"
    foreign = {"Origin": "https://elsewhere.example"}
    assert (await browser.post("/do", foreign, what="x", csrf=csrf))[0] == 403
    assert (await browser.post("/do", what="x", csrf=csrf))[2] == {"done": "x"}
    assert (await browser.post("/do", {"X-CSRF-Token": csrf}, what="y"))[2] == {"done": "y"}


async def test_another_site_cannot_sign_somebody_in(browser: Browser, actor: str) -> None:
    foreign = {"Origin": "https://elsewhere.example"}
    status, _, body = await browser.post("/sign-in", foreign, email=EMAIL, password=PASSWORD)
    assert (status, body["rule"]) == (403, "security.csrf")


@pytest.mark.parametrize(
    "target",
    ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)", "\\\\x",
     "orders", "/\t/elsewhere.example", "/a\r\nSet-Cookie: x=y", "", None],
)  # fmt: skip
def test_the_way_back_stays_on_this_site(target: str | None) -> None:
    assert safe_next(target) == "/"


def test_the_way_back_is_kept() -> None:
    assert safe_next("/orders?status=held&cursor=a%20b") == "/orders?status=held&cursor=a%20b"


async def test_a_password_has_a_length(url: str, actor: str) -> None:
    with pytest.raises(Refused, match="12 to 200"):
        await set_password(url, actor, "short")
