"""The kinds of master data, by their names: how each is found, patched and amended."""

from __future__ import annotations

from typing import Any

from trueup.catalogue.amend import ITEMS, Amendable
from trueup.catalogue.amend_locations import LOCATIONS
from trueup.catalogue.amend_partners import PARTNERS
from trueup.catalogue.ownership import Entity

KINDS: dict[Entity, Amendable[Any]] = {kind.entity: kind for kind in (ITEMS, LOCATIONS, PARTNERS)}
