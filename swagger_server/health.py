"""Health for orchestrators: is the process alive, and can it serve?

Liveness never touches the database: restarting a worker does not mend a database that is down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg2
from flask import Blueprint, Response, current_app
from psycopg2.pool import PoolError

from swagger_server import db
from swagger_server.encoder import json_response

LIVE = "/health/live"

_DEADLINE = 1.0
"""Seconds in which a ready service gets a connection, and again in which it answers `select 1`."""

_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class SchemaCheck:
    """What schema the default database should have: `current(conn)` is to be at least `needed`."""

    needed: int
    current: Callable[[Any], int]


def blueprint(schema: SchemaCheck | None) -> Blueprint:
    """`/health/live` (200 while the process answers) and `/health/ready` (200 or 503, with the reason)."""
    health = Blueprint("health", __name__)

    @health.get(LIVE)
    def live() -> Response:
        return json_response({"status": "ok"}, headers=_NO_STORE)

    @health.get("/health/ready")
    def ready() -> Response:
        databases = {name: _reach(found) for name, found in db.databases(current_app).items()}
        checks: dict[str, Any] = {"databases": databases}
        good = all(state == "ok" for state in databases.values())
        if schema is not None and good:
            checks["schema"] = found = _schema_version(schema)
            good = found >= schema.needed
        status = {"status": "ok" if good else "unavailable"}
        headers = _NO_STORE if good else {**_NO_STORE, "Retry-After": "1"}
        return json_response({**status, **checks}, 200 if good else 503, headers)

    return health


def _reach(database: db.Database) -> str:
    try:
        with database.open().connection(timeout=_DEADLINE) as connection, connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {round(_DEADLINE * 1000)}; SELECT 1")
        return "ok"
    except (psycopg2.Error, PoolError):
        return "unavailable"


def _schema_version(schema: SchemaCheck) -> int:
    with db.databases(current_app)["default"].open().connection(timeout=_DEADLINE) as connection:
        return schema.current(connection)
