"""Policy documents of every kind: what is in force, each version, and publishing another; mistakes shown in place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority import change_read
from trueup.authority import read as authority
from trueup.authority.change_control import INDICATORS, ChangeControl
from trueup.authority.decision_rights import DecisionRights
from trueup.authority.drift import drifts
from trueup.authority.propose import ProposeChange
from trueup.authority.publish import PublishPolicy, WithdrawPolicy
from trueup.authority.read import PolicyVersion
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policy
from trueup.orders.workflow import STATES, Workflow
from trueup.web.console.entered import utc
from trueup.web.console.visit import Visit, enter, unknown


class Line(msgspec.Struct, frozen=True):
    """One line of a document as it is shown. faults: what is wrong with what begins here."""

    text: str
    faults: tuple[str, ...] = ()


@get("/policies")
async def list_policies(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the kinds of documents there are, and which of them somebody has published."""
    visit = await enter(request)
    async with visit.reading() as connection:
        active: dict[str, list[tuple[str, int]]] = {}
        for document in await authority.policies(connection):
            active.setdefault(document.kind, []).append((document.name, document.version))
    return await visit.show(
        "policies.html",
        section="/policies",
        title="Policies",
        kinds=[(name, _about(kind), active.get(name, ())) for name, kind in sorted(visit.site.kinds.items())],
    )


@get("/policies/{kind:str}")
async def show_policy(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[Any]:
    """Show every version of a kind of document, the one in force opened."""
    return await _policy_page(await enter(request), kind)


@post("/policies/{kind:str}")
async def publish(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[Any]:
    """Put a document in force; one with mistakes is shown again, each mistake where it stands."""
    visit = await enter(request)
    form = await visit.form()
    document = parsed(form.get("document", ""))
    if isinstance(document, Refusal):
        return await _policy_page(visit, kind, document, form)
    body = {"policy_kind": kind, "policy_name": form.get("name", "").strip(), "document": document,
            "reason": form.get("reason", "").strip()}  # fmt: skip
    outcome = await visit.submit(PublishPolicy, body, form)
    if outcome.refusal is not None:
        return await _policy_page(visit, kind, outcome.refusal, form, marked(document, outcome.refusal.details))
    return visit.done(visit.path_of("policies", kind), form)


@post("/policies/{kind:str}/withdraw")
async def withdraw(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[Any]:
    """Take a document out of force."""
    visit = await enter(request)
    form = await visit.form()
    outcome = await visit.submit(WithdrawPolicy, _withdrawal(kind, form), form)
    if outcome.refusal is not None:
        return await _policy_page(visit, kind, outcome.refusal, form)
    return visit.done(visit.path_of("policies", kind), form)


@post("/policies/{kind:str}/propose-withdrawal")
async def propose_withdrawal(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[Any]:
    """Propose to take a document out of force."""
    visit = await enter(request)
    form = await visit.form()
    command = _withdrawal(kind, form)
    edit = {"verb": "authority.withdraw_policy", "command": command}
    title = f"Withdraw {kind}/{command['policy_name']}"[:120]
    body = {"title": title, "reason": command["reason"], "edits": [edit]}
    outcome = await visit.submit(ProposeChange, body, form)
    if outcome.refusal is not None:
        return await _policy_page(visit, kind, outcome.refusal, form)
    return visit.done(visit.path_of("changes", str(outcome.result["change"])), form)


def _withdrawal(kind: str, form: dict[str, str]) -> dict[str, Any]:
    return {"policy_kind": kind, "policy_name": form.get("name", "").strip(), "reason": form.get("reason", "").strip()}


@post("/policies/{kind:str}/propose")
async def propose(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[Any]:
    """Propose the document as a change; what the register and the rules say about it is told at once."""
    visit = await enter(request)
    form = await visit.form()
    document = parsed(form.get("document", ""))
    if isinstance(document, Refusal):
        return await _policy_page(visit, kind, document, form)
    name, reason = form.get("name", "").strip(), form.get("reason", "").strip()
    type_, _, template = form.get("type", "normal").partition(":")
    command = {"policy_kind": kind, "policy_name": name, "document": document, "reason": reason or "-"}
    body = {
        "title": form.get("title", "").strip(),
        "reason": reason,
        "edits": [{"verb": "authority.publish_policy", "command": command}, *await _following(visit, kind, name, form)],
        "type": type_,
        "template": template,
        "effective_at": utc(form["effective_at"]) if form.get("effective_at") else "",
        "indicators": [name for name in INDICATORS if form.get(f"indicator-{name}")],
    }
    outcome = await visit.submit(ProposeChange, body, form)
    if outcome.refusal is not None:
        return await _policy_page(visit, kind, outcome.refusal, form, marked(document, outcome.refusal.details))
    return visit.done(visit.path_of("changes", str(outcome.result["change"])), form)


async def _following(visit: Visit, kind: str, name: str, form: dict[str, str]) -> list[dict[str, Any]]:
    """Return the edit that lets orders in flight walk by the version to come, where the form asks for it."""
    if kind != Workflow.kind or form.get("in_flight") != "1":
        return []
    async with visit.reading() as connection:
        versions = await authority.policy_versions(connection, kind)
    version = max((one.version for one in versions if one.name == name), default=0) + 1
    pairs = [part.partition("=") for part in form.get("in_flight_states", "").split(",") if part.strip()]
    states = {before.strip(): after.strip() for before, _, after in pairs}
    command = {"order_type": name, "version": version, **({"states": states} if states else {})}
    return [{"verb": "orders.adopt_workflow", "command": command}]


async def _policy_page(
    visit: Visit,
    kind: str,
    refusal: Refusal | None = None,
    entered: dict[str, str] | None = None,
    lines: Sequence[Line] = (),
) -> Response[Any]:
    async with visit.reading() as connection:
        found = await authority.policy_kind(connection, kind, known := visit.site.kinds.get(kind))
        pending = await change_read.pending_on(connection, f"policy/{kind}/", visit.now)
        drifted = {drift.policy_name: drift for drift in await drifts(connection) if drift.policy_kind == kind}
    if found is None:
        raise unknown(f"There is no policy of kind {kind!r}.")
    versions, default = found.versions, found.shipped
    name = visit.params.get("name") or _first_name(known, versions)
    return await visit.show(
        "policy.html",
        section="/policies",
        title=f"Policy {kind}",
        kind=kind,
        kinds=sorted(visit.site.kinds),
        about=_about(known),
        versions=versions,
        withdrawn=found.withdrawn,
        falls_back=found.falls_back,
        default=default,
        names=known.names if known is not None else (),
        name=name,
        draft=_begun(versions, name, default),
        workflow=kind == Workflow.kind,
        shipped={state.name for state in STATES},
        lines=lines,
        declared=visit.standing.declared,
        pending=pending,
        drifted=drifted,
        templates=visit.standing.policies.get(ChangeControl).templates,
        deciders=_deciders(visit, kind),
        indicators=INDICATORS,
        refusal=refusal,
        entered=entered or {},
    )


def _first_name(kind: type[Policy] | None, versions: Sequence[PolicyVersion]) -> str:
    """Return the name that a new version most likely has; empty where nobody can know."""
    if kind is not None and kind.names:
        return kind.names[0]
    return versions[0].name if versions else "default"


def _about(kind: type[Policy] | None) -> str:
    """Return the first sentence of what a kind says about itself."""
    said = " ".join((kind.__doc__ or "").split()).partition(". ")[0] if kind is not None else ""
    return said.removesuffix("; see the module's text").rstrip(".") + "." if said else ""


def _begun(versions: Sequence[PolicyVersion], name: str, default: Any) -> str:
    """Return the text that a new version begins with: what is in force under the name, else what was shipped."""
    found = next((version.document for version in versions if version.name == name and version.active), default)
    return json.dumps(found, indent=2, ensure_ascii=False)


def parsed(text: str) -> dict[str, Any] | Refusal:
    """Return the document that was sent, or where its text is no JSON object."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line, column = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else (1, 1)
        said = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deep"
        return Refusal("form.invalid", f"The document is no JSON: {said}.", "Correct it there and send it again.",
                       f"line {line}, column {column}")  # fmt: skip
    if not isinstance(document, dict):
        return Refusal("form.invalid", "The document is no object.", "Write its fields between braces.", "line 1")
    return document


def marked(document: Any, faults: Sequence[RefusalDetail]) -> list[Line]:
    """Return a document's lines, each fault at the line its path leads to, or at the nearest one around it."""
    lines = list(_lines(document, "", 0, "", ""))
    starts = {path: at for at, (path, _) in reversed(list(enumerate(lines))) if path is not None}
    found: dict[int, list[str]] = {}
    for fault in faults:
        path = fault.where
        while path not in starts:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        found.setdefault(starts[path], []).append(f"{fault.where}: {fault.what}" if path != fault.where else fault.what)
    return [Line(text, tuple(found.get(at, ()))) for at, (_, text) in enumerate(lines)]


def _lines(value: Any, path: str, depth: int, before: str, after: str) -> Iterator[tuple[str | None, str]]:
    """Yield (path, text) of each line of a value as JSON; closing lines have no path."""
    pad = "  " * depth
    if not value or not isinstance(value, dict | list):
        yield path, f"{pad}{before}{json.dumps(value, ensure_ascii=False)}{after}"
        return
    inside: list[tuple[str, str, Any]]
    if isinstance(value, dict):
        opening, closing = "{", "}"
        inside = [
            (f"{path}.{name}".lstrip("."), f"{json.dumps(name, ensure_ascii=False)}: ", v) for name, v in value.items()
        ]
    else:
        opening, closing = "[", "]"
        inside = [(f"{path}[{at}]", "", v) for at, v in enumerate(value)]
    yield path, f"{pad}{before}{opening}"
    for at, (where, name, part) in enumerate(inside, 1):
        yield from _lines(part, where, depth + 1, name, "," if at < len(inside) else "")
    yield None, f"{pad}{closing}{after}"


def _deciders(visit: Visit, kind: str) -> tuple[str, ...]:
    """Return who decides the fields of a kind, in the register's words."""
    register = visit.standing.policies.get(DecisionRights)
    struct = visit.site.kinds.get(kind)
    decisions = [register.of(f"{kind}.{field}") for field in (struct.__struct_fields__ if struct else ())]
    return tuple(dict.fromkeys(decision.decider if decision else "nobody" for decision in decisions))


routes = [list_policies, show_policy, publish, withdraw, propose, propose_withdrawal]
