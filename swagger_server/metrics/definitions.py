"""Every metric of the service: its name, its labels, and what it says.

Nothing is stored before a metric is given its labels, so this may be imported at any time, also before a fork. None is
in the library's own registry: what is shown is read from the files of all workers.
"""

from prometheus_client import Counter, Gauge, Histogram

from swagger_server.pool.stats import HELD_BUCKETS, WAIT_BUCKETS

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. Half of the requests take a millisecond or two, so the bounds begin there; the last is the default
DEADLINE, beyond which no request is answered. Few, because each is a number per operation, method and status.
"""

REQUESTS = Histogram(
    "swagger_server_request_duration_seconds",
    "Requests answered, and how long that took, from their arrival at the application to the end of the answer",
    ["operation", "method", "status"],
    buckets=REQUEST_BUCKETS,
    registry=None,
)

WORKERS = Gauge(
    "swagger_server_workers",
    "Workers that serve, by the version of the service",
    ["version"],
    multiprocess_mode="livesum",
    registry=None,
)


def _pool_gauge(name: str, text: str, labels: tuple[str, ...] = (), mode: str = "livesum") -> Gauge:
    return Gauge(
        f"swagger_server_pool_{name}",
        text,
        ["pool", *labels],
        multiprocess_mode=mode,  # type: ignore[arg-type]  # one of its words
        registry=None,
    )


def _pool_counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
    return Counter(f"swagger_server_pool_{name}", text, ["pool", *labels], registry=None)


SIZE = _pool_gauge("size", "Places taken in the pools of all workers, in whatever state")
CONNECTIONS = _pool_gauge("connections", "Places taken: idle, in_use, cleaning, opening", ("state",))
MAX = _pool_gauge(
    "max_connections", "The places of the pools of all workers together; a budget may allow fewer"
)
WAITING = _pool_gauge("waiting", "Callers who wait for a connection now")
DOWN = _pool_gauge("down", "1 while connecting to the database fails in at least one worker", mode="livemax")
REPLICA = _pool_gauge("replica", "1 where the database is a read replica", mode="livemax")
BUDGET = _pool_gauge(
    "budget", "Connections that all workers of the host may have; 0: no bound", mode="livemax"
)
BUDGET_USED = _pool_gauge("budget_used", "Connections of the budget that are taken", mode="livemax")

WAITS = Histogram(
    "swagger_server_pool_wait_seconds",
    "How long callers waited who found no connection idle, also those that got none",
    ["pool"],
    buckets=WAIT_BUCKETS,
    registry=None,
)
HELD = Histogram(
    "swagger_server_pool_checkout_seconds",
    "How long connections were lent, of those that were given back",
    ["pool"],
    buckets=HELD_BUCKETS,
    registry=None,
)

CHECKOUTS = _pool_counter("checkouts", "Connections lent")
CONNECTS = _pool_counter("connects", "Connections opened")
CONNECT_FAILURES = _pool_counter("connect_failures", "Attempts to connect that failed")
REFUSALS = _pool_counter(
    "refusals",
    "Callers who got no connection: after the timeout, the database being unavailable, the queue full",
    ("reason",),
)
LOSSES = _pool_counter(
    "losses", "Connections lost: found dead, their server demoted, dropped (leaked) by a borrower", ("cause",)
)
CUTS = _pool_counter(
    "statements_cut", "Connections cut for a statement that ran too long; found dead afterwards"
)
CEDED = _pool_counter("ceded", "Connections closed because another worker waited for its share of the budget")
RETIRED = _pool_counter("retired", "Connections closed for their age, or because nobody needed them")
CLEANED = _pool_counter("cleaned", "Sessions rolled back or cleaned between two borrowers")
HELD_TOO_LONG = _pool_counter("held_too_long", "Connections reported for being held longer than LEAK_AFTER")
