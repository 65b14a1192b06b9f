"""Which governed fields a change of a record touches, and by which digest a change tells that they have moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trueup.catalogue.amendments import Amendments, Planned
from trueup.catalogue.ownership import (
    Entity,
    FieldOwnership,
    Row,
    as_data,
    differences,
    governed_of,
    parts_of,
    values_of,
)
from trueup.core.policy import Policies
from trueup.core.verb import Governed, State


def governed_fields(
    state: State, entity: Entity, before: Row | None, after: Row, policies: Policies, withdrawn: Sequence[Planned] = ()
) -> list[Governed]:
    """Return the governed fields that a change of a record would change, with the digest of what stands there.

    before: None for a record that is new; its id stands for one to come. What is planned for a field on a later day is
    part of what stands there, so that a plan which is taken back (withdrawn) changes its fields, too.
    """
    if not _any(policies):
        return []
    fields = dict.fromkeys(change.field for change in differences(before, after))
    fields |= dict.fromkeys(field for plan in withdrawn for field in _fields_of(plan.fields))
    return _governed(state, entity, before, before or after, fields, policies)


def named_fields(
    state: State, entity: Entity, before: Row, given: dict[str, Any], policies: Policies
) -> list[Governed]:
    """Return the governed fields that a patch names, whether or not it would change them."""
    return _governed(state, entity, before, before, _fields_of(given), policies) if _any(policies) else []


def _any(policies: Policies) -> bool:
    return any(one.governed for one in policies.get(FieldOwnership).owners)


def _governed(
    state: State, entity: Entity, before: Row | None, record: Row, fields: Iterable[str], policies: Policies
) -> list[Governed]:
    ownership = policies.get(FieldOwnership)
    plans = state.of(Amendments).of(before.id) if before is not None else []
    was = dict(values_of(before)) if before is not None else {}
    found = []
    for field in fields:
        if ownership.governs(entity, field):
            later = [
                [str(plan.effective_from), _planned(plan, field)] for plan in plans if field in _fields_of(plan.fields)
            ]
            base = [was.get(field), *later] if later else was.get(field)
            found.append(governed_of(entity, record.id, field, base, parts_of(record)))
    return found


def _fields_of(given: dict[str, Any]) -> list[str]:
    """Return the fields that a patch names, custom ones by their names."""
    return [name for name in given if name != "fields"] + [f"fields.{name}" for name in given.get("fields", ())]


def _planned(plan: Planned, field: str) -> Any:
    head, _, name = field.partition(".")
    return plan.fields[head][name] if name else as_data(plan.fields[head])
