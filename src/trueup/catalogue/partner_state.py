"""Partners and the terms agreed with them: the rows of one batch, by code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue.record import Amended, columns, merged, upsert
from trueup.core.fields import Value
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

PartnerKind = Literal["supplier", "carrier", "marketplace", "warehouse", "payment"]
Incoterm = Literal["EXW", "FCA", "CPT", "CIP", "DAP", "DPU", "DDP", "FAS", "FOB", "CFR", "CIF"]
InForce = Literal["in_force", "to_come", "ended"]


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """One company that terms are agreed with; `code` is what items, integrations and people call it.

    kind: what it does for us; a warehouse is one that others run for us. gln: its GS1 location number. country: ISO
    3166-1 alpha-2. timezone: IANA name, where its days and its cut-off are. currency: ISO 4217, of its minimum order.
    in_force_from, in_force_until: first and last day of the agreement there; None is open.

    The terms; None is not agreed. lead_days: from ordering an item to receiving it, where the item says none itself.
    minimum_order: least value of one order to it. payment_days: after its invoice, by when it is paid. incoterm: of
    Incoterms 2020, who bears carriage and risk. claim_days: after receipt, to claim a damage or a shortage.
    returns_days: after receipt, within which it takes goods back; 0 is never. answer_within_minutes: by when it answers
    what is handed to it. order_cutoff: HH:MM there; what comes later counts as the next day's.
    """

    id: str
    code: str
    name: str
    kind: PartnerKind
    version: int = 1
    gln: str | None = None
    country: str | None = None
    timezone: str = "UTC"
    currency: str | None = None
    in_force_from: date | None = None
    in_force_until: date | None = None
    lead_days: int | None = None
    minimum_order: Decimal | None = None
    payment_days: int | None = None
    incoterm: Incoterm | None = None
    claim_days: int | None = None
    returns_days: int | None = None
    answer_within_minutes: int | None = None
    order_cutoff: str | None = None
    fields: dict[str, Value] = {}


def in_force(partner: Partner, now: datetime) -> InForce:
    """Return whether the agreement is in force at a time, of its days at the partner's place."""
    today = now.astimezone(ZoneInfo(partner.timezone)).date()
    if partner.in_force_from is not None and today < partner.in_force_from:
        return "to_come"
    return "ended" if partner.in_force_until is not None and today > partner.in_force_until else "in_force"


class PartnerRegistered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A partner exists, or its fields are now these. amended, reason, planned: as at `ItemRegistered`."""

    name = "catalogue.partner_registered"
    about = "partner.id"
    partner: Partner
    at: datetime
    amended: tuple[Amended, ...] = ()
    reason: str | None = None
    planned: str | None = None


EVENTS = (PartnerRegistered,)
PARTNER = ", ".join(Partner.__struct_fields__)
_BY_CODE = f"select {PARTNER} from partner where code = any(%s::text[])"
_BY_ID = f"select {PARTNER} from partner where id = any(%s::text[])"
_LOCK = "select id from partner where code = any(%s::text[]) order by id for no key update"


class Partners(Slice):
    """The partners a batch needs; a partner that is there keeps its code and its kind for ever."""

    def __init__(self) -> None:
        self._codes: set[str] = set()
        self._ids: set[str] = set()
        self._changing: set[str] = set()
        self.partners: dict[str, Partner] = {}
        self._by_code: dict[str, str] = {}
        self._changed: dict[str, datetime] = {}

    def want(self, code: str, *, change: bool = False) -> None:
        """Ask for the partner of this code; to change it, so that nobody else does meanwhile."""
        self._codes.add(code)
        if change:
            self._changing.add(code)

    def want_id(self, partner: str) -> None:
        """Ask for the partner of this id."""
        self._ids.add(partner)

    def partner(self, code: str) -> Partner | None:
        """Return the partner of this code."""
        found = self._by_code.get(code)
        return self.partners[found] if found is not None else None

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read the partners, after locking what changes; the uniqueness of codes guards what is not there yet."""
        codes, ids, changing = sorted(self._codes), sorted(self._ids), sorted(self._changing)
        for wanted in (self._codes, self._ids, self._changing):
            wanted.clear()
        if not (codes or ids):
            return
        locking = [Statement(_LOCK, [changing])] if lock and changing else []
        reads = [Statement(sql, [keys]) for sql, keys in ((_BY_CODE, codes), (_BY_ID, ids)) if keys]
        answers = yield [*locking, *reads]
        for rows in answers[len(locking) :]:
            for values in rows:
                self._take(partner_of(values))

    def _take(self, partner: Partner) -> None:
        self.partners[partner.id] = partner
        self._by_code[partner.code] = partner.id

    def takes(self) -> Takes:
        """Take a partner in."""
        return {PartnerRegistered: self._registered}

    def _registered(self, event: PartnerRegistered) -> None:
        known = self.partners.get(event.partner.id)
        self._take(merged(known, event.partner, event.amended) if event.amended and known else event.partner)
        self._changed[event.partner.id] = event.at

    def rebuilt(self) -> list[Rebuilt]:
        """Return the partners."""
        names = ", ".join(Partner.__struct_fields__[1:])
        rows = {(row.id,): tuple(columns(row).values())[1:] for row in self.partners.values()}
        return [Rebuilt("partner", f"select id, {names} from partner", rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upsert of what changed."""
        rows = [self.partners[id_] for id_ in sorted(self._changed)]
        return [upsert("partner", rows, self._changed)] if rows else []


def partner_of(values: Sequence[Any]) -> Partner:
    """Make a partner of its columns, in the struct's order."""
    named = dict(zip(Partner.__struct_fields__, values, strict=True))
    named["fields"] = named["fields"] or {}
    return Partner(**named)
