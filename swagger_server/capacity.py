"""What the settings ask of a server, against what it gives: its max_connections, what it reserves, and the limits of
the role and the database.

Asked at the start, where a server answers, and by `check-config`. A server that does not answer stops nothing.
"""

import logging
import os
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ

from swagger_server import budgets
from swagger_server.config import ConfigError, Loaded, PoolSettings
from swagger_server.pool.budget import GRACE
from swagger_server.pool.ledger import one_share

_PATIENCE = 3.0
"""Seconds for a host to take the login and to answer."""
_PATIENCE_IN_ALL = 10.0
"""Seconds for all databases: gunicorn ends a worker that has loaded for longer than its timeout."""
_SHARE_TIMEOUT = 0.5  # seconds

logger = logging.getLogger("swagger_server.capacity")

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
    on_server: int = 1
    with_role: int = 1
    in_database: int = 1
    """How many of the settings' sections share each of these limits; all have pools of the same size."""

    def room(self, others: int = 0, of_role: int = 0, in_database: int = 0) -> int:
        """Connections that the service may have, for one of the sections.

        Beside others, if it is said how many there are: all of them, the role's, those in the database.
        """
        bounds = (
            (self.of_server() - others, self.on_server),
            (self.role - of_role if self.role >= 0 else None, self.with_role),
            (self.database - in_database if self.database >= 0 else None, self.in_database),
        )
        return max(0, min(limit // sections for limit, sections in bounds if limit is not None))

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
        return f"{text}, for {self.on_server} sections of the settings" if self.on_server > 1 else text


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
        return _understood(cursor.fetchone(), connection)


def _understood(row: tuple[Any, ...] | None, connection: Any) -> Limits | None:
    if row is None:
        return None
    pid, version, *numbers = row
    # A pooler makes up the number that it tells a client, since the server's sessions are not the client's.
    return Limits(version, pid != connection.info.backend_pid, *numbers)


def shared(limits: Limits, name: str, connections: Mapping[str, Mapping[str, Any]]) -> Limits:
    """The limits of the database `name`, with how many of `connections` have to do with the same ones."""

    def count(*keys: str) -> int:
        own = [str(connections[name].get(key)) for key in keys]
        return sum([str(other.get(key)) for key in keys] == own for other in connections.values())

    server = ("host", "port")
    return replace(
        limits,
        on_server=count(*server),
        with_role=count(*server, "user"),
        in_database=count(*server, "dbname"),
    )


def check(
    loaded: Loaded,
    connections: Mapping[str, Mapping[str, Any]],
    workers: int,
    *,
    may_refuse: bool = True,
) -> None:
    """ConfigError, with the arithmetic, when a server that answers cannot give what the settings ask of it.

    A warning in the log instead where the service runs already (`may_refuse` is false), and for the embedded
    database, which others that use it have started for fewer. Takes up to 3 seconds for each host that does not answer,
    10 in all, and goes on; with a warning where it waited in vain. Its connection counts in the budget; where that is
    used up, by a version that runs already, say, nothing is asked.
    """
    until = time.monotonic() + _PATIENCE_IN_ALL
    for name, arguments in connections.items():
        try:
            limits = _ask(loaded.settings.pool, name, arguments, until)
        except _SilentError:
            logger.warning("database %r does not answer: it is not known whether it has room", name)
            continue
        if limits is None or limits.is_pooled:
            continue
        misfit = _misfit(loaded, name, shared(limits, name, connections), workers)
        if misfit and may_refuse and name in loaded.settings.databases:
            raise ConfigError(misfit)
        if misfit:
            logger.warning("%s", misfit)
    _state.is_checked = True


def _misfit(loaded: Loaded, name: str, limits: Limits, workers: int) -> str | None:
    """What to tell whoever asks for more than there is room for."""
    asked = asked_by(loaded.settings.pool, workers)
    room = limits.room()
    if asked.count <= room:
        return None
    where = f"{loaded.where('POOL', asked.key)} = {asked.value}"
    if name not in loaded.settings.databases:
        return (
            f"{where}: {asked.text} connections do not fit the embedded database, which has room for {room} as long as"
            " others use it: it takes more when this service starts again after they have ended"
        )
    remedy = f"lower it, or set BUDGET to at most {room}" if asked.key == "MAX" and room else "lower it"
    return (
        f"{where}: {asked.text} connections do not fit database {name!r}, which has room for {room}"
        f" ({limits.spelled_out()}): {remedy}, or raise the limit"
    )


def _ask(pool: PoolSettings, name: str, arguments: Mapping[str, Any], until: float) -> Limits | None:
    budget = budgets.budget_for(pool, name, arguments)
    if budget is None:
        return _limits_of(arguments, until)
    with one_share(budget, _SHARE_TIMEOUT) as share:
        if share is not None and share.remains is not None:
            time.sleep(GRACE)
        return None if share is None else _limits_of(arguments, until)


class _SilentError(Exception):
    """Somebody took the connection, or did not refuse it, and answered nothing in time."""


def _limits_of(arguments: Mapping[str, Any], until: float) -> Limits | None:
    """Of the first host that answers. None when all refuse; _SilentError when one says nothing."""
    silent: _SilentError | None = None
    for host in _each_host(arguments):
        try:
            return _limits_of_host(host, min(until, time.monotonic() + _PATIENCE))
        except psycopg2.Error:
            continue
        except _SilentError as error:
            silent = error
    if silent is not None:
        raise silent
    return None


def _each_host(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """libpq goes on to the next host after a time only in connects that it waits for itself."""
    hosts, ports = (str(arguments.get(key, "")).split(",") for key in ("host", "port"))
    if len(hosts) == 1 or len(ports) not in (1, len(hosts)):
        yield arguments
        return
    for number, host in enumerate(hosts):
        own = {"host": host, "port": ports[number % len(ports)]}
        yield {**arguments, **{key: value for key, value in own.items() if value}}


def _limits_of_host(arguments: Mapping[str, Any], deadline: float) -> Limits | None:
    """Everything without waiting in libpq: no limit of its own holds for a query, and signals and a wait callback are
    the whole process's.
    """
    own = {"application_name": "swagger_server start"}
    with closing(psycopg2.connect(**{**own, **arguments}, async_=True)) as connection:
        _wait(connection, deadline)
        with connection.cursor() as cursor:
            cursor.execute(LIMITS_SQL)
            _wait(connection, deadline)
            return _understood(cursor.fetchone(), connection)


def _wait(connection: Any, deadline: float) -> None:
    while (state := connection.poll()) != POLL_OK:
        ends = [connection]
        waited_for = (ends, []) if state == POLL_READ else ([], ends)
        if not any(select.select(*waited_for, [], max(0.0, deadline - time.monotonic()))):
            raise _SilentError


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
