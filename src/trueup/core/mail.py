"""Where e-mail goes out: the settings of one SMTP server, from the environment."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from trueup.core.errors import SettingsError

Tls = Literal["none", "starttls", "tls"]


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An SMTP server. host: None sends nothing, and notices stay queued. sender: the address they come from.

    tls: `starttls` asks for it on a plain connection and sends nothing without; `tls` speaks it from the first byte.
    user, password: signs in with them where both are given. timeout_seconds: for each answer of the server.
    """

    host: str | None = None
    port: int = 25
    sender: str = "trueup@localhost"
    tls: Tls = "none"
    user: str | None = None
    password: str | None = None
    timeout_seconds: int = 20


def load_mail_settings() -> MailSettings:
    """Return the settings of TRUEUP_MAIL_HOST, _PORT, _FROM, _TLS, _USER and _PASSWORD.

    Raises SettingsError when a value cannot be understood, or a password would go over a plain connection.
    """
    tls = os.environ.get("TRUEUP_MAIL_TLS") or "none"
    if tls not in ("none", "starttls", "tls"):
        raise SettingsError(f"TRUEUP_MAIL_TLS is {tls!r}; it must be none, starttls or tls")
    port = os.environ.get("TRUEUP_MAIL_PORT") or {"none": "25", "starttls": "587", "tls": "465"}[tls]
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError(f"TRUEUP_MAIL_PORT is {port!r}; it must be a port such as 587")
    sender = os.environ.get("TRUEUP_MAIL_FROM") or "trueup@localhost"
    if "@" not in sender or any(character in sender for character in "\r\n<> "):
        raise SettingsError(f"TRUEUP_MAIL_FROM is {sender!r}; it must be an address such as trueup@example.com")
    found = MailSettings(
        host=os.environ.get("TRUEUP_MAIL_HOST") or None,
        port=int(port),
        sender=sender,
        tls=tls,  # type: ignore[arg-type]
        user=os.environ.get("TRUEUP_MAIL_USER") or None,
        password=os.environ.get("TRUEUP_MAIL_PASSWORD") or None,
    )
    if found.password is not None and found.tls == "none":
        raise SettingsError(
            "TRUEUP_MAIL_PASSWORD would go over a plain connection; set TRUEUP_MAIL_TLS to starttls or tls"
        )
    return found
