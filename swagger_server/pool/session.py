"""What a borrower does to a connection: noted by the connection and its cursors, read by the pool afterwards.

The noting classes slip in between the caller's own `connection_factory` or `cursor_factory` and psycopg2's
base class, so that nothing changes for the caller and every `super()` call passes by here. Knows no pool.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from time import monotonic
from typing import Any

from psycopg2 import extensions
from psycopg2.errors import ReadOnlySqlTransaction
from psycopg2.sql import Composable

from swagger_server.pool.statements import leaves_session_alone

ClientSettings = tuple[Any, ...]

IDLE, READY = extensions.TRANSACTION_STATUS_IDLE, extensions.STATUS_READY

_SAY_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")
"""Parameters that a server reports of itself."""


def _noted_setting(name: str) -> Any:
    """An attribute of psycopg2's connection that notes when it is set."""
    own = getattr(extensions.connection, name)

    def set_and_note(connection: "NotingConnection", value: Any) -> None:
        connection.was_set_up = True
        own.__set__(connection, value)

    return property(own.__get__, set_and_note)


class NotingConnection(extensions.connection):
    """A psycopg2 connection that remembers whether its session was changed, and since when it is busy."""

    changed = False
    """A statement ran that may have left something behind in the session."""
    was_set_up = False
    """Its client-side settings may differ from `home_settings`: comparing them would cost every checkout."""
    vouched_for: bytes | None = None
    """A statement of the borrower's, who knows that it leaves the session alone: this very object."""
    refused_write = False
    """A write was refused as read-only (SQLSTATE 25006)."""
    busy_since = 0.0
    """When the running statement began, by time.monotonic(); 0 when none runs."""
    overdue = False
    """The pool cut it because a statement ran longer than query_timeout or brief_timeout."""
    is_brief = False
    """What it runs is answered at once by any server that answers at all: brief_timeout bounds it."""
    home_read_only = False
    """The server said on connecting that it takes no writes. PostgreSQL before 14 does not say."""
    wants_writes = False
    """It was asked for a server that takes writes (target_session_attrs)."""
    home_autocommit = False
    home_encoding = ""
    home_settings: ClientSettings = ()
    """The client-side settings that the connection was opened with."""

    def remember_home(self) -> None:
        self.notices.clear()  # some servers greet with one; later ones on an idle session mean its end
        self.home_read_only = "on" in map(self.get_parameter_status, _SAY_READ_ONLY)
        self.home_autocommit = self.autocommit
        self.home_encoding = self.encoding
        self.home_settings = self._settings()
        self.was_set_up = False

    def has_turned_read_only(self) -> bool:
        """Whether the server said so with the last answer. No round trip; PostgreSQL before 14 does not say."""
        return self.get_parameter_status("default_transaction_read_only") == "on"

    def was_changed(self) -> bool:
        """True when the next borrower could notice the last one, but for what `put_back` deals with."""
        return self.changed or (self.was_set_up and self._settings() != self.home_settings)

    def _settings(self) -> ClientSettings:
        return (self.isolation_level, self.readonly, self.deferrable, self.cursor_factory)

    def put_back(self, check_changes: bool) -> bool:
        """True when it may be lent again as it is: alive, outside a transaction and, if asked, not changed.

        Then the cheap part of the client side is as it was opened, too. No round trip.
        """
        if (
            self.get_transaction_status() != IDLE  # nor is it when the connection is closed
            or self.status != READY  # after a raw COMMIT psycopg2 still thinks of a transaction
            or self.refused_write
            or (self.wants_writes and self.has_turned_read_only())
            or (check_changes and self.was_changed())
        ):
            return False
        if self.notices:
            self.notices.clear()
        if self.notifies:
            self.notifies.clear()
        return True

    def note(self, text: Any) -> None:
        """`text` is about to run."""
        self.busy_since = monotonic()
        if self.changed or text is self.vouched_for:
            return
        self.changed = not leaves_session_alone(_as_bytes(text, self))

    def cursor(
        self, name: Any = None, cursor_factory: Any = None, withhold: bool = False, scrollable: Any = None
    ) -> Any:
        wanted: Any = cursor_factory or self.cursor_factory or extensions.cursor
        if isinstance(wanted, type):
            wanted = _noting_kind(wanted, NotingCursor if name is None else NotingServerSideCursor)
        else:
            self.changed = True  # a function makes the cursor, so nobody will see its statements
        self.changed = self.changed or withhold
        return super().cursor(name, wanted, withhold, scrollable)

    def commit(self) -> None:
        self.busy_since = monotonic()
        try:
            super().commit()
        finally:
            self.busy_since = 0.0

    def rollback(self) -> None:
        self.busy_since = monotonic()
        try:
            super().rollback()
        finally:
            self.busy_since = 0.0

    def set_client_encoding(self, encoding: str) -> None:
        self.changed = True
        super().set_client_encoding(encoding)

    isolation_level = _noted_setting("isolation_level")
    readonly = _noted_setting("readonly")
    deferrable = _noted_setting("deferrable")
    cursor_factory = _noted_setting("cursor_factory")

    def set_session(self, *args: Any, **kwargs: Any) -> None:
        self.was_set_up = True
        super().set_session(*args, **kwargs)

    def set_isolation_level(self, level: Any) -> None:
        self.was_set_up = True
        super().set_isolation_level(level)

    def reset(self) -> None:
        self.was_set_up = True
        super().reset()


class NotingCursor(extensions.cursor):
    """A psycopg2 cursor that tells its NotingConnection what it runs."""

    connection: NotingConnection

    def execute(self, query: Any, vars: Any = None) -> None:
        self._run(query, super().execute, query, vars)

    def executemany(self, query: Any, vars_list: Iterable[Any]) -> None:
        self._run(query, super().executemany, query, vars_list)

    def callproc(self, procname: Any, parameters: Any = None, /) -> Any:
        call = f"select {procname}()"
        return self._run(call, super().callproc, procname, *(() if parameters is None else (parameters,)))

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        self._run(sql, super().copy_expert, sql, file, size)

    def copy_from(self, *args: Any, **kwargs: Any) -> None:
        self._run("copy", super().copy_from, *args, **kwargs)

    def copy_to(self, *args: Any, **kwargs: Any) -> None:
        self._run("copy", super().copy_to, *args, **kwargs)

    def _run(self, text: Any, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        connection = self.connection
        connection.note(text)
        try:
            return step(*args, **kwargs)
        except ReadOnlySqlTransaction:
            connection.refused_write = True
            raise
        finally:
            connection.busy_since = 0.0


class NotingServerSideCursor(NotingCursor):
    """A named cursor: fetching from it asks the server, too."""

    def fetchone(self) -> Any:
        return self._run("fetch", super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        return self._run("fetch", super().fetchmany, self.arraysize if size is None else size)

    def fetchall(self) -> Any:
        return self._run("fetch", super().fetchall)

    def scroll(self, value: int, mode: Any = "relative") -> None:
        self._run("fetch", super().scroll, value, mode)


@lru_cache(maxsize=256)
def _noting_kind(wanted: type, noting: type) -> type:
    """The class `wanted`, with `noting` between it and psycopg2's own."""
    if issubclass(wanted, noting):
        return wanted
    if wanted is extensions.cursor or wanted is extensions.connection:
        return noting
    return type(wanted.__name__, (wanted, noting), {"__module__": wanted.__module__})


def noting_connection(factory: Any) -> Any:
    """The `connection_factory` to open pooled connections with. One that is a function is taken as it is."""
    kind = factory or extensions.connection
    return _noting_kind(kind, NotingConnection) if isinstance(kind, type) else kind


def _as_bytes(text: Any, connection: NotingConnection) -> bytes:
    if isinstance(text, Composable):
        text = text.as_string(connection)
    return text.encode() if isinstance(text, str) else bytes(text)
