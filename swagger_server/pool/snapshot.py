"""The connections of a pool, and who waits for one, as they are at one moment: for those who want to look."""

from contextvars import Context
from dataclasses import dataclass
from typing import Any

from swagger_server.pool.slots import Slot


@dataclass(frozen=True)
class Place:
    """A connection of the pool. Times are seconds."""

    state: str
    """"idle", "in use" or "cleaning"."""
    lasts: float
    """How long it has been so."""
    backend_pid: int
    """What the server knows the session by."""
    statement: float | None
    """How long the statement that it runs has been running; None while it runs none."""
    connection: Any
    """The connection itself, to find its borrower by and not to be used; None where it was just dropped."""

    @classmethod
    def of(cls, state: str, slot: Slot, now: float) -> "Place":
        """What a slot looks like at `now`, by time.monotonic()."""
        connection = slot.find_conn()
        busy_since: float = getattr(connection, "busy_since", 0.0)
        statement = max(0.0, now - busy_since) if busy_since else None
        return cls(state, max(0.0, now - slot.since), slot.handle.session.pid, statement, connection)


@dataclass(frozen=True)
class Waiting:
    """Somebody in the pool's queue."""

    lasts: float
    """Seconds since it began to wait."""
    context: Context
    """The context in which it asked for a connection."""
