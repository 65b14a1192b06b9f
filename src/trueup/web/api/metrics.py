"""What Prometheus reads at /metrics: requests by address and status, their times, the door's queue."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from trueup.core.door import Door

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """The figures of one process; with several, each answers for itself and names itself."""

    def __init__(self, door: Door) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "trueup_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "trueup_http_seconds", "Time to answer.", ("method", "route"), buckets=_BUCKETS, registry=self._registry
        )
        queued = Gauge("trueup_door_queued", "Commands that wait at the door.", registry=self._registry)
        queued.set_function(door.queued)
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. route: the address as the table has it, so that ids make no new series."""
        key = (method, route, status)
        found = self._known.get(key)
        if found is None:
            found = (self._requests.labels(method, route, str(status)), self._seconds.labels(method, route))
            self._known[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> bytes:
        """Return the figures in Prometheus' text form."""
        return generate_latest(self._registry)
