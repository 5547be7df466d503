"""The pool's own errors: what can go wrong when a connection is asked for.

All are `psycopg2.pool.PoolError`s, so that code written for psycopg2's pools catches them unchanged.
"""

from psycopg2.pool import PoolError


class PoolTimeout(PoolError):
    """No connection became free within the timeout; the database itself is not known to be down."""


class PoolClosed(PoolError):
    """The pool was closed, before or while the caller waited."""


class PoolUnavailable(PoolError):
    """The database is known to be down for longer than the pool's grace."""


class PoolFull(PoolError):
    """As many callers wait already as the pool lets wait."""


__all__ = ["PoolClosed", "PoolError", "PoolFull", "PoolTimeout", "PoolUnavailable"]
