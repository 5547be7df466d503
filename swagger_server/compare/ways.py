"""The two ways to get a request's connection."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Protocol

import psycopg2
from psycopg2.extensions import connection

from swagger_server.pool import ConnectionPool, PoolOptions

STATEMENT = "SELECT 1"
"""What each request asks."""

SESSION_NAME = "swagger_server compare"
"""How pg_stat_activity names the sessions of a comparison."""

CONNECT_TIMEOUT = 10
"""Seconds for one connect."""


class Way(Protocol):
    """How a request gets its connection."""

    def connection(self) -> Any:
        """A context manager that gives the connection and takes it back. Raises psycopg2.Error where there is none."""

    def begin(self) -> None:
        """It is this way's turn."""

    def rest(self) -> None:
        """It is the other way's turn, which has the server's connections to itself."""


def session_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """psycopg2.connect's arguments for a session of a comparison."""
    return {"connect_timeout": CONNECT_TIMEOUT, **arguments, "application_name": SESSION_NAME}


class Connecting:
    """A new connection for each request, closed after it."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = session_arguments(arguments)

    def open(self) -> connection:
        """A connection in autocommit, which the caller closes."""
        conn: connection = psycopg2.connect(**self._arguments)
        conn.autocommit = True
        return conn

    @contextmanager
    def connection(self) -> Iterator[connection]:
        """A connection for a block."""
        with closing(self.open()) as conn:
            yield conn

    def begin(self) -> None: ...
    def rest(self) -> None: ...


class Pooled:
    """A connection of a pool, lent for each request. A context manager: leaving it closes the pool."""

    def __init__(self, arguments: Mapping[str, Any], minconn: int, maxconn: int, *, timeout: float) -> None:
        self._arguments = session_arguments(arguments)
        self._options = PoolOptions(name="compare", timeout=timeout)
        self._maxconn = maxconn
        self._open(minconn)

    def _open(self, minconn: int) -> None:
        self.pool = ConnectionPool(minconn, self._maxconn, options=self._options, **self._arguments)

    def __enter__(self) -> "Pooled":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the pool's connections; may be called again."""
        if not self.pool.closed:
            self.pool.closeall()

    def begin(self) -> None:
        """Open as many connections as there were."""
        if self.pool.closed:
            self._open(self._had)

    def rest(self) -> None:
        """Close the connections until it begins again."""
        if not self.pool.closed:
            self._had = self.pool.stats().total
            self.close()

    @contextmanager
    def connection(self) -> Iterator[connection]:
        """A connection in autocommit for a block."""
        conn = self.pool.getconn()
        try:
            conn.autocommit = True
            yield conn
        finally:
            self.pool.putconn(conn)


def ask(conn: connection) -> None:
    """Send the statement and take its answer."""
    with conn.cursor() as cur:
        cur.execute(STATEMENT)
        cur.fetchall()
