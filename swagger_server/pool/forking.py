"""A pool that was made before a fork: in the child it starts anew, and leaves the parent's sessions alone."""

import contextlib
import os
import weakref
from typing import Any, Protocol

import psycopg2


class Renewable(Protocol):
    def start_anew(self) -> None: ...


_pools: "weakref.WeakSet[Any]" = weakref.WeakSet()


def renew_after_fork(pool: Renewable) -> None:
    """Have `pool.start_anew()` called in every process that is forked from now on."""
    _pools.add(pool)


def _renew_all() -> None:
    for pool in tuple(_pools):
        pool.start_anew()


def disarm(conn: Any) -> None:
    """Take the parent's socket away from a connection that was inherited, without a word to the server.

    Afterwards neither closing the object nor using it can reach the parent's session.
    """
    with contextlib.suppress(psycopg2.Error, OSError):
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(nothing, conn.fileno(), inheritable=False)
        finally:
            os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
