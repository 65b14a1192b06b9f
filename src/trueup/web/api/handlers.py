"""One handler for all writes and one for all reads, made from the rows of the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from trueup.authority.standing import outside, require
from trueup.core import json
from trueup.core.batch import House
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Actor, Outcome
from trueup.web.api.access import UNAUTHENTICATED, KeyHolder
from trueup.web.api.bodies import body_reader, names_in, placed_elsewhere, read_key, read_query, read_version
from trueup.web.api.problems import Answer, refusal_of_error, refuse, refused
from trueup.web.api.routes import READS, WRITES
from trueup.web.api.table import Asked, Read, Write
from trueup.web.changed import explained
from trueup.web.site import Site, site_of

_JSON = (b"content-type", b"application/json")
_PRIVATE = (b"cache-control", b"private, no-cache")
_STATUS = {"queued": 202, "pending_approval": 202}


def handlers(house: House) -> list[HTTPRouteHandler]:
    """Return the handlers of the whole table."""
    return [*(_write(row, house) for row in WRITES), *(_read(row) for row in READS)]


def headers_of(request: Request[Any, Any, Any]) -> dict[bytes, str]:
    """Return a request's headers by their names in lower case; of a header sent twice, the last."""
    return {name: value.decode("latin-1") for name, value in request.scope["headers"]}


Submit = Callable[[Site, KeyHolder, dict[bytes, str], bytes, dict[str, str]], Awaitable[Answer]]


def submission(row: Write, house: House) -> Submit:
    """Return the function that carries one write out: key, command, door, answer.

    It takes the site, who it is, the headers by lower-case name, the body, and the parts of the path; it raises only
    what has no meaning for the caller.
    """
    read = body_reader(row, house.verbs[row.command])
    elsewhere = placed_elsewhere(row)

    async def submit(
        site: Site, actor: KeyHolder, headers: dict[bytes, str], body: bytes, path: dict[str, str]
    ) -> Answer:
        try:
            key = read_key(headers.get(b"idempotency-key"))
            demand_json(headers)
            placed = _placed(row, path, headers) if elsewhere else {}
            command = read(body, placed)
            outcome = await site.door.submit(actor, command, key)
            if outcome.refusal is not None:
                outcome = await explained(site, command, outcome)
        except Exception as error:
            refusal = refusal_of_error(error)
            if refusal is None:
                raise
            return refused(refusal)
        return _answer(row, actor, outcome)

    return submit


def _write(row: Write, house: House) -> HTTPRouteHandler:
    submit = submission(row, house)

    async def write(request: Request[Any, Any, Any]) -> ASGIResponse:
        site, headers = site_of(request), headers_of(request)
        actor = await site.access.holder(headers.get(b"authorization"))
        if actor is None:
            return refuse(UNAUTHENTICATED)
        return (await submit(site, actor, headers, await request.body(), request.path_params)).for_litestar()

    made = route(
        _litestar_path(row.path),
        http_method=[HttpMethod(row.method)],
        request_max_body_size=row.bytes_max,
        status_code=200,
    )
    return made(write)


def _read(row: Read) -> HTTPRouteHandler:
    async def read(request: Request[Any, Any, Any]) -> ASGIResponse:
        site = site_of(request)
        headers = headers_of(request)
        actor = await site.access.holder(headers.get(b"authorization"))
        if actor is None:
            return refuse(UNAUTHENTICATED)
        standing = await site.access.standing()
        scope = standing.within(actor)
        refusal = require(standing, actor, row.right) or (outside(actor) if scope and not row.scoped else None)
        if refusal is not None:
            return refuse(refusal, 403)
        if "\0" in request.scope["path"]:
            return refuse(_unknown(request))
        query = read_query(request.scope["query_string"], row.query)
        async with site.reading() as connection:
            found = await row.answer(
                connection, Asked(request.path_params, query, site.now(), standing.policies, scope, actor.id)
            )
        if found is None:
            return refuse(_unknown(request))
        return _found(found, headers.get(b"if-none-match"))

    return route(_litestar_path(row.path), http_method=[HttpMethod.GET, HttpMethod.HEAD])(read)


def demand_json(headers: dict[bytes, str]) -> None:
    """Raise Refused for a body that says it is something else than JSON in UTF-8, or that is packed."""
    media = headers.get(b"content-type", "application/json").lower().replace(" ", "")
    if media not in ("application/json", "application/json;charset=utf-8") or b"content-encoding" in headers:
        raise Refused(
            Refusal("request.media_type", f"The body is said to be {media[:80]!r}, or is compressed.",
                    "Send plain JSON with Content-Type: application/json.", "Content-Type", media[:80])
        )  # fmt: skip


def _placed(row: Write, path: dict[str, str], headers: dict[bytes, str]) -> dict[str, Any]:
    placed: dict[str, Any] = {row.fills.get(name, name): value for name, value in path.items()}
    for name, value in placed.items():
        if "\0" in value or len(value) > 200:
            raise Refused(Refusal("read.unknown", "There is no such thing.", "Correct the address.", name, value[:200]))
    if row.if_match is not None:
        placed[row.if_match] = read_version(headers.get(b"if-match"))
    return placed | row.fixed


def _answer(row: Write, actor: Actor, outcome: Outcome) -> Answer:
    if outcome.refusal is not None:
        return refused(outcome.refusal, _status_of(outcome.refusal, actor))
    status = _STATUS.get(outcome.status, 200)
    headers = [_JSON, _PRIVATE]
    if outcome.status == "applied" and row.created is not None:
        status = 201
        if row.created:
            headers.append((b"location", row.created.format_map(outcome.result).encode()))
    if outcome.repeated:
        headers.append((b"idempotent-replayed", b"true"))
    version = outcome.result.get("version")
    if version is not None:
        headers.append((b"etag", b'"%d"' % version))
    return Answer(status, headers, json.encode(outcome))


def _status_of(refusal: Refusal, actor: Actor) -> int | None:
    """Return the status where the rule alone does not decide it: whether the unknown actor is the caller."""
    if refusal.rule == "authority.unknown_actor":
        return 403 if refusal.value == actor.id else 404
    return None


def _found(found: Any, if_none_match: str | None) -> ASGIResponse:
    headers = [_JSON, _PRIVATE]
    version = getattr(found, "version", None)
    if version is not None:
        etag = f'"{version}"'
        headers.append((b"etag", etag.encode()))
        if if_none_match is not None and etag in if_none_match.split(", "):
            return Answer(304, headers[1:], b"").for_litestar()
    return Answer(200, headers, json.encode(found)).for_litestar()


def _unknown(request: Request[Any, Any, Any]) -> Refusal:
    path = request.scope["path"][:200].replace("\0", "")
    return Refusal("read.unknown", f"There is nothing at {path}.", "Look the id up in its list.", "path", path)


def _litestar_path(path: str) -> str:
    for name in names_in(path):
        path = path.replace("{" + name + "}", "{" + name + ":str}")
    return path
