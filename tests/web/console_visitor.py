"""Somebody at the console without a browser: follows links, fills forms in, and is served the whole application."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import aiohttp
import msgspec
from tests.conftest import expect_all
from tests.web.conftest import listening

from trueup import house
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import Clock, TurnedClock
from trueup.core.door import Door
from trueup.core.settings import Settings
from trueup.web.app import Routed, create_app, routed
from trueup.web.console.errors import show_error
from trueup.web.console.routes import router
from trueup.web.sign_in import make_link


class Page(msgspec.Struct):
    """What came back. address: where the visitor ended after redirects, without the host."""

    status: int
    text: str
    address: str
    headers: dict[str, str]

    def links(self) -> list[str]:
        """Return every address a link of the page leads to."""
        return [html.unescape(href) for href in re.findall(r'<a [^>]*?href="([^"]*)"', self.text)]

    def hidden(self, action: str) -> dict[str, str]:
        """Return the hidden fields of the page's form for this action."""
        forms = re.findall(rf'<form [^>]*action="{re.escape(html.escape(action))}"[^>]*>(.*?)</form>', self.text, re.S)
        assert forms, f"the page has no form for {action}"
        return {
            name: html.unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', forms[0])
        }


class Visitor:
    """One person with a cookie jar."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self.address = address

    async def get(self, path: str, **headers: str) -> Page:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.get(self.address + path, headers=sent) as answer:
            return await self._page(answer)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Page:
        sent = {"Origin": self.address, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self._session.post(self.address + path, data=fields, headers=sent) as answer:
            return await self._page(answer)

    async def fill_in(self, page: str, action: str, **fields: str) -> Page:
        """Open a page and send one of its forms."""
        found = await self.get(page)
        return await self.post(action, {**found.hidden(action), **fields})

    async def _page(self, answer: aiohttp.ClientResponse) -> Page:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Page(answer.status, await answer.text(), answer.url.raw_path_qs, headers)


@cache
def whole() -> Routed:
    """Return what answers the addresses of API and console in the house as shipped."""
    return routed(house.build(), pages=router, error_page=show_error)


@asynccontextmanager
async def console(url: str, clock: Clock) -> AsyncIterator[str]:
    """Serve API and console on this database and yield the address."""
    app = create_app(Settings(home=Path("unused")), url, whole(), clock=clock)
    async with listening(app) as address:
        yield address


async def person(door: Door, name: str, *roles: str) -> str:
    """Register a person and return their id."""
    command = RegisterActor(name=name, roles=roles, email=f"{name.lower()}@example.com")
    outcome = await door.submit(SYSTEM, command, f"person {name}")
    expect_all([outcome])
    return str(outcome.result["actor"])


@asynccontextmanager
async def signed_in(url: str, clock: TurnedClock, address: str, actor: str) -> AsyncIterator[Visitor]:
    """Sign somebody in by a one-time link."""
    token = await make_link(url, actor, clock.now())
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        visitor = Visitor(session, address)
        page = await visitor.post("/sign-in/link", {"token": token})
        assert (page.status, page.address) in [(200, at) for at in ("/", "/stock", "/orders", "/offers")], page.text
        yield visitor
