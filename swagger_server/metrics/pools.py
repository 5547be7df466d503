"""The pools' own counts, carried over into the metrics: nothing is counted twice."""

import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from prometheus_client import Counter, Histogram

from swagger_server.metrics import definitions as metrics
from swagger_server.pool import ConnectionPool, PoolStats

_COUNTS: tuple[tuple[str, Counter, tuple[str, ...]], ...] = (
    ("gets", metrics.CHECKOUTS, ()),
    ("connects", metrics.CONNECTS, ()),
    ("connect_failures", metrics.CONNECT_FAILURES, ()),
    ("exhausted", metrics.REFUSALS, ("timeout",)),
    ("unavailable", metrics.REFUSALS, ("unavailable",)),
    ("full", metrics.REFUSALS, ("full",)),
    ("lost", metrics.LOSSES, ("dead",)),
    ("demoted", metrics.LOSSES, ("demoted",)),
    ("leaked", metrics.LOSSES, ("leaked",)),
    ("cut", metrics.CUTS, ()),
    ("ceded", metrics.CEDED, ()),
    ("retired", metrics.RETIRED, ()),
    ("cleaned", metrics.CLEANED, ()),
    ("held_too_long", metrics.HELD_TOO_LONG, ()),
)
"""The counts of PoolStats, their metrics, and the labels behind the pool's name."""

_STATES = ("idle", "in_use", "cleaning", "opening")


class PoolMetrics:
    """Publishes what the pools of this process say of themselves. Safe from any thread."""

    def __init__(self, pools: Callable[[], Iterable[ConnectionPool]]) -> None:
        self._pools = pools
        self._told: weakref.WeakKeyDictionary[ConnectionPool, PoolStats] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def publish(self) -> None:
        """Bring the metrics up to date with the pools."""
        with self._lock:
            for pool in self._pools():
                now, told = pool.stats(), self._told.get(pool)
                if told is not None and now.gets < told.gets:
                    # Taken back: a connection was found dead before it reached its borrower. A counter only grows.
                    now = replace(now, gets=told.gets)
                self._publish(now, told)
                self._told[pool] = now

    def _publish(self, now: PoolStats, told: PoolStats | None) -> None:
        _set_gauges(now)
        for field, counter, labels in _COUNTS:
            grown = getattr(now, field) - (getattr(told, field) if told else 0)
            counter.labels(now.name, *labels).inc(grown)
        _add(metrics.WAITS, now.name, _waits(now), _waits(told) if told else None)
        _add(metrics.HELD, now.name, _held(now), _held(told) if told else None)


def _set_gauges(now: PoolStats) -> None:
    for state in _STATES:
        metrics.CONNECTIONS.labels(now.name, state).set(getattr(now, state))
    metrics.SIZE.labels(now.name).set(now.total)
    metrics.MAX.labels(now.name).set(now.maxconn)
    metrics.WAITING.labels(now.name).set(now.waiting)
    metrics.DOWN.labels(now.name).set(now.down)
    metrics.REPLICA.labels(now.name).set(now.read_only)
    metrics.BUDGET.labels(now.name).set(now.budget)
    metrics.BUDGET_USED.labels(now.name).set(now.budget_used)


class _Sum(NamedTuple):
    """A pool's histogram."""

    buckets: tuple[tuple[float, int], ...]
    total: float


def _waits(stats: PoolStats) -> _Sum:
    return _Sum(stats.wait_histogram, stats.waited)


def _held(stats: PoolStats) -> _Sum:
    return _Sum(stats.held_histogram, stats.held)


def _add(histogram: Histogram, pool: str, now: _Sum, told: _Sum | None) -> None:
    """Let a histogram grow by what has come since it was told last."""
    # The library only takes single observations, and these have been counted already.
    child: Any = histogram.labels(pool)
    for number, (_bound, count) in enumerate(now.buckets):
        if grown := count - (told.buckets[number][1] if told else 0):
            child._buckets[number].inc(grown)
    child._sum.inc(now.total - (told.total if told else 0.0))
