"""The request's database connection: `g.db`, `get_db()`, `transaction()`, and the Flask extension.

Owns when a connection is borrowed (at its first use), how it is used (safe methods read only, other
methods in one transaction), and when it goes back (when the app context ends). The only module that
knows both Flask and the pool; it must not know the settings, Connexion or what the API is about.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from flask import Flask, Response, current_app, g, has_request_context, request
from flask.ctx import _AppCtxGlobals
from psycopg2.errors import DeadlockDetected, SerializationFailure
from psycopg2.extensions import QueryCanceledError

from swagger_server import position, under_way
from swagger_server.cancellation import Cancellation
from swagger_server.pool import ConnectionPool, PoolClosed, PoolError, PoolOptions
from swagger_server.session import Connection, StatementCut, TransactionAborted
from swagger_server.timings import add
from swagger_server.under_way import UnderWay

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_LOST = ("08", "57P01", "57P02", "57P03")
"""SQLSTATEs (or beginnings) of a connection that ended: connection exceptions, and the server's shutdowns."""

REPLICA_PATIENCE = 0.1
"""Seconds that a read waits for a replica's connection before it takes the primary's."""

REPLICA_SILENCE = 0.5
"""Seconds after which a replica that has not said how far it has come counts as down."""

_EXTENSION = "swagger_server.db"
_LEASES = "_swagger_server_leases"
_ACTING = "_swagger_server_acting"


class ConnectionLost(psycopg2.OperationalError):
    """The request's own connection died; a request never gets a second one unawares."""

    def __init__(self, name: str) -> None:
        super().__init__(f"request connection lost (database {name!r})")


@dataclass(slots=True)
class _Lease:
    """A connection while a request has it."""

    database: "Database"
    """The one that was asked for; the connection may be to its replica."""
    pool: ConnectionPool
    connection: Connection
    cancellation: Cancellation
    interrupt: Callable[[], object]

    def give_back(self) -> None:
        # From here on a cancellation would hit the connection's next borrower.
        self.cancellation.remove(self.interrupt)
        self.connection.end_request()
        self.pool.putconn(self.connection)


class RequestGlobals(_AppCtxGlobals):
    """The object behind `flask.g`, with `g.db`."""

    @property
    def db(self) -> Connection:
        """The request's connection to the default database, borrowed at the first touch.

        Waits for up to the pool's timeout; raises the pool's errors, and ConnectionLost when the
        connection died earlier in this request.
        """
        return _connection(self, "default")


class Database:
    """A database of a Flask app: a pool by a name, made with or without an app.

    `minconn` and `maxconn` bound the pool of each worker process, `options` are the pool's,
    `statement_timeout` (seconds, 0 for none) bounds each statement in the server, `prepare` has the reads of
    safe methods prepared that come again, `cursor_factory` is the class of the cursors. `replica` is the name of
    a database of the app that takes the reads of safe methods while it is up; an answer to a write then has its
    client, for `remember_writes` seconds, read only what is as new. All other keyword arguments are
    psycopg2.connect's.
    """

    def __init__(self, app: Flask | None = None, key: str = "default", **settings: Any) -> None:
        self.key = key
        self._pool: ConnectionPool | None = None
        self._opening = threading.Lock()
        if app is not None:
            self.init_app(app, key, **settings)

    def init_app(
        self,
        app: Flask,
        key: str = "default",
        minconn: int = 2,
        maxconn: int = 32,
        *,
        options: PoolOptions | None = None,
        statement_timeout: float = 0.0,
        prepare: bool = True,
        cursor_factory: Any = None,
        replica: str | None = None,
        remember_writes: int = position.LAG,
        **connect_arguments: Any,
    ) -> None:
        """Register this database with the app under the name `key`. Connects to nothing yet."""
        self.key = key
        self._bounds = (minconn, maxconn)
        self._options = options or PoolOptions(name=key)
        self._connect_arguments = connect_arguments
        self.statement_timeout = statement_timeout
        self.prepare = prepare
        self.cursor_factory = cursor_factory
        self.replica = replica
        self.remember_writes = remember_writes
        databases = app.extensions.setdefault(_EXTENSION, {})
        if not databases:
            _bind(app)
        databases[key] = self

    def open(self) -> ConnectionPool:
        """The pool of this process, made by the first call. A database that is down raises nothing."""
        if (pool := self._pool) is not None:
            return pool
        with self._opening:
            if self._pool is None:
                self._pool = self._make_pool()
            return self._pool

    def _make_pool(self) -> ConnectionPool:
        minconn, maxconn = self._bounds
        return ConnectionPool(
            minconn,
            maxconn,
            options=self._options,
            connection_factory=Connection,
            **{"application_name": _application_name(), **self._connect_arguments},
        )

    pool = property(open)

    @property
    def opened(self) -> ConnectionPool | None:
        """The pool of this process, if there is one."""
        return self._pool

    def close(self) -> None:
        """Close the pool and its connections. The next use opens another one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.closeall()

    @property
    def conn(self) -> Connection:
        """The request's connection to this database, as `get_db(key)`."""
        return get_db(self.key)


def get_db(name: str = "default") -> Connection:
    """The request's connection to the database `name`: the same one at every call.

    Also usable as `with get_db() as conn:`, which commits on a clean exit and rolls back on an
    exception; the connection itself goes back when the request ends. Borrowing waits for up to the
    pool's timeout and raises the pool's errors; ConnectionLost when the connection has died since.
    """
    return _connection(g._get_current_object(), name)


def _connection(context: _AppCtxGlobals, name: str) -> Connection:
    leases = _leases(context)
    lease = leases.get(name)
    if lease is None:
        lease = _borrow(_database(name))
        if name == "default" and _ACTING in context.__dict__:
            _act(lease, *context.__dict__[_ACTING])
        leases[name] = lease
    if lease.connection.closed:
        raise ConnectionLost(name)
    return lease.connection


def _leases(context: _AppCtxGlobals) -> dict[str, _Lease]:
    """The connections that an app context has, by the names of their databases."""
    leases: dict[str, _Lease] = context.__dict__.setdefault(_LEASES, {})
    return leases


def act_as(role: str, /, **claims: str) -> None:
    """Have the request's statements on `g.db` from here on run as `role`, with what is claimed of the caller.

    A policy of the database finds a claim by `current_setting('request.<name>', true)`. Role and claims are set for
    each transaction (SET LOCAL), in the message of its first statement: no round trip, nothing left in the
    session, and right behind a pooler in transaction mode. The next request knows nothing of them. Borrows no
    connection. Another call takes the place of this one; inside a transaction it raises ProgrammingError. The role
    of the login must be allowed to become `role`: else the statements fail with SQLSTATE 42501.
    """
    context = g._get_current_object()
    lease = _leases(context).get("default")
    if lease is not None:
        lease.connection.act_as(role, claims)
    context.__dict__[_ACTING] = (role, claims)


def _act(lease: _Lease, role: str, claims: dict[str, str]) -> None:
    """Nobody gets the connection if that cannot be done."""
    try:
        lease.connection.act_as(role, claims)
    except BaseException:
        lease.give_back()
        raise


@contextmanager
def transaction(name: str = "default") -> Iterator[Connection]:
    """A transaction on the request's connection that ends with the block: commit, or rollback.

    In a safe method it is READ ONLY, and several statements in it see one state of the data.
    """
    with get_db(name) as connection:
        yield connection


@contextmanager
def beside(
    name: str = "default", *, read_only: bool = False, patience: float | None = None
) -> Iterator[Connection]:
    """A connection for a short piece of work beside the request's: to the primary, in autocommit, for a block.

    Works before the request has its app context too, as in a security function. Waits for up to `patience` seconds
    (the pool's timeout when None) and raises the pool's errors; the request's deadline, and the end of its client,
    end the waiting and the work. Statements have the database's statement_timeout, and cannot write when
    `read_only`. Not to be held while the request has its own: many that hold one and want another wait for ever.
    """
    asked = _request()
    database = _database(name, asked.app)
    longest = database.open().options.timeout if patience is None else patience
    lease = _lend(database, database, asked, longest, read_only=read_only, autocommit=True)
    try:
        yield lease.connection
    finally:
        with suppress(PoolClosed):  # then there is nothing to give back, and the block's outcome stands
            lease.give_back()


def is_lost(exc: BaseException) -> bool:
    """Whether an exception says that the connection died, not that the statement was wrong."""
    if isinstance(exc, psycopg2.InterfaceError):
        return "connection" in str(exc)
    if not isinstance(exc, psycopg2.OperationalError) or isinstance(exc, QueryCanceledError):
        return False
    return exc.pgcode is None or exc.pgcode.startswith(_LOST)


def is_conflict(exc: BaseException) -> bool:
    """Whether a transaction was undone for what others did at the same time, and may succeed when it is run again."""
    return isinstance(exc, SerializationFailure | DeadlockDetected)


def is_failure_of_replica(exc: BaseException) -> bool:
    """Whether a replica failed a read, by what it has to replay or by its silence, that the primary may answer."""
    if isinstance(exc, StatementCut):
        return exc.of_replica
    return is_conflict(exc)


def databases(app: Flask) -> dict[str, Database]:
    """The databases registered with the app, by name."""
    found: dict[str, Database] = app.extensions.get(_EXTENSION, {})
    return found


def _application_name() -> str:
    """What pg_stat_activity shows: made when the pool is, so that it names the worker itself."""
    return f"swagger_server worker {os.getpid()}"


def _database(name: str, app: Flask | None = None) -> Database:
    try:
        # Not through Flask's proxy more than once: each look costs as much as all the rest here.
        return databases(app or current_app._get_current_object())[name]  # type: ignore[attr-defined]
    except KeyError:
        raise LookupError(f"no database is registered under the name {name!r}") from None


def _bind(app: Flask) -> None:
    app.app_ctx_globals_class = RequestGlobals
    # Flask runs after_request functions last registered first: the commit comes after the app's own.
    app.after_request(_finish)
    app.teardown_appcontext(_give_back)
    # The teardown functions as well: ours is to be the first of the list, also where the app has some already, since
    # one of those may borrow once more.
    app.teardown_appcontext_funcs.insert(0, app.teardown_appcontext_funcs.pop())
    app.do_teardown_appcontext = functools.partial(_tear_down, app.do_teardown_appcontext)  # type: ignore[method-assign]


def _tear_down(others: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Flask's own, which calls no more functions once one has raised; ours would be the last."""
    try:
        others(*args, **kwargs)
    finally:
        _give_back(None)


def _borrow(database: Database) -> _Lease:
    """The one place that decides where a connection comes from."""
    asked = _request()
    if database.replica is not None and asked.method in SAFE_METHODS and not asked.needs_primary:
        lease = _borrow_from_replica(database, _database(database.replica), asked)
        if lease is not None:
            return lease
    read_only = asked.method in SAFE_METHODS
    return _lend(database, database, asked, database.open().options.timeout, read_only=read_only)


def _borrow_from_replica(database: Database, replica: Database, asked: UnderWay) -> _Lease | None:
    """A connection to a replica that has what the client wrote; None where it is down or behind."""
    if replica.open().is_down():
        return None
    try:
        lease = _lend(database, replica, asked, REPLICA_PATIENCE, read_only=True)
    except PoolError:
        return None
    is_fit = False
    try:
        wanted = position.carried(asked.header)
        is_fit = not wanted or lease.connection.has_replayed(wanted)
    except psycopg2.Error:
        log.debug("the replica does not say how far it has come", exc_info=True)
    finally:
        if not is_fit:
            lease.give_back()
    return lease if is_fit else None


def _lend(
    database: Database,
    source: Database,
    asked: UnderWay,
    patience: float,
    *,
    read_only: bool,
    autocommit: bool | None = None,
) -> _Lease:
    """A connection to `source`, which is `database` or its replica; in autocommit where it is read only."""
    autocommit = read_only if autocommit is None else autocommit
    pool, started = source.open(), time.perf_counter()
    try:
        left = asked.cancellation.time_left()
        longest = patience if left is None else min(patience, left)
        connection: Connection = pool.getconn(timeout=longest, autocommit=autocommit)  # type: ignore[assignment]
    finally:
        add(asked.timings, "pool", time.perf_counter() - started)
    try:
        connection.begin_request(
            read_only,
            database.statement_timeout,
            database.cursor_factory,
            asked.timings,
            database.prepare,
            autocommit,
        )
    except BaseException:
        pool.putconn(connection)
        raise
    connection.borrower = asked
    connection.of_replica = source is not database
    interrupt = functools.partial(pool.interrupt, connection)
    asked.cancellation.add(interrupt)
    return _Lease(database, pool, connection, asked.cancellation, interrupt)


def _request() -> UnderWay:
    """The request that asks; outside of one, something that may write."""
    asked = under_way.current.get()
    if asked is not None:
        return asked
    return under_way.of(request.environ if has_request_context() else {})


def _finish(response: Response) -> Response:
    """Commit what the request wrote, or undo it when the answer is an error.

    Runs before the answer leaves: a commit that fails must not be answered with a success.
    """
    # Not through `g` more than once: each look through Flask's proxy costs as much as all the rest here.
    leases = _leases(g._get_current_object())
    for name, lease in leases.items():
        if not lease.connection.read_only:
            _end_transaction(name, lease.connection, commit=response.status_code < 400)
    for lease in leases.values():
        if lease.database.replica is not None:
            _mark(response, lease)
    return response


def _mark(response: Response, lease: _Lease) -> None:
    """Say in the answer how far its client's writes have come, or that this matters for a read."""
    if lease.connection.read_only:
        response.headers.add("Vary", position.VARY)
    elif lease.connection.has_committed:
        for name, value in _position_of(lease):
            response.headers.add(name, value)


def _mark_error(lease: _Lease) -> None:
    """The same for an answer that is yet to be made: of an exception that was raised after a commit."""
    asked = under_way.current.get()
    if asked is not None and lease.connection.has_committed and not lease.connection.read_only:
        asked.more_headers = [*(asked.more_headers or ()), *_position_of(lease)]


def _position_of(lease: _Lease) -> list[tuple[str, str]]:
    """The headers that tell a client, once, how far its writes have come."""
    reached = lease.connection.written()
    lease.connection.has_committed = False
    cookie = position.set_cookie(reached, lease.database.remember_writes)
    return [(position.HEADER, position.text(reached)), ("Set-Cookie", cookie)]


def _end_transaction(name: str, connection: Connection, *, commit: bool) -> None:
    if not commit:
        if not connection.closed:
            connection.rollback()
    elif connection.closed:
        raise ConnectionLost(name)
    elif connection.is_aborted():
        connection.rollback()
        raise TransactionAborted
    else:
        connection.commit()


def _give_back(_exc: BaseException | None) -> None:
    leases = _leases(g._get_current_object())
    while leases:
        name, lease = leases.popitem()
        try:
            if lease.database.replica is not None:
                _mark_error(lease)
            lease.give_back()
        except psycopg2.Error:
            # Its pool was closed meanwhile. The others still get theirs back.
            log.warning("the connection of database %r was not given back", name, exc_info=True)
