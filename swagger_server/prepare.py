"""The databases as they must be before the service starts: how each is reached, the embedded one filled.

Somebody's own database is never touched: its schema is its owner's (`python -m swagger_server migrate`).
"""

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from swagger_server import sample, schema
from swagger_server.config import Settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.embedded import EmbeddedError, ensure_running

# Any number but those of the migrations and of the loading, which lock for themselves within this one.
_FILL_LOCK = 7_221_300_553
_LOCK_SQL = "SELECT pg_try_advisory_xact_lock(%s)"
_LOCK_POLL = 0.05  # seconds


def prepare(settings: Settings, workers: int = 1, *, with_places: bool = True) -> dict[str, dict[str, Any]]:
    """Arguments for psycopg2.connect by the name of the database; "default" is always there.

    Where the settings name no default database the embedded one is started or joined, migrated, and filled
    with the places when it has none: seconds at the first time, milliseconds later. Without `with_places` it gets
    the service's own tables alone. Any number of processes may do so at once. An embedded server that is started
    here has room for so many workers, one that runs already is left as it is. Raises EmbeddedError. Connects to no
    other database.
    """
    named = {name: database.connect_kwargs() for name, database in settings.databases.items()}
    if not settings.uses_embedded:
        return named
    return {DEFAULT_DATABASE: prepare_embedded(settings, workers, with_places=with_places), **named}


def prepare_embedded(settings: Settings, workers: int = 1, *, with_places: bool = True) -> dict[str, Any]:
    """Start or join the embedded server, fill it if need be, and return its connect arguments."""
    needed = settings.pool.budget or workers * settings.pool.max
    arguments = ensure_running(settings.embedded.data, needed).connect_kwargs
    try:
        with closing(psycopg2.connect(**arguments)) as conn:
            if not _is_filled(conn, with_places):
                _fill(conn, arguments, with_places)
    except (psycopg2.Error, sample.SampleError) as error:
        reason = " ".join(str(error).split())
        raise EmbeddedError(f"The embedded database cannot be filled: {reason}") from error
    return dict(arguments)


def _is_filled(conn: connection, with_places: bool) -> bool:
    folders = schema.FOLDERS if with_places else (schema.SERVICE,)
    filled = schema.current_version(conn, *folders) >= schema.newest_version(*folders)
    filled = filled and (sample.is_loaded(conn) or not with_places)
    conn.rollback()  # both only read; who goes on must not be in a transaction
    return filled


def _fill(conn: connection, arguments: dict[str, Any], with_places: bool) -> None:
    """Migrate and load; whoever waited for the lock finds the work done and does nothing."""
    with fill_lock(arguments):
        if not with_places:
            schema.migrate(conn, schema.SERVICE)
            return
        schema.migrate(conn)
        if not _is_filled(conn, with_places):
            sample.load_places(conn, progress=sys.stderr.isatty())


@contextmanager
def fill_lock(arguments: dict[str, Any]) -> Iterator[None]:
    """Hold the database's lock on filling it within the block; waits for as long as another process has it.

    The lock is that of a transaction on a connection of its own, and so lasts behind PgBouncer too. It is asked
    for again and again, since Ctrl-C cannot end a query that waits in the server.
    """
    with closing(psycopg2.connect(**arguments)) as holder:
        while not _has_lock(holder):
            holder.rollback()
            time.sleep(_LOCK_POLL)
        yield


def _has_lock(holder: connection) -> bool:
    with holder.cursor() as cur:
        cur.execute(_LOCK_SQL, (_FILL_LOCK,))
        return cur.fetchone() == (True,)
