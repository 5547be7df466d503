"""Statements that a connection prepares once and executes from then on: less to parse and plan for the server.

Done in SQL (PREPARE and EXECUTE), since psycopg2 does not speak the protocol's own way, and in the message of the
statement itself, so that it costs no round trip. A statement's name is made from its text, so a name means the
same in every session: what a pooler mixes up can be missing, or be there already, but never be another
statement. Must not know Flask or the pool.
"""

import functools
import hashlib
import logging
import re
from typing import Any, NamedTuple

import psycopg2
from psycopg2 import errors, extensions

log = logging.getLogger(__name__)

_PREFIX = "swagger_server_"
"""The pool keeps statements of such names when it cleans a session."""

_MOST = 500
"""Statements that a connection keeps prepared; others are sent as they are."""

_MOST_COUNTED = 5000
"""Statements whose uses are counted; then the counting begins anew."""

_SURPRISES = 20
"""Statements that were not as the connection had left them, after which a process stops preparing."""

_PLACEHOLDER = re.compile(r"%(?:%|\((?P<name>[^)]*)\)s|(?P<next>s)|(?P<other>.|$))", re.DOTALL)

_SETTINGS = re.compile(r"(?:\s*SET LOCAL [\w.]+ = [\w.]+;)*\s*")
"""What a statement may have before it that holds for its transaction alone, such as how it is to be planned."""

_USES = 5
"""Executions in a process after which a statement is worth preparing, as in psycopg 3."""

_MOVED = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)

_UNFIT = ("42", "0A")
"""Classes of SQLSTATE by which a server refuses to prepare what it may well execute with its values written in."""


class Statement(NamedTuple):
    """A statement with the values of one execution taken out."""

    name: str
    prepare: bytes
    execute: str
    """With %s for the values."""
    values: tuple[Any, ...] | None


class PreparedStatements:
    """What one connection has prepared."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._pending = ""
        self._has_session: bool | None = None

    @property
    def is_new(self) -> bool:
        """Whether the last message prepares a statement."""
        return bool(self._pending)

    def message(
        self, cursor: extensions.cursor, query: Any, values: Any, *, may_prepare: bool
    ) -> bytes | None:
        """The query as an execution of a prepared statement; None where it had better be sent as it is."""
        statement = take_apart(query, values) if _process.is_preparing else None
        if statement is None:
            return None
        if statement.name in self._names:
            return cursor.mogrify(statement.execute, statement.values)
        if not may_prepare or not self._is_worth_it(statement.name) or not self._keeps(cursor.connection):
            return None
        execute = cursor.mogrify(statement.execute, statement.values)
        self._pending = statement.name
        return statement.prepare + b"; " + execute

    def succeeded(self, changed: bool) -> None:
        """The last message was answered; `changed` is whether it may have changed the session.

        What does so must be seen doing it at every execution, and so is not prepared again.
        """
        if self._pending:
            (_process.unfit if changed else self._names).add(self._pending)
            self._pending = ""

    def forgive(self, exc: psycopg2.Error) -> bool:
        """Whether the last message failed for being prepared, and may be sent as it was written instead."""
        pending, self._pending = self._pending, ""
        if isinstance(exc, _MOVED) or (isinstance(exc, errors.FeatureNotSupported) and not pending):
            # Lost, there already, or made for a table that has changed since.
            self._names.clear()
            _process.note_surprise()
            return True
        if pending and (exc.pgcode or "").startswith(_UNFIT):
            _process.unfit.add(pending)
            return True
        return False

    def _keeps(self, connection: extensions.connection) -> bool:
        """Whether what is prepared stays with the connection; asked of it once, in one round trip."""
        if self._has_session is None:
            self._has_session = _has_session_of_its_own(connection)
            if not self._has_session:
                _process.note_pooler()
        return self._has_session

    def _is_worth_it(self, name: str) -> bool:
        return len(self._names) < _MOST and _process.uses(name) >= _USES and name not in _process.unfit


class _Process:
    """What all connections of the process have found out."""

    def __init__(self) -> None:
        self.is_preparing = True
        self.unfit: set[str] = set()
        self._uses: dict[str, int] = {}
        self._surprises = 0
        self._met_pooler = False

    def uses(self, name: str) -> int:
        """How often a statement was asked for that is not prepared, this time included."""
        if len(self._uses) > _MOST_COUNTED:
            self._uses.clear()
        self._uses[name] = self._uses.get(name, 0) + 1
        return self._uses[name]

    def note_pooler(self) -> None:
        """A connection is to a pooler."""
        if not self._met_pooler:
            self._met_pooler = True
            log.warning(
                "a pooler is between us and the database: nothing is prepared there; set PREPARE = no"
            )

    def note_surprise(self) -> None:
        """A session was not as the connection had left it."""
        self._surprises += 1
        if self._surprises == _SURPRISES:
            self.is_preparing = False
            log.warning(
                "sessions do not keep what is prepared in them, as behind a pooler: no more is prepared"
            )


_process = _Process()


def _has_session_of_its_own(connection: extensions.connection) -> bool:
    """Whether the connection is to the server itself: a pooler has made up the pid that it greeted with."""
    with extensions.cursor(connection) as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone() == (connection.get_backend_pid(),)


def take_apart(query: Any, values: Any) -> Statement | None:
    """The query with parameters in the place of its values; None for what has no certain type in SQL."""
    template = _template(query) if type(query) is str else None
    if template is None:
        return None
    if values is None:
        # Without values psycopg2 leaves "%" alone.
        return None if "%" in query else Statement(*_prepared(query, ()), None)
    try:
        chosen = _chosen(template.names, values)
    except (LookupError, TypeError):
        return None  # psycopg2 says what is missing
    types = tuple([_type_of(value) for value in chosen])
    return None if None in types else Statement(*_prepared(query, types), chosen or None)


class _Template(NamedTuple):
    settings: str
    """What stands before the statement."""
    text: str
    """With $1, $2, ... for the values."""
    names: tuple[str, ...] | int
    """The names of the values, or how many there are."""


@functools.lru_cache(maxsize=1000)
def _template(query: str) -> _Template | None:
    names: list[str | None] = []

    def number(match: re.Match[str]) -> str:
        if match["other"] is not None:
            raise ValueError
        if match[0] == "%%":
            return "%"
        names.append(match["name"])
        return f"${len(names)}"

    found = _SETTINGS.match(query)
    settings = found[0] if found is not None else ""
    statement = query[len(settings) :]
    if "$" in query or ";" in statement or not _is_read(statement):
        return None
    try:
        text = _PLACEHOLDER.sub(number, statement)
    except ValueError:
        return None
    named = [name for name in names if name is not None]
    if named and len(named) < len(names):
        return None
    return _Template(settings, text, tuple(named) if named else len(names))


def _is_read(query: str) -> bool:
    """PREPARE takes SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES; only reads are worth it here."""
    return query.lower().startswith(("select", "with", "values"))


def _chosen(names: tuple[str, ...] | int, values: Any) -> tuple[Any, ...]:
    """The values in the order of the placeholders; LookupError or TypeError where they do not fit."""
    if type(names) is tuple:
        return tuple([values[name] for name in names])
    if type(values) not in (tuple, list) or len(values) != names:
        raise TypeError
    return tuple(values)


def _type_of(value: Any) -> str | None:
    """The type that psycopg2's text of the value has in SQL."""
    kind = type(value)
    if kind is str or value is None:
        return "unknown"
    if kind is bool:
        return "boolean"
    if kind is int:
        return "integer" if -(2**31) < value < 2**31 else "bigint" if -(2**63) < value < 2**63 else None
    if kind is float and value == value and abs(value) != float("inf"):
        return "numeric"
    return None


@functools.lru_cache(maxsize=1000)
def _prepared(query: str, types: tuple[str, ...]) -> tuple[str, bytes, str]:
    template = _template(query)
    assert template is not None
    # With the settings: a plan that is kept was made under them.
    text = f"{types} {template.settings}{template.text}"
    digest = hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
    # Letters only: a name with a digit in it is one that the pool does not know for harmless.
    name = _PREFIX + digest.translate(_LETTERS)
    declared = f" ({', '.join(types)})" if types else ""
    marks = f" ({', '.join(['%s'] * len(types))})" if types else ""
    prepare = f"PREPARE {name}{declared} AS {template.text}".encode()
    return name, prepare, f"{template.settings}EXECUTE {name}{marks}"


_LETTERS = str.maketrans("0123456789", "ghijklmnop")
