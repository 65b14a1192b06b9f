"""E-mail over TLS with a sign-in, on a real server: whom nobody vouches for or lets in is said, and nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from msgspec.structs import replace
from tests.cases.conftest import Mailbox
from tests.cases.laddering import HOUR, mailed_person, opened
from tests.cases.test_notices import tell
from tests.proof import prove
from tests.requests import rows

from trueup.cases.mail import Mail, send
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.mail import MailSettings, Tls

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
ONE = Mail("ntc_1", "owen@example.com", "Rung 1", "Look at it.\n.\n")
USER, PASSWORD = "trueup", "a long word"
Serving = Callable[[Tls], AbstractAsyncContextManager[MailSettings]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key in one file."""
    folder = tmp_path_factory.mktemp("mail")
    key, signed, both = folder / "key.pem", folder / "signed.pem", folder / "server.pem"
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(signed)]
    subprocess.run(["openssl", *asked.split(), *named], check=True, capture_output=True, timeout=60)
    both.write_bytes(signed.read_bytes() + key.read_bytes())
    return both


@pytest.fixture
def serving(mailbox: Mailbox, certificate: Path) -> Serving:
    """Serve SMTP with TLS as asked for, letting in whoever knows the password."""

    def let_in(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        known = isinstance(given, LoginPassword) and (given.login, given.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=known, handled=False)

    @asynccontextmanager
    async def serve(tls: Tls) -> AsyncIterator[MailSettings]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        loop = asyncio.get_running_loop()
        running = await loop.create_server(
            lambda: SMTP(
                mailbox, hostname="shop.example", loop=loop, tls_context=context if tls == "starttls" else None,
                require_starttls=tls == "starttls", authenticator=let_in, auth_required=tls == "starttls",
                auth_require_tls=tls != "tls", auth_exclude_mechanism=["LOGIN"],
            ),
            "127.0.0.1", 0, ssl=context if tls == "tls" else None,
        )  # fmt: skip
        try:
            port = running.sockets[0].getsockname()[1]
            yield MailSettings(host="127.0.0.1", port=port, tls=tls, user=USER, password=PASSWORD,
                               ca=str(certificate), timeout_seconds=5)  # fmt: skip
        finally:
            running.close()
            for _ in range(50):  # the server's ends of connections close in rounds of the loop
                await asyncio.sleep(0)

    return serve


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_message_goes_out_over_tls_to_a_trusted_server_that_knows_the_password(
    tls: Tls, serving: Serving, mailbox: Mailbox
):
    async with serving(tls) as settings:
        sent = await asyncio.to_thread(send, settings, ONE)
    assert sent.outcome == "sent", sent.error
    assert [message["Message-ID"] for message in mailbox.taken] == ["<ntc_1@localhost>"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_server_that_nobody_vouches_for_gets_neither_password_nor_message(
    tls: Tls, serving: Serving, mailbox: Mailbox
):
    async with serving(tls) as settings:
        sent = await asyncio.to_thread(send, replace(settings, ca=None), ONE)
    assert sent.outcome == "blocked"
    assert "is not trusted" in sent.error
    assert "TRUEUP_MAIL_CA" in sent.error
    assert mailbox.taken == []


async def test_each_way_not_to_get_in_says_what_to_do(serving: Serving, mailbox: Mailbox):
    async with serving("none") as plain, serving("tls") as tls:
        said = {
            "offers no STARTTLS": replace(plain, tls="starttls"),
            "does not speak TLS so": replace(plain, tls="tls"),
            "no mail server answers at 127.0.0.1:1 ": replace(tls, port=1),
            "does not let somebody in (535 ": replace(tls, user="somebody"),
        }
        for words, settings in said.items():
            sent = await asyncio.to_thread(send, settings, ONE)
            assert (sent.outcome, words in sent.error) == ("blocked", True), sent.error
            assert "TRUEUP_MAIL_" in sent.error
            assert PASSWORD not in sent.error
    assert mailbox.taken == []


async def test_a_wrong_password_loses_no_notice_and_is_a_case_until_it_is_mended(
    door: Door, url: str, clock: TurnedClock, serving: Serving, mailbox: Mailbox
):
    await mailed_person(door, "Owen", "Operations Process Owner")
    await opened(door, "odd")
    clock.turn(25 * HOUR)
    async with serving("starttls") as settings:
        wrong = replace(settings, password="another")
        for _ in range(12):
            await tell(url, door, wrong)
            clock.turn(timedelta(minutes=31))
        queued = await rows(url, "select status, error from notice where step = 'rung/1'")
        assert {status for status, _ in queued} == {"queued"}, "more tries than any message has, and none is given up"
        assert "does not let trueup in" in queued[0][1]
        assert await rows(url, "select owner_role, status from cases where kind = 'notices'") == [
            ("IT Process Owner", "open")
        ]
        assert mailbox.taken == []
        assert await tell(url, door, settings) >= 1
    assert "owen@example.com" in {str(message["To"]) for message in mailbox.taken}
    assert await rows(url, "select distinct status from notice where step = 'rung/1'") == [("sent",)]
    await prove(url)
