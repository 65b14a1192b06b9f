"""POST /v1/orders/bulk: a file of orders, and how each of them ended; one that is broken loses only itself."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from trueup.authority.standing import require
from trueup.core import json
from trueup.core.errors import Refusal, Refused
from trueup.orders.bulk import KEY_LENGTH_MAX, Format, place_all, read_file
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.bodies import read_key
from trueup.web.api.handlers import headers_of
from trueup.web.api.problems import refuse
from trueup.web.site import site_of

BYTES_MAX = 20_000_000
PATH = "/v1/orders/bulk"
FORMATS: dict[str, Format] = {"application/x-ndjson": "ndjson", "text/csv": "csv"}
NDJSON = "application/x-ndjson"


@post(PATH, request_max_body_size=BYTES_MAX, status_code=200)
async def place_bulk(request: Request[Any, Any, Any]) -> ASGIResponse:
    """Place every order of the file and answer with a line of JSON for each, in their order."""
    site, headers = site_of(request), headers_of(request)
    actor = await site.access.holder(headers.get(b"authorization"))
    if actor is None:
        return refuse(UNAUTHENTICATED)
    refusal = require(await site.access.standing(), actor, "orders.place")
    if refusal is not None:
        return refuse(refusal, 403)
    key = read_key(headers.get(b"idempotency-key"))
    if len(key) > KEY_LENGTH_MAX:
        return refuse(Refusal("request.header", f"The key has more than {KEY_LENGTH_MAX} characters.",
                              "Send a UUID: the row's number is added to it.", "Idempotency-Key", key))  # fmt: skip
    rows = read_file(await request.body(), _format(headers))
    results = await place_all(site.door, actor, rows, key)
    body = b"".join(json.encode(result) + b"\n" for result in results)
    return ASGIResponse(body=body, media_type=NDJSON, headers={"cache-control": "private, no-cache"})


def _format(headers: dict[bytes, str]) -> Format:
    media = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if media not in FORMATS or b"content-encoding" in headers:
        raise Refused(
            Refusal("request.media_type", f"The body is said to be {media[:80]!r}, or is compressed.",
                    f"Send plain text with Content-Type {' or '.join(FORMATS)}.", "Content-Type", media[:80])
        )  # fmt: skip
    return FORMATS[media]


HANDLERS: tuple[HTTPRouteHandler, ...] = (place_bulk,)
