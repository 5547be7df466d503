"""A connection pool for psycopg2: framework-free, and usable on its own.

    from swagger_server.pool import ConnectionPool, PoolOptions

    pool = ConnectionPool(1, 20, host="...", dbname="...", options=PoolOptions(timeout=2))
    with pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT 1")

Imports nothing but the standard library and psycopg2.
"""

from swagger_server.pool.errors import PoolClosed, PoolError, PoolFull, PoolTimeout, PoolUnavailable
from swagger_server.pool.ledger import Budget
from swagger_server.pool.options import PoolOptions
from swagger_server.pool.pool import ConnectionPool
from swagger_server.pool.snapshot import Place, Waiting
from swagger_server.pool.stats import PoolStats

__all__ = [
    "Budget",
    "ConnectionPool",
    "Place",
    "PoolClosed",
    "PoolError",
    "PoolFull",
    "PoolOptions",
    "PoolStats",
    "PoolTimeout",
    "PoolUnavailable",
    "Waiting",
]
