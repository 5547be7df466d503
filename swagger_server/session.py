"""The psycopg2 connection and cursors of a request: read-only statements, their time limit, their role, their time.

A safe method's statements run in autocommit, each in one message that makes its implicit transaction
READ ONLY with a statement_timeout: no round trip of its own, nothing left in the session, and right
behind a pooler in transaction mode. The role that a request acts as, and what it claims, come by the same way, and
in a transaction with its first statement. Must not know Flask or the pool.
"""

import contextlib
import functools
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Self, cast

import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extensions import (
    STATUS_READY,
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    QueryCanceledError,
)

from swagger_server import position
from swagger_server.prepared import PreparedStatements
from swagger_server.timings import Timings, add
from swagger_server.under_way import UnderWay

_Cursor = psycopg2.extensions.cursor

_CLAIM = re.compile("[a-z][a-z_]*")


class TransactionAborted(psycopg2.InternalError):
    """A statement of the transaction had failed, the error was swallowed, and now it was to be committed."""

    def __init__(self) -> None:
        super().__init__("the transaction failed before its commit: an error of a statement was ignored")


class StatementCut(QueryCanceledError):
    """The pool cut the connection because the statement ran longer than query_timeout.

    `of_replica` when that was a replica in the place of its primary, which may still answer.
    """

    def __init__(self, of_replica: bool = False) -> None:
        super().__init__("the statement ran longer than the pool's query_timeout")
        self.of_replica = of_replica


class Connection(psycopg2.extensions.connection):
    """A pooled connection. Between `begin_request` and `end_request` it belongs to one request."""

    read_only: bool = False
    begun_in_autocommit: bool = False
    prefix: bytes = b""
    """What each transaction begins with: in the message of its first statement, or before it where that cannot be."""
    _prefix_of_all: bytes = b""
    """The part of it that is the same for all requests like this one."""
    timings: Timings | None = None
    borrower: UnderWay | None = None
    """The request, for those who look on."""
    prepared: PreparedStatements | None = None
    changed: bool = False
    """A statement may have changed the session: kept by the pool's own connection class."""
    vouched_for: bytes | None = None
    """For that class: the text of a statement that leaves the session alone, and need not be read."""
    is_brief: bool = False
    """For that class: what runs is answered at once by any server that answers at all."""
    of_replica: bool = False
    """It is to a replica, in the place of the database that was asked for."""
    has_committed: bool = False
    """A transaction that may have written was committed in this request."""
    _replayed: int = 0
    _request_cursor: type[_Cursor] = _Cursor

    def begin_request(
        self,
        read_only: bool,
        statement_timeout: float,
        cursor_factory: type[_Cursor] | None,
        timings: Timings,
        prepares: bool = False,
        autocommit: bool | None = None,
    ) -> None:
        """Get ready for a request; no message is sent. `timings` collects the seconds in SQL as "sql".

        With `prepares` the session's reads are prepared at their first execution. Without a word on `autocommit`,
        what is read only is.
        """
        autocommit = read_only if autocommit is None else autocommit
        if prepares and self.prepared is None:
            self.prepared = PreparedStatements()
        if self.autocommit is not autocommit:
            self.autocommit = autocommit
        self.begun_in_autocommit = autocommit
        self.read_only = read_only
        self.prefix = self._prefix_of_all = _prefix(read_only, statement_timeout)
        self.timings = timings
        self._request_cursor = cursor_factory or _Cursor

    def act_as(self, role: str, claims: Mapping[str, str]) -> None:
        """Have the request's transactions from now on run as `role`, with each claim as the setting request.<name>.

        Sends no message. Takes the place of what was said before, and ends with the request. Raises ProgrammingError
        inside a transaction, whose beginning ran as somebody else, and DataError for what is no text to PostgreSQL.
        """
        if self.timings is None or self.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            raise psycopg2.ProgrammingError("who acts is said in a request, before the transaction begins")
        self.prefix = self._prefix_of_all + _acting(self, role, claims)

    def end_request(self) -> None:
        """Forget the request. Whatever transaction is open is left to the pool to roll back."""
        self.read_only, self.timings, self.borrower = False, None, None
        self.prefix = self._prefix_of_all = b""
        self.has_committed = False

    # The stubs' overloads cannot be written for a class that is made at run time.
    def cursor(  # type: ignore[override]
        self, name: str | None = None, cursor_factory: Any = None, **options: Any
    ) -> Any:
        """A cursor of the given class (default: the database's) that keeps to the request's rules."""
        if self.timings is not None:
            wanted: Any = cursor_factory or self._request_cursor
            cursor_factory = _bound(wanted)
        return super().cursor(name, cursor_factory, **options)

    def lobject(self, *args: Any, **kwargs: Any) -> Any:
        """A large object, in the request's transaction."""
        self.begin()
        return super().lobject(*args, **kwargs)

    def begin(self) -> None:
        """Begin the request's transaction with what it begins with, if none is open: one message of its own.

        For what is no statement that could carry it.
        """
        if self.prefix and not self.autocommit and self.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            with super().cursor(cursor_factory=_Cursor) as cursor:
                cursor.execute(self.prefix)

    def __enter__(self) -> Self:
        if self.read_only and self.status != STATUS_READY:
            raise psycopg2.ProgrammingError("transactions of a request cannot be nested")
        if self.read_only:
            # psycopg2 gives out server-side cursors only while autocommit is off.
            self.autocommit = False
        super().__enter__()
        if self.read_only:
            self.begin()
        return self

    def __exit__(self, kind: Any, raised: Any, trace: Any) -> None:
        aborted = kind is None and self.is_aborted()
        super().__exit__(kind, raised, trace)
        if kind is None and not aborted and not self.read_only:
            self.note_commit()
        if self.read_only and not self.closed:
            self.autocommit = True
        if aborted:
            raise TransactionAborted

    def commit(self) -> None:
        """End the transaction; raises when the server refuses it."""
        super().commit()
        self.note_commit()

    def note_commit(self) -> None:
        """Something that may be a write can no longer be undone."""
        self.has_committed = True
        if self.borrower is not None:
            self.borrower.has_committed = True

    def has_replayed(self, wanted: int) -> bool:
        """Whether the server has come as far as the position `wanted`: asked of it once, then known.

        Known to this connection alone: another one may be to another replica.
        """
        if self._replayed < wanted:
            self.is_brief = True
            try:
                self._replayed = position.replayed(self)
            finally:
                self.is_brief = False
        return self._replayed >= wanted

    def written(self) -> int:
        """The position of what was committed, by the server's word; UNKNOWN where that cannot be had any more.

        A transaction that is open still is rolled back.
        """
        try:
            self.rollback()
            self.autocommit = True  # no transaction whose end would have to be waited for
            return position.written(self)
        except psycopg2.Error:
            return position.UNKNOWN

    def is_aborted(self) -> bool:
        """Whether a statement of the open transaction failed: the server would turn its COMMIT into a ROLLBACK."""
        return not self.closed and self.get_transaction_status() == TRANSACTION_STATUS_INERROR


class _Bound(_Cursor):
    """What a request's cursor adds to a cursor class: the prefix, and the time spent."""

    def execute(self, query: Any, vars: Any = None) -> None:
        connection: Connection = self.connection  # type: ignore[assignment]  # a request's cursor has no other
        started = time.perf_counter()
        try:
            # The server's word: psycopg2 does not notice a COMMIT that was written out.
            is_first = connection.prefix and connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
            if not is_first:
                self._execute_as_written(query, vars)
            elif self.name is not None:
                connection.begin()  # DECLARE cannot follow something else in its message
                super().execute(query, vars)
            # No transaction is open: this message is one, or begins one.
            elif not self._execute_prepared(connection, query, vars):
                super().execute(connection.prefix + self._with_values(query, vars))
            if connection.autocommit and not connection.begun_in_autocommit:
                connection.note_commit()  # the app has turned it on
        except psycopg2.OperationalError as exc:
            if getattr(connection, "overdue", False):
                raise StatementCut(connection.of_replica) from exc
            raise
        finally:
            if connection.timings is not None:
                add(connection.timings, "sql", time.perf_counter() - started)

    def _execute_prepared(self, connection: Connection, query: Any, vars: Any) -> bool:
        """Execute a read as a prepared statement, if that can be done."""
        prepared = connection.prepared
        if prepared is None or not connection.read_only:
            return False
        try:
            message = prepared.message(self, query, vars, may_prepare=not connection.changed)
        except (UnicodeEncodeError, ValueError):
            return False  # _with_values says what is wrong
        if message is None:
            return False
        text = connection.prefix + message
        if not prepared.is_new:
            connection.vouched_for = text
        try:
            super().execute(text)
        except psycopg2.Error as exc:
            if connection.closed or not prepared.forgive(exc):
                raise
            return False
        prepared.succeeded(connection.changed)
        return True

    def _execute_as_written(self, query: Any, vars: Any) -> None:
        try:
            super().execute(query, vars)
        except (UnicodeEncodeError, ValueError) as exc:
            raise _no_text(exc) from None

    def _with_values(self, query: Any, vars: Any) -> bytes:
        try:
            return self.mogrify(query, vars)
        except (UnicodeEncodeError, ValueError) as exc:
            raise _no_text(exc) from None

    def executemany(self, query: Any, vars_list: Iterable[Any]) -> None:
        for values in vars_list:
            self.execute(query, values)

    def callproc(self, procname: Any, parameters: Any = ()) -> Any:
        function = sql.SQL(".").join(sql.Identifier(part) for part in procname.split("."))
        if isinstance(parameters, Mapping):
            named = [sql.SQL("{} => {}").format(sql.Identifier(n), sql.Placeholder(n)) for n in parameters]
            marks = sql.SQL(", ").join(named)
        else:
            marks = sql.SQL(", ").join([sql.Placeholder()] * len(parameters))
        self.execute(sql.SQL("SELECT * FROM {}({})").format(function, marks), parameters)
        return parameters

    def copy_expert(self, *args: Any, **kwargs: Any) -> None:
        with self._transaction_for_copy():
            super().copy_expert(*args, **kwargs)

    def copy_from(self, *args: Any, **kwargs: Any) -> None:
        with self._transaction_for_copy():
            super().copy_from(*args, **kwargs)

    def copy_to(self, *args: Any, **kwargs: Any) -> None:
        with self._transaction_for_copy():
            super().copy_to(*args, **kwargs)

    def _transaction_for_copy(self) -> contextlib.AbstractContextManager[object]:
        """COPY cannot follow a prefix in its message: in a safe method it gets a read-only transaction."""
        connection = cast(Connection, self.connection)
        if connection.read_only and connection.status == STATUS_READY:
            return connection
        connection.begin()
        return contextlib.nullcontext()


@functools.cache
def _bound(factory: Any) -> type[_Cursor]:
    return type(f"Bound{factory.__name__}", (_Bound, factory), {})


@functools.cache
def _prefix(read_only: bool, statement_timeout: float) -> bytes:
    parts = ["SET TRANSACTION READ ONLY"] if read_only else []
    if statement_timeout:
        parts.append(f"SET LOCAL statement_timeout = {round(statement_timeout * 1000)}")
    return "".join(f"{part}; " for part in parts).encode()


def _acting(connection: Connection, role: str, claims: Mapping[str, str]) -> bytes:
    # SET ROLE takes a string for a name, but "none" in it for nobody. Quoted names would have the pool read each
    # text anew, with its values.
    if role.lower() == "none" or not all(map(_CLAIM.fullmatch, claims)):
        raise psycopg2.ProgrammingError("this is no role, or no name of a claim")
    settings = [b"SET LOCAL request." + name.encode() + b" = " for name in claims]
    values = [_literal(connection, value) for value in (role, *claims.values())]
    return b"".join(
        setting + value + b"; "
        for setting, value in zip([b"SET LOCAL ROLE ", *settings], values, strict=True)
    )


def _literal(connection: Connection, text: str) -> bytes:
    quoted = psycopg2.extensions.QuotedString(text)
    quoted.prepare(connection)
    try:
        return quoted.getquoted()
    except (UnicodeEncodeError, ValueError) as exc:
        raise _no_text(exc) from None


def _no_text(exc: Exception) -> psycopg2.DataError:
    """A NUL or half of a surrogate pair: what PostgreSQL cannot store, it need not be asked."""
    return psycopg2.DataError(f"a value is no text that PostgreSQL takes: {exc}")
