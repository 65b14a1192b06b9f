"""A real SMTP server, and the mailbox behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from trueup.core.mail import MailSettings


class Mailbox:
    """What a server took, and what it answers: `answer` to the message, `recipient` to its address."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.answer = "250 OK"
        self.recipient = "250 OK"
        self.hangs_up = False

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.SMTP)
            assert isinstance(message, EmailMessage)
            self.taken.append(message)
        if self.hangs_up:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return self.answer


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def mail(mailbox: Mailbox) -> AsyncIterator[MailSettings]:
    """An SMTP server on a free port."""
    loop = asyncio.get_running_loop()
    running = await loop.create_server(lambda: SMTP(mailbox, hostname="shop.example", loop=loop), "127.0.0.1", 0)
    try:
        port = running.sockets[0].getsockname()[1]
        yield MailSettings(host="127.0.0.1", port=port, sender="trueup@shop.example", timeout_seconds=5)
    finally:
        running.close()
        await running.wait_closed()
