"""Which governed fields a change of a record touches, and by which digest a change tells that they have moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.catalogue.amendments import Amendments, Planned
from trueup.catalogue.ownership import Entity, FieldOwnership, Row, as_data, differences, governed_of, values_of
from trueup.core.policy import Policies
from trueup.core.verb import Governed, State


def governed_fields(
    state: State, entity: Entity, before: Row | None, after: Row, policies: Policies, withdrawn: Sequence[Planned] = ()
) -> list[Governed]:
    """Return the governed fields that a change of a record would change, with the digest of what stands there.

    before: None for a record that is new; its id stands for one to come. What is planned for a field on a later day is
    part of what stands there, so that a plan which is taken back (withdrawn) changes its fields, too.
    """
    ownership = policies.get(FieldOwnership)
    if not any(one.governed for one in ownership.owners):
        return []
    plans = state.of(Amendments).of(before.id) if before is not None else []
    was = dict(values_of(before)) if before is not None else {}
    fields = dict.fromkeys(change.field for change in differences(before, after))
    fields |= dict.fromkeys(field for plan in withdrawn for field in _fields_of(plan))
    found = []
    for field in fields:
        if ownership.governs(entity, field):
            later = [[str(plan.effective_from), _planned(plan, field)] for plan in plans if field in _fields_of(plan)]
            base = [was.get(field), *later] if later else was.get(field)
            found.append(governed_of(entity, after.id, field, base, _parts_of(before or after)))
    return found


def _parts_of(row: Row) -> tuple[str, ...]:
    """Return the category and brand of an item as it stands, whose master data owners decide; a location has none."""
    return tuple(f"{kind}:{part}" for kind in ("category", "brand") if (part := getattr(row, kind, None)))


def _fields_of(plan: Planned) -> list[str]:
    """Return the fields that a plan changes, custom ones by their names."""
    return [name for name in plan.fields if name != "fields"] + [f"fields.{n}" for n in plan.fields.get("fields", ())]


def _planned(plan: Planned, field: str) -> Any:
    head, _, name = field.partition(".")
    return plan.fields[head][name] if name else as_data(plan.fields[head])
