"""What a monitor wants to know, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from vidscan.types import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600)


class Metrics:
    """Counts since the server started, and the jobs there are.

    Parameters
    ----------
    counts
        Jobs by state.
    """

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._counts = counts
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)  # type: ignore[arg-type]
        own = self._registry
        self._scans = Counter("vidscan_scans", "Scans that ended, by verdict.", ["label"], registry=own)
        self._seconds = Histogram("vidscan_scan_seconds", "Time of a scan.", buckets=_SECONDS, registry=own)
        self._media = Counter("vidscan_media_seconds", "Video scanned.", registry=own)
        self._bytes = Counter("vidscan_upload_bytes", "Bytes of accepted uploads.", registry=own)
        self._refused = Counter("vidscan_refused", "Requests refused, by error code.", ["code"], registry=own)
        self._callbacks = Counter("vidscan_callbacks", "Tries of callbacks.", ["outcome"], registry=own)

    def collect(self) -> Iterator[Metric]:
        """The gauges, as the registry asks for them."""
        jobs = GaugeMetricFamily("vidscan_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._counts().items():
            jobs.add_metric([state], count)
        yield jobs

    def scanned(self, report: Report) -> None:
        """A scan ended."""
        self._scans.labels(report.verdict.label).inc()
        self._seconds.observe(report.timing_s.total)
        self._media.inc(report.input.duration_s or 0.0)

    def uploaded(self, bytes: int) -> None:
        """An upload was accepted."""
        self._bytes.inc(bytes)

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._refused.labels(code).inc()

    def called(self, outcome: str) -> None:
        """A callback was tried."""
        self._callbacks.labels(outcome).inc()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
