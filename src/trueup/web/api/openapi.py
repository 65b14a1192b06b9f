"""The API's own description, OpenAPI 3.1, made from the table of routes and the structs themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from trueup import __version__
from trueup.authority.trial import Trial
from trueup.core.batch import House
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.orders import bulk as bulk_file
from trueup.oversight.change_impact import KeptImpact
from trueup.web.api import bulk, examining, rehearse, replaying
from trueup.web.api.bodies import body_type, names_in
from trueup.web.api.problems import Problem
from trueup.web.api.promises import QUESTIONS, Question
from trueup.web.api.routes import READS, WRITES
from trueup.web.api.table import Read, Write

_REF = "#/components/schemas/{name}"
_AMOUNT = {
    "type": "string",
    "pattern": r"^-?[0-9]{1,13}(\.[0-9]{1,6})?$",
    "description": "An amount of money; never a number.",
}
_QUANTITY = {
    "anyOf": [
        {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"},
        {"type": "integer", "minimum": -999_999_999_999, "maximum": 999_999_999_999},
    ],
    "description": "A quantity in units; never a float.",
}
_DESCRIPTION = """Orders, stock and cases of one Trueup.

Every write is a command. It needs `Authorization: Bearer tu_...` and a fresh `Idempotency-Key`; sending the same body
with the same key again is told the first outcome, with the header `Idempotent-Replayed: true`. Another body with a used
key is 409. A command that was refused wrote nothing.

Limits: a body of 1 MB (10 MB for receipts and counts), 64 kB of headers, 200 characters in a key, 500 lines in an
order, 1,000 in a receipt or count, 200 rows on a page (1,000 events), 100 commands in a rehearsal. Keys live 30 days.
When too many commands wait, the answer is 429 with `Retry-After`.

Money is a string with at most 13 digits and six decimals. Quantities are whole numbers or such strings. Times carry a
zone. Unknown fields are refused. Lists are read by cursor: send `next` as `cursor`. Errors are problem details of
RFC 9457: `type` names the rule, `where` the field, `fix` what to do.

An API key is made by its holder: `tu_` and at least 32 random characters; only its SHA-256 in hex is ever sent here."""

_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[\x21-\x7e]{1,200}$"},
    "description": "Fresh for each new command, the same when it is repeated; for example a UUID.",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": r'^(\*|"[0-9]{1,9}")$'},
    "description": "The ETag last seen; the answer is 412 when it changed meanwhile.",
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "An ETag; the answer is 304 while it holds.",
}
_WRITE_PROBLEMS = (400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503, 504)
_READ_PROBLEMS = (400, 401, 403, 404, 500, 503)
_MEANING = {
    400: "A header, path or body that cannot be understood; `where` says which field",
    401: "No valid API key",
    403: "The actor may not do this",
    404: "There is no such thing",
    409: "The key was used before for another command",
    412: "It changed meanwhile",
    413: "The body is too large",
    415: "The body is not plain JSON",
    422: "A rule refused it; nothing was written",
    429: "Too many commands wait; see Retry-After",
    500: "It broke, or was set aside in quarantine",
    503: "The database cannot be reached; nothing was written",
    504: "How it ended is not known; repeat it with the same key",
}


def describe(house: House) -> dict[str, Any]:
    """Return the OpenAPI document."""
    bodies = {_key(row): body_type(row, house.verbs[row.command], described=True) for row in _with_body()}
    answers = [row.returns for row in READS]
    kinds: list[Any] = [*bodies.values(), *answers, Outcome, Problem, rehearse.Rehearsal, rehearse.Expectation,
                        replaying.ReplayAsked, KeptImpact, Trial,
                        *(row.takes for row in QUESTIONS), *(row.returns for row in QUESTIONS)]  # fmt: skip
    schemas, components = msgspec.json.schema_components(kinds, schema_hook=_extended, ref_template=_REF)
    schema_of = dict(zip([*bodies, *(row.path for row in READS), "outcome", "problem", "rehearsal", "expectation",
                          "replay", "impact", "trial",
                          *(row.takes.__name__ for row in QUESTIONS), *(row.path for row in QUESTIONS)],
                         schemas, strict=True))  # fmt: skip
    paths: dict[str, dict[str, Any]] = {}
    for write in WRITES:
        paths.setdefault(write.path, {})[write.method.lower()] = _write(write, house, schema_of)
    for read in READS:
        paths.setdefault(read.path, {})["get"] = _read(read, schema_of)
    paths[bulk.PATH] = {"post": _bulk(schema_of)}
    paths["/v1/rehearse"] = {"post": _rehearse(schema_of)}
    paths.setdefault(replaying.PATH, {})["post"] = _replay(schema_of)
    paths |= _examined(schema_of)
    for question in QUESTIONS:
        paths[question.path] = {"post": _ask(question, schema_of)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Trueup", "version": __version__, "description": _DESCRIPTION,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "tu_..."}},
            "schemas": components,
        },
    }  # fmt: skip


def _key(row: Write) -> str:
    return f"{row.method} {row.path}"


def _with_body() -> list[Write]:
    return [row for row in WRITES if row.method != "DELETE"]


def _write(row: Write, house: House, schema_of: dict[str, Any]) -> dict[str, Any]:
    verb = house.verbs[row.command]
    parameters = [*_path_parameters(row.path), _KEY_HEADER, *([_IF_MATCH] if row.if_match else [])]
    status = "201" if row.created is not None else "200"
    outcome = {"description": "Applied", "content": _json(schema_of["outcome"])}
    again = {"description": "Applied, merged, or ignored by a named rule", "content": _json(schema_of["outcome"])}
    operation: dict[str, Any] = {
        "operationId": f"{row.method.lower()} {verb.name}",
        "summary": _first_line(verb.decide.__doc__ or row.command.__doc__),
        "description": verb.decide.__doc__ or "",
        "tags": [verb.name.partition(".")[0]],
        "parameters": parameters,
        "responses": {"200": again, status: outcome, **_problems(_WRITE_PROBLEMS, schema_of)},
    }
    if _key(row) in schema_of:
        operation["requestBody"] = {"required": True, "content": _json(schema_of[_key(row)])}
    return operation


def _read(row: Read, schema_of: dict[str, Any]) -> dict[str, Any]:
    fields = msgspec.structs.fields(row.query)
    query = _query_parameters(row.query)
    one = "version" in getattr(row.returns, "__struct_fields__", ())
    answers = {"200": {"description": "Found", "content": _json(schema_of[row.path])}}
    if one:
        answers["304"] = {"description": "Not changed since the ETag in If-None-Match"}
    return {
        "operationId": "get " + row.path.removeprefix("/v1/").replace("/", " ").replace("{", "").replace("}", ""),
        "summary": row.summary,
        "description": (row.query.__doc__ or "") if fields else "",
        "tags": [row.path.split("/")[2]],
        "parameters": [*_path_parameters(row.path), *query, *([_IF_NONE_MATCH] if one else [])],
        "responses": {**answers, **_problems(_READ_PROBLEMS, schema_of)},
    }


def _rehearse(schema_of: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "rehearse",
        "summary": "Show what commands would do; nothing is written",
        "description": rehearse.Rehearsal.__doc__,
        "tags": ["rehearse"],
        "requestBody": {"required": True, "content": _json(schema_of["rehearsal"])},
        "responses": {
            "200": {"description": "What would happen", "content": _json(schema_of["expectation"])},
            **_problems((400, 401, 403, 413, 415, 422, 500, 503), schema_of),
        },
    }


def _query_parameters(query: type[msgspec.Struct]) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "in": "query", "required": field.required, "schema": _of_parameter(field.type)}
        for field in msgspec.structs.fields(query)
    ]


def _examined(schema_of: dict[str, Any]) -> dict[str, Any]:
    trial = "Say what a guard would stop of the last days' acts"
    export = "Send who did what as a file, CSV or JSON"
    answer = schema_of["trial"]
    file = {"text/csv": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
    return {
        examining.TRIAL: {
            "get": _examine("try guard", trial, examining.TRIAL, examining.TrialQuery, _json(answer), schema_of)
        },
        examining.EXPORT: {
            "get": _examine("export audit", export, examining.EXPORT, examining.ExportQuery, file, schema_of)
        },
    }


def _examine(
    name: str, summary: str, path: str, query: type[msgspec.Struct], content: dict[str, Any], schema_of: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "description": query.__doc__,
        "tags": [path.split("/")[2]],
        "parameters": [*_path_parameters(path), *_query_parameters(query)],
        "responses": {
            "200": {"description": "The answer", "content": content},
            **_problems((400, 401, 403, 404, 422, 500, 503), schema_of),
        },
    }


def _replay(schema_of: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "replay change",
        "summary": "Replay the last days' commands under what a change proposes",
        "description": replaying.ReplayAsked.__doc__,
        "tags": ["changes"],
        "parameters": _path_parameters(replaying.PATH),
        "requestBody": {"required": True, "content": _json(schema_of["replay"])},
        "responses": {
            "200": {"description": "Which orders come out differently", "content": _json(schema_of["impact"])},
            **_problems((400, 401, 403, 404, 413, 415, 422, 500, 503), schema_of),
        },
    }


def _bulk(schema_of: dict[str, Any]) -> dict[str, Any]:
    lines = {"schema": {"type": "string"}}
    return {
        "operationId": "place bulk",
        "summary": "Place every order of a file; a broken row loses only itself",
        "description": bulk_file.__doc__,
        "tags": ["orders"],
        "parameters": [_KEY_HEADER],
        "requestBody": {"required": True, "content": dict.fromkeys(bulk.FORMATS, lines)},
        "responses": {
            "200": {"description": "How each order ended: a line of JSON for each", "content": {bulk.NDJSON: lines}},
            **_problems((400, 401, 403, 413, 415, 422, 429, 500, 503, 504), schema_of),
        },
    }


def _ask(row: Question, schema_of: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "ask " + row.path.rpartition("/")[2],
        "summary": row.summary,
        "description": row.takes.__doc__,
        "tags": [row.path.split("/")[2]],
        "requestBody": {"required": True, "content": _json(schema_of[row.takes.__name__])},
        "responses": {
            "200": {"description": "The answer; nothing was written", "content": _json(schema_of[row.path])},
            **_problems((400, 401, 403, 413, 415, 422, 500, 503), schema_of),
        },
    }


def _problems(statuses: tuple[int, ...], schema_of: dict[str, Any]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": schema_of["problem"]}}
    return {str(status): {"description": _MEANING[status], "content": content} for status in statuses}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    shape = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\x00]+$"}
    return [{"name": name, "in": "path", "required": True, "schema": shape} for name in names_in(path)]


def _of_parameter(kind: Any) -> dict[str, Any]:
    """Return a query parameter's schema; it may be left out, but never be null."""
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=_extended, ref_template=_REF)
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        return dict(options[0])
    if None in schema.get("enum", []):
        return {"enum": [value for value in schema["enum"] if value is not None]}
    return schema


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].split(". ")[0].rstrip(".")


def _extended(kind: type) -> dict[str, Any]:
    if kind is Amount:
        return _AMOUNT
    if kind is Quantity:
        return _QUANTITY
    raise NotImplementedError(f"no schema for {kind.__name__}")
