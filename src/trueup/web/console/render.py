"""Templates: one Jinja environment with escaping on, its filters, and addresses of static files by content."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from trueup.cases.ladder import is_overdue
from trueup.web.console import formats, telling, words

HERE = Path(__file__).parent
STATIC = HERE / "static"
PLACES = (
    ("/", "Overview"),
    ("/orders", "Orders"),
    ("/holds", "Holds"),
    ("/sourcing", "Sourcing"),
    ("/stock", "Stock"),
    ("/items", "Items"),
    ("/cases", "Cases"),
    ("/migrations", "Migrations"),
    ("/journal", "Journal"),
    ("/governance", "Governance"),
)

# What stands below "Governance": who decides what, and what was decided.
GOVERNANCE = (
    ("/governance", "For you"),
    ("/changes", "Changes"),
    ("/decisions", "Who decides"),
    ("/policies", "Policies"),
    ("/actors", "People"),
    ("/overrides", "Overrides"),
    ("/guards", "Guards"),
    ("/writers", "Writers"),
    ("/audit", "Audit"),
)

# Pages about the whole organisation, which are closed to who is confined to a part of it.
ABOUT_ALL = frozenset({"/", "/cases", "/migrations", "/journal", "/governance"})


@cache
def asset(name: str) -> str:
    """Return the address of a static file; its digest in it lets browsers keep it and never keep an old one."""
    path = STATIC / name
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "missing"
    return f"/static/{name}?v={version}"


def address(path: str, params: dict[str, str], **changes: str | int | None) -> str:
    """Return an address whose query is `params` with changes; None takes a parameter away, empty ones are left out."""
    merged = {**params, **{name: None if value is None else str(value) for name, value in changes.items()}}
    query = urlencode({name: value for name, value in merged.items() if value})
    return f"{path}?{query}" if query else path


def pretty(body: Any) -> str:
    """Write plain data as indented JSON for reading."""
    return json.dumps(body, indent=2, ensure_ascii=False)


def pretty_text(text: str) -> str:
    """Indent a JSON text for reading; a text that is none stays as it is."""
    try:
        return pretty(json.loads(text))
    except ValueError:
        return text


def shorten(text: str, length: int) -> str:
    """Cut the middle out of a long text, so that both ends can be compared."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[-(length - 1 - head) :]}"


def in_path(text: str) -> str:
    """Escape a text to be one segment of a path, slashes too."""
    return quote(text, safe="")


def ticks(text: str) -> Markup:
    """Show what stands between backticks as code, everything escaped."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def local(href: str) -> str:
    """Return an address only when it is one of ours; what came in from outside leads nowhere else."""
    return href if href.startswith("/") and not href.startswith(("//", "/\\")) else "#"


def exact(text: str) -> Decimal:
    """Read a decimal that was kept as text; zero for what is none."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0)


def figure(value: Decimal, text: str) -> str:
    """Write an exact figure with as many decimals as its text has, thousands separated."""
    return formats.decimals(value, len(text.partition(".")[2]))


def overdue(case: Any, now: datetime) -> bool:
    """Tell whether nobody acted on a case in time."""
    return is_overdue(case.due_at, case.acted_at, case.closed_at, now)


@cache
def environment() -> Environment:
    """Return the environment; a name that a page forgot to hand over is an error, not an empty place."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=200,
    )
    made.filters.update(
        money=formats.money, number=formats.number, moment=formats.moment, moment_exact=formats.moment_exact,
        ago=formats.ago, due=formats.due, pretty=pretty, shorten=shorten, path=in_path, local=local, exact=exact,
        readable=words.readable, pretty_text=pretty_text, figure=figure, ticks=ticks, event_words=telling.tell,
    )  # fmt: skip
    made.globals.update(
        asset=asset, word=words.word, severities=words.SEVERITY, flags_explained=words.FLAGS, navigation=PLACES,
        governance=GOVERNANCE, about_all=ABOUT_ALL, findings_explained=words.FINDINGS, root_causes=words.ROOT_CAUSES,
        overdue=overdue, fresh_key=lambda: uuid4().hex, zip=zip,
    )  # fmt: skip
    return made


def render(template: str, context: dict[str, Any]) -> str:
    """Return a page as HTML."""
    return environment().get_template(template).render(context)
