"""How many imports, and how many exports, there are at once: each has a connection for as long as it lasts.

A worker has some of its own connections for each; of a budget that processes share, all of them together have as large
a part. Asked before a connection is taken, so that those who are refused cost none.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from flask import current_app

from swagger_server import db
from swagger_server.pool import Budget
from swagger_server.pool.ledger import Lease, Ledger, Want, open_ledger
from swagger_server.serving import NoTurn, Turns

log = logging.getLogger(__name__)

PER_OWNER = "SWAGGER_SERVER_BULK_PER_OWNER"
"""The app's setting: how many of each there may be of one owner in a worker; 0: as many as of all."""

_SHARE = 4
"""Of the connections one in so many may be imports', and one exports'."""


@contextmanager
def turn(turns: Turns, owner: str) -> Iterator[None]:
    """Have this be one of those under way; NoTurn where there are enough of them."""
    pool = db.databases(current_app)["default"].open()
    budget = pool.options.budget
    most = pool.maxconn if budget is None else min(pool.maxconn, budget.size)
    with ExitStack() as ends:
        ends.callback(turns.take(owner, _part(most), current_app.config.get(PER_OWNER, 0)))
        if budget is not None:
            ends.callback(_turn_among_all(budget, turns.what))
        yield


def _turn_among_all(budget: Budget, what: str) -> Callable[[], None]:
    """One of the budget's part, in a file beside its own: the system gives it back for who dies. The result ends it."""
    try:
        ledger = open_ledger(f"{budget.path}.{what}")
        ledger.follow()
        place = ledger.take(_part(budget.size), _NOBODY_BEFORE)
    except OSError as exc:
        log.warning("%s are counted by this worker alone: %s", what, exc)
        return _nothing
    if place is None:
        raise NoTurn(what, is_callers=False)
    return partial(_give_back, ledger, place)


def _give_back(ledger: Ledger, place: Lease) -> None:
    with suppress(OSError):  # then the next who comes sees that nobody holds it
        ledger.give_back(place, in_order=True)


_NOBODY_BEFORE = Want(0, 0.0)


def _part(connections: int) -> int:
    return max(1, connections // _SHARE)


def _nothing() -> None:
    """No turn was taken."""
