"""Flask that connects anew for each request, as Flask's tutorial does."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import connection

from benchmarks.peers.database import libpq_arguments
from benchmarks.peers.flask_app import create


@contextmanager
def borrow() -> Iterator[connection]:
    """A new connection."""
    with closing(psycopg2.connect(**libpq_arguments())) as conn:
        conn.autocommit = True
        yield conn


app = create(borrow)
