"""A batch's rows are gone with the batch."""

from __future__ import annotations

import gc
import weakref

import pytest

from trueup import house
from trueup.core.policy import Policies
from trueup.core.verb import State


@pytest.fixture
def without_collector():
    """Only counting references frees anything."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
def test_nothing_in_a_batch_refers_back_to_it():
    """One cycle, and 80,000 objects of finished batches wait for the collector, which then stands still for 0.1 s."""
    state = State(house.SLICES)
    state.under(Policies(()))
    gone = weakref.ref(state)
    del state
    assert gone() is None
