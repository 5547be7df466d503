"""The database schema as numbered SQL files, and what applies them.

Owns the table schema_migration, which goes by the names of files: those of two folders do not meet. Knows
nothing of the places: `0001_places.sql` is one file like any other. The service's own tables, who may call for
one, are in a folder of their own, and serve any spec.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable

from psycopg2 import Error, InterfaceError
from psycopg2.extensions import connection, cursor

PLACES: Traversable = files(__name__)
SERVICE: Traversable = PLACES / "service"
"""What the service itself needs, whatever its API is about."""

FOLDERS = (SERVICE, PLACES)
# Any number will do, as long as every version of this module uses the same.
_LOCK = 7_221_300_551

_LOCK_SQL = "SELECT pg_advisory_xact_lock(%s)"
_TABLE_SQL = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name        text PRIMARY KEY,
    version     integer NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""
_TABLE_EXISTS_SQL = "SELECT to_regclass('schema_migration') IS NOT NULL"
_VERSION_SQL = "SELECT coalesce(max(version), 0) FROM schema_migration WHERE name = ANY(%s)"
_APPLIED_SQL = "SELECT EXISTS (SELECT FROM schema_migration WHERE name = %s)"
_RECORD_SQL = "INSERT INTO schema_migration (version, name) VALUES (%s, %s)"


class SchemaError(Exception):
    """A folder of migrations cannot be used; one line says why."""


def _migrations(folder: Traversable) -> list[Traversable]:
    if not folder.is_dir():
        raise SchemaError(f"{folder} is no folder")
    return sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)


def _version(file: Traversable) -> int:
    number = file.name.split("_", 1)[0]
    if not number.isdecimal():
        raise SchemaError(
            f"{file.name}: the name of a migration begins with its number, as in 0001_stores.sql"
        )
    return int(number)


def newest_version(*folders: Traversable) -> int:
    """What `current_version` of these folders is after `migrate`."""
    return sum(max(map(_version, _migrations(folder))) for folder in folders)


SCHEMA_VERSION: int = newest_version(*FOLDERS)
"""What `current_version` returns after `migrate`."""


def migrate(conn: connection, *folders: Traversable) -> list[str]:
    """Apply the files of `folders` that this database lacks, in order, and return their names.

    Without folders, those of the service itself and of the places. Raises SchemaError for a folder that is none or
    holds a file without a number, before anything is applied.
    Each file runs in a transaction of its own: one that fails leaves nothing of itself and raises psycopg2's
    error, with a note that names file and line. Two that run at the same time are safe: the second waits, and then
    finds the work done. `conn` must not be in a transaction.
    """
    numbered = [(_version(file), file) for folder in folders or FOLDERS for file in _migrations(folder)]
    return [file.name for version, file in numbered if _apply(conn, file, version)]


def current_version(conn: connection, *folders: Traversable) -> int:
    """The number of the newest file of a folder that was applied to this database; 0 when there is none.

    Of several folders the sum; without any, of the service's own and the places'.
    """
    with conn.cursor() as cur:
        cur.execute(_TABLE_EXISTS_SQL)
        if not _one(cur):
            return 0
        return sum(_newest(cur, folder) for folder in folders or FOLDERS)


def _newest(cur: cursor, folder: Traversable) -> int:
    cur.execute(_VERSION_SQL, ([file.name for file in _migrations(folder)],))
    return int(str(_one(cur)))


@contextmanager
def transaction(conn: connection) -> Iterator[None]:
    """The block as one transaction, in autocommit too.

    When the connection is lost, psycopg2's own `with conn` says that it cannot roll back; this says why it was lost.
    """
    try:
        with conn:
            yield
    except InterfaceError as error:
        if isinstance(error.__context__, Error):
            raise error.__context__ from None
        raise


def _apply(conn: connection, file: Traversable, version: int) -> bool:
    with transaction(conn), conn.cursor() as cur:
        # Until the commit: who waits here sees, once it is let in, what the other one has applied.
        cur.execute(_LOCK_SQL, (_LOCK,))
        cur.execute(_TABLE_SQL)
        cur.execute(_APPLIED_SQL, (file.name,))
        if _one(cur):
            return False
        _run(cur, file)
        cur.execute(_RECORD_SQL, (version, file.name))
        return True


def _run(cur: cursor, file: Traversable) -> None:
    text = file.read_text(encoding="utf-8")
    try:
        cur.execute(text)
    except Error as error:
        place = error.diag.statement_position
        line = "" if place is None else f", line {text.count(chr(10), 0, int(place) - 1) + 1}"
        error.add_note(f"{file.name}{line}")
        raise


def _one(cur: cursor) -> object:
    row = cur.fetchone()
    return row[0] if row else None
