"""Health for orchestrators: is the process alive, and can it serve?

Liveness never touches the database: restarting a worker does not mend a database that is down.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import psycopg2
from flask import Blueprint, Response, current_app
from psycopg2.pool import PoolError

from swagger_server import db
from swagger_server.cancellation import Cancellation
from swagger_server.encoder import json_response

PREFIX = "/health/"
LIVE = f"{PREFIX}live"

_DEADLINE = 1.0
"""Seconds in which a ready service has reached all of its databases, standing still or not."""

_NO_STORE = {"Cache-Control": "no-store"}

_DEFAULT = "default"


@dataclass(frozen=True)
class SchemaCheck:
    """What schema the default database should have: `current(conn)` is to be at least `needed`.

    `remedy` says what is to be done where it is not.
    """

    needed: int
    current: Callable[[Any], int]
    remedy: str | None = None


@dataclass(frozen=True)
class _Found:
    """What is known of a database after a look at it; `version` is that of its schema."""

    reached: bool
    version: int | None = None

    def __str__(self) -> str:
        return "ok" if self.reached else "unavailable"


def blueprint(schema: SchemaCheck | None) -> Blueprint:
    """`/health/live` (200 while the process answers) and `/health/ready` (200 or 503, with the reason)."""
    health = Blueprint("health", __name__)

    @health.get(LIVE)
    def live() -> Response:
        return json_response({"status": "ok"}, headers=_NO_STORE)

    @health.get("/health/ready")
    def ready() -> Response:
        databases = db.databases(current_app)
        found = _look_at_all(databases, schema)
        checks: dict[str, Any] = {"databases": {name: str(state) for name, state in found.items()}}
        # Without its replica a database still serves.
        replicas = {database.replica for database in databases.values()}
        good = all(state.reached for name, state in found.items() if name not in replicas)
        version = found[_DEFAULT].version if _DEFAULT in found else None
        if schema is not None and version is not None:
            checks["schema"] = version
            good = good and version >= schema.needed
        status = {"status": "ok" if good else "unavailable"}
        headers = _NO_STORE if good else {**_NO_STORE, "Retry-After": "1"}
        return json_response({**status, **checks}, 200 if good else 503, headers)

    return health


def _look_at_all(databases: dict[str, db.Database], schema: SchemaCheck | None) -> dict[str, _Found]:
    """Side by side: one that stands still takes nothing of the others' time."""
    if not databases:
        return {}
    deadline = monotonic() + _DEADLINE
    with ThreadPoolExecutor(len(databases), thread_name_prefix="health") as threads:
        looks = {
            name: threads.submit(_look_at, database, schema if name == _DEFAULT else None, deadline)
            for name, database in databases.items()
        }
        return {name: look.result() for name, look in looks.items()}


def _look_at(database: db.Database, schema: SchemaCheck | None, deadline: float) -> _Found:
    pool = database.open()
    try:
        connection = pool.getconn(timeout=max(0.0, deadline - monotonic()))
        try:
            with _ended_at(deadline, partial(pool.interrupt, connection)):
                return _Found(True, _ask(connection, schema))
        finally:
            pool.putconn(connection)
    except (psycopg2.Error, PoolError):
        return _Found(False)


def _ask(connection: Any, schema: SchemaCheck | None) -> int | None:
    # In autocommit there is no transaction whose end would have to be waited for.
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {round(_DEADLINE * 1000)}; SELECT 1")
    return None if schema is None else schema.current(connection)


@contextmanager
def _ended_at(deadline: float, end: Callable[[], object]) -> Iterator[None]:
    """Call `end` from another thread if the block lasts until `deadline`; never once it is over."""
    ending = Cancellation()
    ending.add(end)
    timer = threading.Timer(max(0.0, deadline - monotonic()), ending.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        ending.clear()
        timer.cancel()
