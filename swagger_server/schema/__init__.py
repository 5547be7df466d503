"""The database schema as numbered SQL files, and what applies them.

Owns the table schema_migration. Knows nothing of the places: `0001_places.sql` is one file like any other.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

from psycopg2.extensions import connection, cursor

_FOLDER: Traversable = files(__name__)
# Any number will do, as long as every version of this module uses the same.
_LOCK = 7_221_300_551

_LOCK_SQL = "SELECT pg_advisory_xact_lock(%s)"
_TABLE_SQL = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""
_TABLE_EXISTS_SQL = "SELECT to_regclass('schema_migration') IS NOT NULL"
_VERSION_SQL = "SELECT coalesce(max(version), 0) FROM schema_migration"
_APPLIED_SQL = "SELECT EXISTS (SELECT FROM schema_migration WHERE version = %s)"
_RECORD_SQL = "INSERT INTO schema_migration (version, name) VALUES (%s, %s)"


def _migrations(folder: Traversable) -> list[Traversable]:
    return sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)


def _version(file: Traversable) -> int:
    return int(file.name.split("_", 1)[0])


SCHEMA_VERSION: int = max(map(_version, _migrations(_FOLDER)))
"""The number of the newest file: what `current_version` returns after `migrate`."""


def migrate(conn: connection, folder: Traversable = _FOLDER) -> list[str]:
    """Apply the files of `folder` that this database lacks, in order, and return their names.

    Each file runs in a transaction of its own: one that fails leaves nothing of itself and raises psycopg2's
    error. Two that run at the same time are safe: the second waits, and then finds the work done. `conn` must
    not be in a transaction.
    """
    return [file.name for file in _migrations(folder) if _apply(conn, file)]


def current_version(conn: connection) -> int:
    """The number of the newest file applied to this database; 0 when there is none."""
    with conn.cursor() as cur:
        cur.execute(_TABLE_EXISTS_SQL)
        if not _one(cur):
            return 0
        cur.execute(_VERSION_SQL)
        return int(str(_one(cur)))


def _apply(conn: connection, file: Traversable) -> bool:
    with conn, conn.cursor() as cur:
        # Until the commit: who waits here sees, once it is let in, what the other one has applied.
        cur.execute(_LOCK_SQL, (_LOCK,))
        cur.execute(_TABLE_SQL)
        cur.execute(_APPLIED_SQL, (_version(file),))
        if _one(cur):
            return False
        cur.execute(file.read_text(encoding="utf-8"))
        cur.execute(_RECORD_SQL, (_version(file), file.name))
        return True


def _one(cur: cursor) -> object:
    row = cur.fetchone()
    return row[0] if row else None
