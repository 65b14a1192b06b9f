"""Which governed fields a change of a record touches, and by which digest a change tells that they have moved."""

from __future__ import annotations

from trueup.catalogue.amendments import Amendments
from trueup.catalogue.ownership import Entity, FieldOwnership, Row, as_data, differences, governed_of, values_of
from trueup.core.policy import Policies
from trueup.core.verb import Governed, State


def governed_fields(state: State, entity: Entity, before: Row | None, after: Row, policies: Policies) -> list[Governed]:
    """Return the governed fields that a change of a record would change, with the digest of what stands there.

    before: None for a record that is new; its id stands for one to come. What is planned for a field on a later day is
    part of what stands there.
    """
    ownership = policies.get(FieldOwnership)
    if not any(one.governed for one in ownership.owners):
        return []
    plans = state.of(Amendments).of(before.id) if before is not None else []
    was = dict(values_of(before)) if before is not None else {}
    found = []
    for change in differences(before, after):
        if ownership.governs(entity, change.field):
            head = change.field.partition(".")[0]
            later = [[str(one.effective_from), as_data(one.fields[head])] for one in plans if head in one.fields]
            base = [was.get(change.field), *later] if later else was.get(change.field)
            found.append(governed_of(entity, after.id, change.field, base))
    return found
