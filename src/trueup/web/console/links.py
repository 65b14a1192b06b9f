"""Which page shows what: ids carry their type, so that an id anywhere can be opened."""

from __future__ import annotations

from urllib.parse import quote

_PAGES = {
    "ord": "/orders/",
    "ful": "/fulfilment-orders/",
    "case": "/cases/",
    "chg": "/changes/",
    "itm": "/items/",
    "act": "/actors/",
    "frz": "/freezes/",
    "ovr": "/overrides/",
    "trf": "/transfers/",
    "cnt": "/counts/",
    "sup": "/supplies/",
    "feed": "/feeds/",
    "mig": "/migrations/",
    "run": "/migrations/",
}
_KINDS = {"order": "/orders/", "item": "/items/", "case": "/cases/", "load": "/migrations/", "run": "/migrations/",
          "actor": "/actors/", "sku": "/items/"}  # fmt: skip


def of_subject(subject: str, kind: str = "") -> str | None:
    """Return the address of the page about an id, or of one whose kind is said; None where no page shows it."""
    prefix = subject.partition("_")[0] if "_" in subject else ""
    page = _PAGES.get(prefix) or _KINDS.get(kind)
    return page + quote(subject, safe="") if page else None
