"""Every error of the API as problem details (RFC 9457): what, where, why and what to do."""

from __future__ import annotations

import re
import traceback
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import psycopg
import psycopg_pool
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse

from trueup.core import json
from trueup.core.errors import DatabaseUnreachable, Overloaded, Refusal, RefusalDetail, Refused, Unknown
from trueup.core.ids import new_id

log = structlog.get_logger("trueup.web")

# The status of a refusal by its rule; a rule that is not listed is 422: the request was understood and refused.
STATUS_OF_RULE = {
    "door.key_reused": 409,
    "door.quarantined": 500,
    "orders.unknown": 404,
    "orders.unknown_draft": 404,
    "orders.unknown_hold": 404,
    "sourcing.unknown_part": 404,
    "cases.unknown": 404,
    "stock.unknown_freeze": 404,
    "stock.unknown_feed": 404,
    "orders.changed": 412,
    "orders.hold_release_role": 403,
    "authority.unauthenticated": 401,
    "authority.not_allowed": 403,
    "authority.outside_scope": 403,
    "authority.own_roles": 403,
    "security.csrf": 403,
    "sign_in.too_many": 429,
    "request.invalid": 400,
    "request.malformed": 400,
    "request.key_missing": 400,
    "request.header": 400,
    "read.cursor": 400,
    "read.field": 400,
    "read.unknown": 404,
    "request.media_type": 415,
    "request.too_large": 413,
    "server.busy": 429,
    "server.database": 503,
    "server.too_slow": 503,
    "server.unknown_end": 504,
    "server.fault": 500,
}
MEDIA_TYPE = "application/problem+json"
_RETRY_SECONDS = {429: "1", 503: "2", 504: "1"}
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error. type: `urn:trueup:rule:<rule>`. instance: names this occurrence in the server's log.

    where: the field or id concerned. value: what stood there. fix: what to do. details: each further place.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    where: str = ""
    value: str = ""
    fix: str = ""
    details: tuple[RefusalDetail, ...] = ()


def problem_of(refusal: Refusal, status: int | None = None) -> Problem:
    """Return the problem details of a refusal; without a status, the one of its rule."""
    return Problem(
        type=f"urn:trueup:rule:{refusal.rule}",
        title=refusal.rule.replace(".", ": ").replace("_", " ").capitalize(),
        status=status or STATUS_OF_RULE.get(refusal.rule, 422),
        detail=refusal.what,
        instance=f"urn:trueup:request:{new_id('req')}",
        where=refusal.where,
        value=refusal.value,
        fix=refusal.fix,
        details=refusal.details,
    )


class Answer(NamedTuple):
    """What goes back: a status, headers in lower case, and the body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def for_litestar(self) -> ASGIResponse:
        """Return it as Litestar wants it."""
        headers = [(name.decode(), value.decode("latin-1")) for name, value in self.headers]
        return ASGIResponse(body=self.body, status_code=self.status, headers=headers)


def refused(refusal: Refusal, status: int | None = None) -> Answer:
    """Answer with a refusal's problem details; without a status, with the one of its rule."""
    return answer_of(problem_of(refusal, status))


def refuse(refusal: Refusal, status: int | None = None) -> ASGIResponse:
    """Answer with a refusal's problem details from a Litestar handler."""
    return refused(refusal, status).for_litestar()


def answer_of(problem: Problem) -> Answer:
    """Return problem details as an answer."""
    headers = [(name.encode(), value.encode()) for name, value in _headers(problem, {}).items()]
    return Answer(problem.status, [(b"content-type", MEDIA_TYPE.encode()), *headers], json.encode(problem))


def _headers(problem: Problem, headers: dict[str, str]) -> dict[str, str]:
    more = {**headers, **({"retry-after": _RETRY_SECONDS[problem.status]} if problem.status in _RETRY_SECONDS else {})}
    if problem.status == 401:
        more["www-authenticate"] = 'Bearer realm="trueup"'
    if problem.status >= 500:
        log.warning("request failed", instance=problem.instance, type=problem.type, status=problem.status)
    return {"cache-control": "no-store", **more}


def refusal_of_body(error: Exception) -> Refusal:
    """Return why a body or query was not understood, naming the path in it."""
    what, _, path = str(error).partition(" - at `")
    where = path.rstrip("`").removeprefix("$").removeprefix(".")
    if not isinstance(error, msgspec.ValidationError):
        return Refusal("request.malformed", f"The body is not JSON in UTF-8: {what[:300]}.",
                       "Send one JSON object; its fields are listed at /v1/docs.")  # fmt: skip
    unknown = _UNKNOWN_FIELD.search(what)
    if unknown is not None:
        where = f"{where}.{unknown[1]}".removeprefix(".")
        fix = "Leave the field out or correct its name; the fields are listed at /v1/docs."
        return Refusal("request.invalid", f"There is no field `{unknown[1]}` here.", fix, where)
    return Refusal("request.invalid", f"{what[:300]}.", "Correct this field; its form is described at /v1/docs.", where)


def refusal_of_error(error: BaseException) -> Refusal | None:
    """Return what to tell a caller about an exception that has a meaning, or None."""
    if isinstance(error, Refused):
        return error.refusal
    if isinstance(error, Overloaded):
        return Refusal("server.busy", "Too many commands are waiting already; nothing was written for this one.",
                       "Send it again after the seconds in Retry-After, with the same Idempotency-Key.")  # fmt: skip
    if isinstance(error, Unknown):
        return Refusal("server.unknown_end", "The database went away while it was answering: the end is not known.",
                       "Send the same body with the same Idempotency-Key: the answer tells what happened, "
                       "and it happens once.")  # fmt: skip
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Refusal("server.too_slow", "This query took longer than is allowed.", "Narrow it: add a filter.")
    if isinstance(error, psycopg.errors.DataError):
        return Refusal("request.invalid", "A value in this request is nothing the database can look for.",
                       "Correct the path or the query.")  # fmt: skip
    if isinstance(error, DatabaseUnreachable | psycopg.OperationalError | psycopg_pool.PoolTimeout):
        return Refusal("server.database", "The database cannot be reached; nothing was written.",
                       "Send it again after the seconds in Retry-After, with the same Idempotency-Key.")  # fmt: skip
    return None


def handle_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer any exception of a handler with problem details; what has no meaning is logged under its instance."""
    problem = problem_of_error(error, request.scope["path"])
    headers = _headers(problem, _allowed(error))
    return Response(json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def problem_of_error(error: Exception, path: str) -> Problem:
    """Return the problem details of any exception; one without a meaning is logged under its instance."""
    refusal = refusal_of_error(error)
    if refusal is not None:
        return problem_of(refusal)
    if isinstance(error, HTTPException) and error.status_code < 500:
        rule = "http." + HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
        what, fix = _HTTP_WORDS.get(error.status_code, (f"{error.detail}.", "See /v1/docs for what may be sent."))
        where = path[:200].replace("\0", "")
        return problem_of(Refusal(rule, what, fix, where), error.status_code)
    problem = problem_of(_FAULT)
    # Neither the message nor local variables: both may hold keys and personal words.
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-8))
    log.error("request broke", instance=problem.instance, error=type(error).__name__, frames=frames)
    return problem


def _allowed(error: Exception) -> dict[str, str]:
    headers = error.headers if isinstance(error, HTTPException) else None
    return {name: value for name, value in (headers or {}).items() if name.lower() == "allow"}


_HTTP_WORDS = {
    404: ("There is nothing at this address.", "See /v1/docs for the addresses there are."),
    405: ("This address does not take this method.", "See the Allow header, or /v1/docs."),
    413: ("The body is larger than this address takes.", "Send at most 1 MB (10 MB for counts); split it."),
}
NOTHING_HERE = Refusal("http.not_found", *_HTTP_WORDS[404])
NOT_READY = Refusal("server.database", "The database does not answer.", "Wait; the server tries again by itself.")
_FAULT = Refusal(
    "server.fault",
    "Something broke in the server; how a write ended can be learned by sending it again.",
    "Send the same body with the same Idempotency-Key; if it happens again, report the `instance` of this problem.",
)
