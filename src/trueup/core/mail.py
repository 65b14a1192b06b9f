"""Where e-mail goes out: the settings of one SMTP server, from the environment."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from trueup.core.errors import SettingsError

Tls = Literal["none", "starttls", "tls"]
_TLS: dict[str, Tls] = {"none": "none", "starttls": "starttls", "tls": "tls"}


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An SMTP server. host: None sends nothing, and notices stay queued. sender: the address they come from.

    tls: `starttls` asks for it on a plain connection and sends nothing without; `tls` speaks it from the first byte.
    user, password: signs in with them where both are given. timeout_seconds: for each answer of the server.
    ca: a file of certificates (PEM) of who may vouch for the server, beside those that this machine trusts.
    """

    host: str | None = None
    port: int = 25
    sender: str = "trueup@localhost"
    tls: Tls = "none"
    user: str | None = None
    password: str | None = None
    timeout_seconds: int = 20
    ca: str | None = None


def load_mail_settings() -> MailSettings:
    """Return the settings of TRUEUP_MAIL_HOST, _PORT, _FROM, _TLS, _USER, _PASSWORD and _CA.

    Raises SettingsError when a value cannot be understood, a password would go over a plain connection, or nobody says
    whose it is.
    """
    told = os.environ.get("TRUEUP_MAIL_TLS") or "none"
    tls = _TLS.get(told)
    if tls is None:
        raise SettingsError(f"TRUEUP_MAIL_TLS is {told!r}; it must be none, starttls or tls")
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
        tls=tls,
        user=os.environ.get("TRUEUP_MAIL_USER") or None,
        password=os.environ.get("TRUEUP_MAIL_PASSWORD") or None,
        ca=os.environ.get("TRUEUP_MAIL_CA") or None,
    )
    if found.ca is not None and not os.path.isfile(found.ca):
        raise SettingsError(f"TRUEUP_MAIL_CA is {found.ca!r}; it must be a file of certificates in PEM")
    if found.password is not None and found.tls == "none":
        raise SettingsError(
            "TRUEUP_MAIL_PASSWORD would go over a plain connection; set TRUEUP_MAIL_TLS to starttls or tls"
        )
    if (found.user is None) != (found.password is None):
        raise SettingsError("TRUEUP_MAIL_USER and TRUEUP_MAIL_PASSWORD go together; set both, or neither")
    return found
