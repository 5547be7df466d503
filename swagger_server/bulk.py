"""How many imports, and how many exports, there are at once: each has a connection for as long as it lasts.

Asked before a connection is taken, so that those who are refused cost none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app

from swagger_server import db
from swagger_server.serving import Turns

PER_OWNER = "SWAGGER_SERVER_BULK_PER_OWNER"
"""The app's setting: how many of each there may be of one owner in a worker; 0: as many as of all."""

_SHARE = 4
"""Of a worker's connections one in so many may be imports', and one exports'."""


@contextmanager
def turn(turns: Turns, owner: str) -> Iterator[None]:
    """Have this be one of those under way; NoTurn where there are enough of them."""
    end = turns.take(owner, max(1, _connections() // _SHARE), current_app.config.get(PER_OWNER, 0))
    try:
        yield
    finally:
        end()


def _connections() -> int:
    """As many as the worker has at most."""
    pool = db.databases(current_app)["default"].open()
    budget = pool.options.budget
    return pool.maxconn if budget is None else min(pool.maxconn, budget.size)
