"""Flask on threads with psycopg2's pool, which keeps all of its connections: as many as there are threads."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import connection
from psycopg2.pool import ThreadedConnectionPool

from benchmarks.peers.database import POOL_SIZE, libpq_arguments
from benchmarks.peers.flask_app import create

pool = ThreadedConnectionPool(POOL_SIZE, POOL_SIZE, **libpq_arguments())


@contextmanager
def borrow() -> Iterator[connection]:
    """A connection of the pool."""
    conn = pool.getconn()
    try:
        if not conn.autocommit:
            conn.autocommit = True
        yield conn
    finally:
        pool.putconn(conn)


app = create(borrow)
