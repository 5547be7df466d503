"""What this worker's pools look like, as JSON's kinds of values."""

import os
from collections.abc import Iterable
from typing import Any

from swagger_server import under_way
from swagger_server.pool import ConnectionPool, Place, Waiting
from swagger_server.pool_page.history import History
from swagger_server.under_way import UnderWay

Picture = dict[str, Any]


Queued = tuple[float, UnderWay]
"""A request that waits for a thread, and for how many seconds it does."""


def take(pools: Iterable[ConnectionPool], queued: Iterable[Queued], history: History) -> Picture:
    """This process: its pools, their connections and queues, and what was remembered of the last minutes."""
    return {
        "pid": os.getpid(),
        "pools": [_pool(pool, history) for pool in pools],
        "queue": [{"seconds": round(seconds, 3), **_request(request)} for seconds, request in queued],
    }


def _pool(pool: ConnectionPool, history: History) -> Picture:
    stats = pool.stats()
    return {
        "name": stats.name,
        "max": stats.maxconn,
        "in_use": stats.in_use,
        "idle": stats.idle,
        "cleaning": stats.cleaning,
        "opening": stats.opening,
        "waiting": stats.waiting,
        "down": stats.down,
        "connections": [_connection(place) for place in pool.connections()],
        "queue": [_in_queue(one) for one in pool.waiting()],
        "history": history.of(stats.name),
    }


def _connection(place: Place) -> Picture:
    borrower = getattr(place.connection, "borrower", None)
    return {
        "backend_pid": place.backend_pid,
        "state": place.state,
        "seconds": round(place.lasts, 3),
        "statement_seconds": None if place.statement is None else round(place.statement, 3),
        **_request(borrower if place.state == "in use" else None),
    }


def _in_queue(one: Waiting) -> Picture:
    return {"seconds": round(one.lasts, 3), **_request(one.context.get(under_way.current))}


def _request(request: UnderWay | None) -> Picture:
    """Whose it is; nothing of the query string, which may hold what nobody else is to see."""
    if request is None:
        return {"operation": None, "method": None, "path": None, "request_id": None}
    return {
        "operation": request.operation,
        "method": request.method or None,
        "path": request.path,
        "request_id": request.request_id,
    }
