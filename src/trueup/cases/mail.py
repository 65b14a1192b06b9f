"""Send one message by SMTP, and tell what became of it: taken, not taken, never to be taken, or not known."""

from __future__ import annotations

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Literal

import msgspec

from trueup.core.mail import MailSettings

Ending = Literal["sent", "later", "blocked", "refused", "unknown"]


BLOCKED = "cannot be sent: "
"""How the error of a message begins that waits for the settings or the server to be mended."""


class Mail(msgspec.Struct, frozen=True):
    """One message. id: the send key's, which becomes its Message-ID, so that a mailbox can tell it came twice."""

    id: str
    address: str
    subject: str
    body: str


class Sent(msgspec.Struct, frozen=True):
    """What became of a message. `later`: it was certainly not taken, try again. `refused`: it will never be.

    `blocked`: no message can be sent at all until somebody mends the settings or the server; error says which.
    """

    outcome: Ending
    error: str = ""


def send(settings: MailSettings, mail: Mail) -> Sent:
    """Send one message. It blocks; whoever calls gives it a thread of its own.

    Until the message itself goes out, every failure says that it was not taken. From then until the server's answer,
    nobody knows: such an end is `unknown`, and is not to be tried again.
    """
    if settings.host is None:
        return Sent("blocked", f"{BLOCKED}no mail server is set: name it in TRUEUP_MAIL_HOST")
    try:
        message = _message(settings, mail)
    except ValueError as error:
        return Sent("refused", f"no message can be made: {error}"[:500])
    try:
        client = _connected(settings)
    except (smtplib.SMTPException, OSError) as error:
        return Sent("blocked", f"{BLOCKED}{_why(settings, error)}"[:500])
    try:
        return _hand_over(client, settings.sender, mail.address, message)
    finally:
        client.close()


def _hand_over(client: smtplib.SMTP, sender: str, address: str, message: EmailMessage) -> Sent:
    try:
        for code, answer in (client.mail(sender), client.rcpt(address), client.docmd("DATA")):
            if code >= 400:
                return Sent("refused" if code >= 500 else "later", _words(code, answer))
    except (smtplib.SMTPException, OSError) as error:
        return Sent("later", f"not taken: {error}"[:500])
    try:
        client.send(_dotted(message.as_bytes(policy=message.policy.clone(linesep="\r\n"))))
        code, answer = client.getreply()
    except (smtplib.SMTPException, OSError) as error:
        return Sent("unknown", f"the answer was lost after the message went out: {error}"[:500])
    if code == 250:
        return Sent("sent")
    return Sent("refused" if code >= 500 else "later", _words(code, answer))


def _connected(settings: MailSettings) -> smtplib.SMTP:
    assert settings.host is not None
    context = ssl.create_default_context() if settings.tls != "none" else None
    if context is not None and settings.ca is not None:
        context.load_verify_locations(settings.ca)
    if settings.tls == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=settings.timeout_seconds, context=context
        )
    else:
        client = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_seconds)
    try:
        client.ehlo_or_helo_if_needed()
        if settings.tls == "starttls":
            client.starttls(context=context)
            client.ehlo()
        if settings.user is not None and settings.password is not None:
            client.login(settings.user, settings.password)
    except BaseException:
        client.close()
        raise
    return client


def _why(settings: MailSettings, error: smtplib.SMTPException | OSError) -> str:
    """Return why the server was not reached, not trusted or let nobody in, and what to do about it."""
    where = f"{settings.host}:{settings.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {where} is not trusted ({error.verify_message}); name the file of who signed it in "
            "TRUEUP_MAIL_CA, or the host as its certificate does in TRUEUP_MAIL_HOST"
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"{where} does not speak TLS so ({error.reason or error}); TRUEUP_MAIL_TLS=tls is usually at port 465, "
            "starttls at 587"
        )
    if isinstance(error, smtplib.SMTPAuthenticationError):
        said = _words(error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b"")
        return f"{where} does not let {settings.user} in ({said}); correct TRUEUP_MAIL_USER and TRUEUP_MAIL_PASSWORD"
    if isinstance(error, smtplib.SMTPNotSupportedError) and settings.tls == "starttls" and "STARTTLS" in str(error):
        return f"{where} offers no STARTTLS, and nothing is sent without; try TRUEUP_MAIL_TLS=tls at its port for that"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{where} takes no sign-in; take TRUEUP_MAIL_USER and TRUEUP_MAIL_PASSWORD away, or name another port"
    return f"no mail server answers at {where} ({error}); check TRUEUP_MAIL_HOST and TRUEUP_MAIL_PORT, and the network"


def _message(settings: MailSettings, mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"] = Address(addr_spec=settings.sender)
    message["To"] = Address(addr_spec=mail.address)
    message["Subject"] = " ".join(mail.subject.split())[:200]
    message["Message-ID"] = f"<{mail.id}@{settings.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    return message


def _dotted(data: bytes) -> bytes:
    """Return the message with the dots that begin lines doubled, and the one that ends it. Source: RFC 5321, 4.5.2."""
    body = data if data.endswith(b"\r\n") else data + b"\r\n"
    lines = (b"." + line if line.startswith(b".") else line for line in body.split(b"\r\n"))
    return b"\r\n".join(lines) + b".\r\n"


def _words(code: int, answer: bytes) -> str:
    return f"{code} {answer.decode('utf-8', 'replace')}"[:500]
