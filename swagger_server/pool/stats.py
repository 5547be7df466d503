"""What a pool has done and how it stands: counted as it happens, read as one frozen picture."""

import threading
from bisect import bisect_left
from dataclasses import dataclass, field, fields

WAIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, float("inf"))
"""Upper bounds, in seconds, of the histogram of waiting times."""

HELD_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    float("inf"),
)
"""Upper bounds, in seconds, of the histogram of checkout times: fine where a statement or two take their time,
and up to where a limit ends a request or a leak is likely."""


@dataclass(frozen=True)
class PoolStats:
    """One moment of a pool. Counts are since its start (in this process); times are seconds."""

    name: str
    minconn: int
    maxconn: int
    total: int
    """Places taken: idle, in use, being cleaned, being opened."""
    idle: int
    in_use: int
    cleaning: int
    opening: int
    waiting: int
    down: bool
    """Connecting fails, and no connection is left; or, where another pool can stand in, a statement was cut."""
    down_for: float
    read_only: bool
    """Its server is expected to refuse writes: a replica."""
    budget: int
    """Connections that all pools of the host may have together; 0 for no bound."""
    budget_used: int
    """How many of them are taken, by whomever; those of a worker that died count until they are taken again."""
    ceded: int
    """Connections closed because another worker waited for its share of the budget."""
    gets: int
    """Connections lent."""
    wait_histogram: tuple[tuple[float, int], ...]
    """(upper bound, count of waits up to it and above the bound before); waits that ended in an error
    included.
    """
    waited: float
    longest_wait: float
    held_histogram: tuple[tuple[float, int], ...]
    """(upper bound, count of checkouts that lasted up to it and longer than the bound before), of those that
    were given back.
    """
    held: float
    connects: int
    connect_failures: int
    exhausted: int
    """Callers refused with PoolTimeout: all connections were in use for too long."""
    unavailable: int
    """Callers refused with PoolUnavailable: the database was down."""
    full: int
    """Callers refused with PoolFull: too many waited."""
    lost: int
    """Connections found dead, on their way out or back."""
    retired: int
    """Connections closed for their age, because nobody needed them, or on request."""
    cleaned: int
    """Sessions rolled back or cleaned between two borrowers."""
    demoted: int
    """Connections given up because their server had become read-only."""
    leaked: int
    """Connections dropped by a borrower without putconn."""
    held_too_long: int
    """Connections reported for being held longer than leak_after."""
    cut: int
    """Connections cut because a statement ran longer than query_timeout or brief_timeout."""


@dataclass
class Counters:
    """The counts that PoolStats shows. Kept by whoever sees the event; safe from any thread."""

    connects: int = 0
    connect_failures: int = 0
    exhausted: int = 0
    unavailable: int = 0
    full: int = 0
    lost: int = 0
    retired: int = 0
    cleaned: int = 0
    demoted: int = 0
    leaked: int = 0
    held_too_long: int = 0
    cut: int = 0
    waited: float = 0.0
    longest_wait: float = 0.0
    waits: list[int] = field(default_factory=lambda: [0] * len(WAIT_BUCKETS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + count)

    def add_wait(self, seconds: float) -> None:
        with self._lock:
            self.waits[bisect_left(WAIT_BUCKETS, seconds)] += 1
            self.waited += seconds
            self.longest_wait = max(self.longest_wait, seconds)

    def counts(self) -> dict[str, int]:
        """The plain counts, by name."""
        with self._lock:
            return {each.name: getattr(self, each.name) for each in fields(self) if each.type is int}

    def wait_histogram(self) -> tuple[tuple[float, int], ...]:
        with self._lock:
            return tuple(zip(WAIT_BUCKETS, self.waits, strict=True))
