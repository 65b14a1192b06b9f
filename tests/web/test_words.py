"""Everything that can happen has a name that people read."""

from __future__ import annotations

from trueup import house
from trueup.web.console import words


def test_every_event_of_the_house_has_a_name():
    known = set(house.build().events)
    assert len(known) > 50
    assert known - words.EVENTS.keys() == set()
    assert words.EVENTS.keys() - known == set(), "names of nothing"
