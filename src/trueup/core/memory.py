"""How often Python looks for cycles among its objects."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Look for cycles seldom; for a process that runs batches.

    A batch makes up to hundreds of thousands of objects that all go when it is done, and next to no cycles. By default
    each feed of 5,000 rows was walked several times over, which took two fifths of the process's CPU (`bench
    stock-feed`).
    """
    gc.set_threshold(100_000, 20, 100)
