"""What the settings ask of a server, against what it gives: its max_connections, what it reserves, and the limits of
the role and the database.

Asked at the start, where a server answers, and by `check-config`. A server that does not answer stops nothing.
"""

import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2

from swagger_server import budgets
from swagger_server.config import ConfigError, Loaded, PoolSettings
from swagger_server.pool.budget import GRACE
from swagger_server.pool.ledger import one_share

_CONNECT_TIMEOUT = 3  # seconds
_SHARE_TIMEOUT = 0.5  # seconds

# What is reserved for superusers is left to them even where the service is one: somebody must get in when it is full.
LIMITS_SQL = """
SELECT pg_backend_pid(), current_setting('server_version'),
       current_setting('max_connections')::integer,
       current_setting('superuser_reserved_connections')::integer,
       CASE WHEN EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'pg_use_reserved_connections'
                         AND NOT r.rolsuper AND pg_has_role(session_user, p.oid, 'USAGE'))
            THEN 0 ELSE coalesce(current_setting('reserved_connections', true)::integer, 0) END,
       CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END,
       CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END
FROM pg_roles r, pg_database d
WHERE r.rolname = session_user AND d.datname = current_database()
"""


@dataclass(frozen=True)
class Limits:
    """What a server lets the role have. -1: no limit of its own."""

    version: str
    is_pooled: bool
    """A pooler such as PgBouncer is in between: its own limits hold, and it tells those of the server."""
    most: int
    superuser_reserved: int
    reserved: int
    role: int
    database: int

    def room(self, others: int = 0, of_role: int = 0, in_database: int = 0) -> int:
        """Connections that the service may have beside others: all of them, the role's, those in the database."""
        bounds = [(self.of_server(), others), (self.role, of_role), (self.database, in_database)]
        return max(0, min(limit - used for limit, used in bounds if limit >= 0))

    def of_server(self) -> int:
        return max(0, self.most - self.superuser_reserved - self.reserved)

    def spelled_out(self) -> str:
        """The arithmetic, in words."""
        minus = (
            ("superuser_reserved_connections", self.superuser_reserved),
            ("reserved_connections", self.reserved),
        )
        parts = [f"max_connections {self.most}", *(f"{name} {count}" for name, count in minus if count)]
        text = f"{' - '.join(parts)} = {self.of_server()}"
        for whose, limit in (("role", self.role), ("database", self.database)):
            if limit >= 0:
                text += f", and the {whose}'s CONNECTION LIMIT is {limit}"
        return text


ROOM_FOR_OTHERS = 10
"""Connections to leave to psql, migrations and monitoring; a tenth of the room where that is less."""


def left_to_others(room: int) -> int:
    """How much of a room the service should not use."""
    return min(ROOM_FOR_OTHERS, -(-room // 10))


@dataclass(frozen=True)
class Asked:
    """How many connections one host may open to a database, and how that comes about."""

    count: int
    key: str
    value: int
    text: str


def asked_by(pool: PoolSettings, workers: int) -> Asked:
    """By the budget, or by all workers together."""
    if pool.budget:
        return Asked(pool.budget, "BUDGET", pool.budget, f"a budget of {pool.budget}")
    count = workers * pool.max
    return Asked(count, "MAX", pool.max, f"{workers} worker{'s' * (workers != 1)} x MAX {pool.max} = {count}")


def limits_over(connection: Any) -> Limits | None:
    """The limits, asked over an open connection; None when the server does not tell."""
    with connection.cursor() as cursor:
        cursor.execute(LIMITS_SQL)
        row = cursor.fetchone()
    if row is None:
        return None
    pid, version, *numbers = row
    # A pooler makes up the number that it tells a client, since the server's sessions are not the client's.
    return Limits(version, pid != connection.info.backend_pid, *numbers)


def refuse_what_does_not_fit(
    loaded: Loaded, connections: Mapping[str, Mapping[str, Any]], workers: int
) -> None:
    """ConfigError, with the arithmetic, when a server that answers cannot give what the settings ask of it.

    Takes up to three seconds for a database that does not answer, and is silent then. Its connection counts in the
    budget; where that is used up, by a version that runs already, say, nothing is asked.
    """
    for name, arguments in connections.items():
        limits = _ask(loaded.settings.pool, name, arguments)
        if limits is not None and not limits.is_pooled:
            _compare(loaded, name, limits, workers)
    _state.is_checked = True


def _compare(loaded: Loaded, name: str, limits: Limits, workers: int) -> None:
    asked = asked_by(loaded.settings.pool, workers)
    if asked.count <= limits.room():
        return
    where = f"{loaded.where('POOL', asked.key)} = {asked.value}"
    remedy = f"lower it, or set BUDGET to at most {limits.room()}" if asked.key == "MAX" else "lower it"
    raise ConfigError(
        f"{where}: {asked.text} connections do not fit database {name!r}, which has room for {limits.room()}"
        f" ({limits.spelled_out()}): {remedy}, or raise the limit"
    )


def _ask(pool: PoolSettings, name: str, arguments: Mapping[str, Any]) -> Limits | None:
    budget = budgets.budget_for(pool, name, arguments)
    if budget is None:
        return _limits_of(arguments)
    with one_share(budget, _SHARE_TIMEOUT) as share:
        if share is not None and share.remains is not None:
            time.sleep(GRACE)
        return None if share is None else _limits_of(arguments)


def _limits_of(arguments: Mapping[str, Any]) -> Limits | None:
    try:
        own = {"application_name": "swagger_server start", "connect_timeout": _CONNECT_TIMEOUT}
        with closing(psycopg2.connect(**{**own, **arguments})) as connection:
            connection.autocommit = True
            return limits_over(connection)
    except psycopg2.Error:
        return None


class _State:
    """Whether this process, or the master that it was forked from, has asked already."""

    is_checked = False


_state = _State()


def is_checked() -> bool:
    """True in gunicorn's workers when their master has compared everything."""
    return _state.is_checked


def workers_by_environment() -> int:
    """How many workers gunicorn starts when nobody says it."""
    given = os.environ.get("WEB_CONCURRENCY", "")
    return int(given) if given.isdigit() and int(given) else 1
