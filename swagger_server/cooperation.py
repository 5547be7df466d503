"""psycopg2 under gevent: without a wait callback a query would stop every greenlet of the worker."""

import sys


def cooperate_with_gevent() -> None:
    """Make psycopg2 yield to other greenlets while it waits, in a process that gevent has patched."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        from psycogreen.gevent import patch_psycopg

        patch_psycopg()
