"""How a pool behaves: read once, refused when wrong, then frozen."""

from dataclasses import dataclass

from swagger_server.pool.ledger import Budget

RESETS = ("smart", "always", "never")

_TIMES = (
    "timeout",
    "max_idle",
    "max_lifetime",
    "outage_grace",
    "query_timeout",
    "brief_timeout",
    "leak_after",
)


@dataclass(frozen=True)
class PoolOptions:
    """Everything about a pool but its size and its database. Times are seconds; 0 switches a limit off.

    `timeout` is the exception: 0 means that a caller never waits.
    """

    name: str = "default"
    """Names the pool in logs, errors and statistics."""
    timeout: float = 5.0
    """How long `getconn` waits for a connection before it raises PoolTimeout."""
    max_waiting: int = 0
    """How many callers may wait at once; one more is refused with PoolFull."""
    max_idle: float = 600.0
    """Connections above minconn are closed when nobody needed them for so long."""
    max_lifetime: float = 1800.0
    """A connection is replaced at this age (up to a tenth earlier, so that they don't all go at once)."""
    outage_grace: float = 2.0
    """How long callers wait out a database that is down; after that they are refused with PoolUnavailable."""
    query_timeout: float = 0.0
    """A statement that runs longer has its connection cut, even when the server is frozen."""
    brief_timeout: float = 0.0
    """For a pool that another one can stand in for. A statement that its borrower calls brief (`connection.is_brief`)
    is cut after so long; and once any statement was cut, the database counts as down until a connection opens."""
    reset: str = "smart"
    """Which returned sessions are cleaned: those whose statements may have changed them, all, or none."""
    leak_after: float = 0.0
    """A connection held longer is reported once, with the stack of its borrower."""
    read_only: bool = False
    """The server is a replica: that it refuses to write is no reason to give its connections up."""
    budget: Budget | None = None
    """Bounds the connections of all pools of this host together that name the same file."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("PoolOptions.name must not be empty")
        for field in _TIMES:
            self._refuse_negative(field)
        self._refuse_negative("max_waiting")
        if self.reset not in RESETS:
            raise ValueError(f"PoolOptions.reset must be one of {', '.join(RESETS)}, not {self.reset!r}")

    def _refuse_negative(self, field: str) -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"PoolOptions.{field} must be a number of 0 or more, not {value!r}")


def check_size(minconn: int, maxconn: int) -> None:
    """Refuse sizes that no pool can have, with a ValueError."""
    if minconn < 0:
        raise ValueError(f"minconn must be 0 or more, not {minconn}")
    if maxconn < max(1, minconn):
        raise ValueError(f"maxconn must be at least {max(1, minconn)}, not {maxconn}")
