"""The pool's own thread: notices what no caller will tell. It never connects and never waits for the server.

Looks after connections that were dropped, that run a statement for too long, that are held too long, that
hang in cleaning, and that are idle for too long or too old; after callers who wait for a connect that hangs; and
after other processes who wait for a share of the budget.
"""

import contextlib
import logging
import queue
import threading
import weakref
from time import monotonic
from typing import Any, Protocol

from swagger_server.pool.budget import LOOK
from swagger_server.pool.options import PoolOptions
from swagger_server.pool.slots import Slot, Slots, Tether
from swagger_server.pool.stack import describe
from swagger_server.pool.stats import Counters

LONGEST_NAP = 1.0
CLEANING_LIMIT = 5.0
"""Seconds for the round trips of cleaning; a server that doesn't answer within it loses the connection."""

PATIENCE = 1.0
"""Seconds after which a caller who still waits gets a further connection opened, if there is room."""

logger = logging.getLogger("swagger_server.pool")


class Discarding(Protocol):
    """What a housekeeper needs of its pool."""

    options: PoolOptions

    def forget(self, slot: Slot) -> None: ...
    def retire(self, slot: Slot) -> None: ...
    def help_waiters(self, patience: float) -> None: ...
    def stands_still(self) -> None: ...
    def stood_still(self) -> float: ...
    def give_to_others(self) -> None: ...


class Housekeeper:
    """The chores of one pool, and the thread that does them again and again while the pool lives."""

    def __init__(self, slots: Slots, counters: Counters, pool: Discarding) -> None:
        # from the module each time: --preload imports it before gevent replaces what is in it
        self.dropped: queue.SimpleQueue[Tether | None] = queue.SimpleQueue()
        """Tethers of dropped connections; anything else only wakes the thread."""
        self._slots = slots
        self._counters = counters
        self._pool = pool
        self._options = pool.options
        self._nap = _length_of_nap(pool.options)
        self._due = 0.0

    def start(self) -> None:
        name = f"pool-{self._options.name}-housekeeper"
        threading.Thread(
            target=_keep_house, args=(weakref.ref(self), self.dropped), name=name, daemon=True
        ).start()

    def stop(self) -> None:
        self.dropped.put(None)

    def do_chores(self) -> float | None:
        """Do what is due. Gives the seconds until the next time, or None when the pool is closed."""
        if self._slots.closed:
            return None
        self._slots.sum_up()
        now = monotonic()
        if self._options.budget is None:
            self._do_all(now)
            return self._nap
        try:
            self._pool.give_to_others()
        finally:
            if now >= self._due:
                self._due = now + self._nap
                self._do_all(now)
        return min(self._nap, LOOK)

    def _do_all(self, now: float) -> None:
        self._cut_overdue(now)
        self._report_held(now)
        self._retire_idle(now)
        self._pool.help_waiters(PATIENCE)

    def reclaim_dropped(self) -> None:
        """Free the places of connections that were dropped without putconn."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.reclaim(self.dropped.get_nowait())

    def reclaim(self, tether: Tether | None) -> None:
        if tether is None or self._slots.closed:
            return
        slot = tether.slot
        self._counters.add("leaked")
        logger.warning(
            "pool %r: a connection was dropped without putconn; borrowed at\n%s",
            self._options.name,
            describe(slot.stack),
        )
        self._pool.forget(slot)

    def _cut_overdue(self, now: float) -> None:
        for slot in self._slots.all_cleaning():
            if now - slot.since > CLEANING_LIMIT:
                slot.handle.cut()
        if self._options.query_timeout or self._options.brief_timeout:
            for slot in self._slots.all_lent():
                self._cut_if_overdue(slot, now)

    def _cut_if_overdue(self, slot: Slot, now: float) -> None:
        conn = slot.find_conn()
        busy_since: float = getattr(conn, "busy_since", 0.0)
        limit = self._limit(conn) if busy_since else 0.0
        overdue = limit and now - busy_since > limit
        if not overdue:
            return
        if not conn.overdue:
            # Noted first: the borrower's error comes as soon as the connection is cut.
            conn.overdue = True
            if self._options.brief_timeout:
                self._pool.stands_still()
        slot.handle.cut(lambda: self._tell_of_cut(slot, limit))

    def _tell_of_cut(self, slot: Slot, limit: float) -> None:
        self._counters.add("cut")
        logger.warning(
            "pool %r: cut a connection whose statement ran longer than %g s; borrowed at\n%s",
            self._options.name,
            limit,
            describe(slot.stack),
        )

    def _limit(self, conn: Any) -> float:
        """Seconds that what runs on this connection may take; 0 for no limit."""
        brief = self._options.brief_timeout
        # Where no connection has opened either since the last cut, nothing that runs will be answered.
        if brief and (conn.is_brief or self._pool.stood_still() > brief):
            return brief
        return self._options.query_timeout

    def _report_held(self, now: float) -> None:
        if not self._options.leak_after:
            return
        for slot in self._slots.all_lent():
            held = now - slot.since
            if held > self._options.leak_after and not slot.reported:
                slot.reported = True
                self._counters.add("held_too_long")
                logger.warning(
                    "pool %r: a connection has been held for %.1f s; borrowed at\n%s",
                    self._options.name,
                    held,
                    describe(slot.stack),
                )

    def _retire_idle(self, now: float) -> None:
        max_idle = self._options.max_idle or float("inf")
        picked = self._slots.pick_idle(lambda slot: now - slot.since > max_idle, keep=self._slots.minconn)
        picked += self._slots.pick_idle(lambda slot: slot.expires <= now)
        for slot in picked:
            self._pool.retire(slot)


def _length_of_nap(options: PoolOptions) -> float:
    """Short enough that every limit is kept within a tenth of itself, and within a second."""
    timeouts = (options.query_timeout, options.brief_timeout)
    limits = (*timeouts, options.leak_after, options.max_idle, options.max_lifetime)
    return max(0.01, min([LONGEST_NAP, *(limit / 10 for limit in limits if limit)]))


def _keep_house(find: "weakref.ref[Housekeeper]", dropped: "queue.SimpleQueue[Tether | None]") -> None:
    """The thread. While it naps it holds only weak references, so that a forgotten pool can go."""
    nap: float | None = 0.0
    while nap is not None:
        nap = _one_round(find, _next_dropped(dropped, nap))


def _next_dropped(dropped: "queue.SimpleQueue[Tether | None]", nap: float) -> Tether | None:
    try:
        return dropped.get(timeout=nap)
    except queue.Empty:
        return None


def _one_round(find: "weakref.ref[Housekeeper]", tether: Tether | None) -> float | None:
    housekeeper = find()
    if housekeeper is None:
        return None
    try:
        housekeeper.reclaim(tether)
        return housekeeper.do_chores()
    except Exception:
        logger.exception("the housekeeping of a pool failed")
        return LONGEST_NAP
