"""In which parts master data lies that an act writes: for who holds a role over a category, a brand or a site."""

from __future__ import annotations

from trueup.authority.parts import Places
from trueup.catalogue.amendments import AmendmentEnded, AmendmentPlanned
from trueup.catalogue.cost import CostRecorded
from trueup.catalogue.ownership import Row, parts_of
from trueup.catalogue.partner_state import Partner, PartnerRegistered, Partners
from trueup.catalogue.state import AliasAdded, Catalogue, Item, ItemRegistered, Location, LocationRegistered
from trueup.core.verb import Event, State


def parts_written(state: State, event: Event) -> Places | None:
    """Return the parts of each record that an event writes, as it stands and as it will; None for other events."""
    match event:
        case ItemRegistered(item=item):
            return _of(_known(state, item.id), item)
        case LocationRegistered(location=place):
            return _of(place)
        case PartnerRegistered(partner=partner):
            return _of(partner)
        case AmendmentPlanned(amendment=plan):
            known = _known(state, plan.object)
            moved = [(f"{kind}:{plan.fields[kind]}",) for kind in ("category", "brand") if kind in plan.fields]
            return [*_of(known), *moved] if known is not None else None
        case AmendmentEnded(object=object_) | AliasAdded(item=object_) | CostRecorded(cost=object_):
            known = _known(state, object_ if isinstance(object_, str) else object_.item)
            return _of(known) if known is not None else None
    return None


def _known(state: State, id_: str) -> Row | None:
    known = state.of(Catalogue)
    return known.items.get(id_) or known.locations.get(id_) or state.of(Partners).partners.get(id_)


def _of(*rows: Row | None) -> list[tuple[str, ...]]:
    return [_parts(row) for row in rows if row is not None]


def _parts(row: Row) -> tuple[str, ...]:
    match row:
        case Item():
            return parts_of(row)
        case Location(code=code):
            return (f"location:{code}",)
        case Partner(code=code):
            return (f"partner:{code}",)
