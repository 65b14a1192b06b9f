"""What the application mounts for the console: static files, the way in, and the pages for who is signed in.

`routed(house, pages=router, error_page=errors.show_error)`.
"""

from __future__ import annotations

from litestar import Router
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from trueup.web.console.pages import (
    actors,
    audit,
    brokering,
    cases,
    changes,
    contracts,
    counts,
    data_quality,
    feeds,
    freezes,
    governance,
    guards,
    holds,
    items,
    journal,
    locations,
    lots,
    migrations,
    offers,
    order_entry,
    orders,
    organisation,
    overrides,
    overview,
    partners,
    people,
    policies,
    pools,
    promises,
    sign_in,
    sourcing,
    stock,
    stock_item,
    supplies,
    transfers,
    writers,
)
from trueup.web.console.render import STATIC
from trueup.web.sessions import only_signed_in

BODY_BYTES_MAX = 1_000_000
_PAGES = (
    overview, order_entry, orders, holds, sourcing, brokering, stock, freezes, feeds, transfers, counts, items,
    locations, partners, data_quality, contracts, cases, stock_item, lots, supplies, pools, promises,
    migrations, journal, actors, people, changes, organisation, policies,
    governance, guards, offers, overrides, writers, audit,
)  # fmt: skip

router: list[ControllerRouterHandler] = [
    create_static_files_router(path="/static", directories=[STATIC], include_in_schema=False, cache_control=None),
    Router(
        path="/",
        route_handlers=list(sign_in.routes),
        include_in_schema=False,
        request_max_body_size=BODY_BYTES_MAX,
    ),
    Router(
        path="/",
        route_handlers=[handler for page in _PAGES for handler in page.routes],
        include_in_schema=False,
        before_request=only_signed_in,
        request_max_body_size=BODY_BYTES_MAX,
    ),
]
