"""The pool: lends connections, takes them back, and ties the parts together.

The way of a connection: opened in the background (opening), held in a place (slots), checked when it is lent
(checking), noted while it is used (session), cleaned in the background when it needs it (resetting), watched
all the time (housekeeping). A caller's thread does no I/O but for closing; nobody does any under the lock.
"""

import logging
import random
import time
import weakref
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import psycopg2
from psycopg2 import extensions

from swagger_server.pool import forking, interrupting, resetting
from swagger_server.pool.budget import ENDING, GRACE, share_of
from swagger_server.pool.checking import Handle, survives_reading
from swagger_server.pool.errors import PoolClosed, PoolError, PoolFull, PoolTimeout, PoolUnavailable
from swagger_server.pool.housekeeping import Housekeeper
from swagger_server.pool.ledger import Lease
from swagger_server.pool.opening import Connector, Opener
from swagger_server.pool.options import PoolOptions, check_size
from swagger_server.pool.session import NotingConnection
from swagger_server.pool.slots import Slot, Slots, Waiter
from swagger_server.pool.snapshot import Place, Waiting
from swagger_server.pool.stack import note_stack
from swagger_server.pool.stats import Counters, PoolStats
from swagger_server.pool.workers import Workers

FIRST_WAIT = 2.0
"""Seconds that the constructor waits for the first minconn connections."""

DEMOTED_PAUSE = 5.0
"""Seconds until all connections are replaced again because of a server that was read-only from the beginning."""

LAST_WAIT = 0.2
"""Seconds that closeall waits for the server to end its sessions, where they count in a budget."""

logger = logging.getLogger("swagger_server.pool")


class ConnectionPool:
    """A pool of psycopg2 connections for many threads; takes the place of psycopg2's ThreadedConnectionPool.

    Opens `minconn` connections and grows to at most `maxconn`; the further arguments are those of
    psycopg2.connect. A database that is down neither raises nor hangs here: it is tried again in the
    background. Sizes, options and connection parameters that cannot be right raise at once (ValueError,
    psycopg2.ProgrammingError).
    """

    def __init__(
        self,
        minconn: int,
        maxconn: int,
        *connect_args: Any,
        options: PoolOptions = PoolOptions(),  # noqa: B008 - frozen
        **connect_kwargs: Any,
    ) -> None:
        self.minconn = int(minconn)
        self.maxconn = int(maxconn)
        check_size(self.minconn, self.maxconn)
        self.options = options
        self.closed = False
        self._demoted_at = float("-inf")
        self._cleans_changed = options.reset == "smart"
        self._cleans_always = options.reset == "always"
        self._connector = Connector(*connect_args, **connect_kwargs)
        self._inherited: weakref.WeakSet[Any] = weakref.WeakSet()
        self._set_up()
        forking.renew_after_fork(self)
        if self.minconn:
            self._start()
            try:
                self._opener.settled.wait(FIRST_WAIT)
            except BaseException:
                self.closeall()  # interrupted: nobody has this pool, who could
                raise

    def __repr__(self) -> str:
        return f"<ConnectionPool {self.options.name!r}: {self._numbers()}>"

    # Lending

    def getconn(
        self, key: Hashable | None = None, timeout: float | None = None, *, autocommit: bool | None = None
    ) -> extensions.connection:
        """Lend a live connection; asking again with the same key gives the same one.

        It is in autocommit as asked for, or as it was opened when None. Waits for at most `timeout` seconds
        (`options.timeout` when None, not at all when 0). Raises PoolTimeout, PoolUnavailable while the
        database is down, PoolFull when too many wait, PoolClosed.
        """
        if key is not None:
            return self._lend_under(key, timeout, autocommit)
        slot = self._slots.take()
        if slot is None or slot.readable(0):
            slot = self._get_slowly(slot, timeout)
        try:
            return _lend(slot, autocommit)
        except BaseException:
            self._lose(slot)
            raise

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[extensions.connection]:
        """Lend a connection for a block: commits at its end, or rolls back on an exception.

        Always gives it back. Waits and raises like `getconn`; a failing commit raises, too.
        """
        conn = self.getconn(timeout=timeout)
        try:
            yield conn
            conn.commit()
        except BaseException:
            _roll_back_if_possible(conn)
            raise
        finally:
            with suppress(PoolClosed):  # then there is nothing to give back, and the block's outcome stands
                self.putconn(conn)

    def _lend_under(
        self, key: Hashable, timeout: float | None, autocommit: bool | None
    ) -> extensions.connection:
        held = self._slots.held_under(key)
        if held is not None:
            return held  # type: ignore[no-any-return]
        slot = self._slots.take()
        if slot is None or slot.readable(0):
            slot = self._get_slowly(slot, timeout)
        faster = self._slots.bind(slot, key)
        if faster is None:
            try:
                return _lend(slot, autocommit, keep=True)
            except BaseException:
                self._lose(slot)
                raise
        self.putconn(slot.conn)
        return faster  # type: ignore[no-any-return]

    def _get_slowly(self, slot: Slot | None, timeout: float | None) -> Slot:
        """A live slot, when none was idle or the one that was needs a closer look."""
        begun = monotonic()
        patience = self.options.timeout if timeout is None else timeout
        try:
            while slot is None or not self._is_alive(slot):
                slot = self._queue_up(begun + patience, patience, first=slot is not None)
            return slot
        finally:
            self._counters.add_wait(monotonic() - begun)

    def _queue_up(self, deadline: float, patience: float, first: bool) -> Slot:
        self._start()
        self._housekeeper.reclaim_dropped()
        self._refuse_if_down()
        waiter = Waiter()
        if not self._slots.take_or_wait(waiter, first):
            raise self._closed_or_full()
        if waiter.slot is None:
            self._opener.somebody_asks()
            self._sleep(waiter, deadline)
        if waiter.error is not None:
            raise waiter.error
        if waiter.slot is None:
            raise self._no_connection(patience)
        return waiter.slot

    def _sleep(self, waiter: Waiter, deadline: float) -> None:
        try:
            waiter.sleep(deadline - monotonic())
            self._slots.leave_queue(waiter)
        except BaseException:
            # Interrupted: a signal, or a greenlet that is killed. What it was given must not be lost.
            self._slots.leave_queue(waiter)
            if waiter.slot is not None:
                self.putconn(waiter.slot.conn)
            raise

    def _refuse_if_down(self) -> None:
        if not self._slots.idle and self._opener.outage.is_certain():
            self._opener.somebody_asks()
            self._counters.add("unavailable")
            raise self._unavailable()

    def _is_alive(self, slot: Slot) -> bool:
        if not slot.readable(0) or survives_reading(slot.conn, slot.readable):
            return True
        self._lose(slot)
        self._sweep()
        return False

    # Taking back

    def putconn(self, conn: Any = None, key: Hashable | None = None, close: bool = False) -> None:
        """Give a connection back, or the one lent under `key`; `close` closes it.

        Never waits: an open transaction is rolled back, and a changed session cleaned, in the background.
        Raises PoolError for a connection that is not lent, PoolClosed (after closing it) when the pool is
        closed.
        """
        if conn is None:
            conn = self._slots.held_under(key)
        try:
            if (
                close
                or self._cleans_always
                or not isinstance(conn, NotingConnection)
                or not conn.put_back(self._cleans_changed)
            ):
                self._put_slowly(conn, close)
            elif outdated := self._slots.take_back(conn, monotonic()):
                self.retire(outdated)
        except KeyError:
            self._refuse_unknown(conn)

    def _put_slowly(self, conn: Any, close: bool) -> None:
        slot = self._slots.set_apart(conn, monotonic())
        if close:
            self.retire(slot)
        elif conn.closed:
            self._lose(slot)
        else:
            self._workers.run(lambda: self._clean(slot))

    def _clean(self, slot: Slot) -> None:
        conn = slot.conn
        changed = not isinstance(conn, NotingConnection) or conn.was_changed()
        thorough = self._cleans_always or (self._cleans_changed and changed)
        outcome = resetting.make_ready(conn, thorough, may_refuse_writes=self.options.read_only)
        if outcome == "demoted":
            self._give_up_demoted(slot)
        elif outcome == "broken":
            self._lose(slot)
        elif slot.expires <= monotonic():
            self.retire(slot)
        else:
            self._counters.add("cleaned")
            self._readmit(slot)

    def _give_up_demoted(self, slot: Slot) -> None:
        """Replace this connection and, since theirs is the same server, all others: the next may reach another.

        Where it is still the same one, the others are let alone for a while: they are good for reading.
        """
        logger.warning(
            "pool %r: the server has become read-only; its connections are replaced", self.options.name
        )
        was_demoted, now = not getattr(slot.conn, "home_read_only", False), monotonic()
        self._counters.add("demoted")
        self._discard(slot, replace=True)
        if was_demoted or now - self._demoted_at > DEMOTED_PAUSE:
            self._demoted_at = now
            self._replace_all("demoted")

    def _refuse_unknown(self, conn: Any) -> None:
        if self._slots.closed:
            if conn is not None:
                conn.close()
            raise self._closed()
        if conn not in self._inherited:
            raise PoolError(f"pool {self.options.name!r}: trying to put unkeyed connection")

    # Emptying places

    def retire(self, slot: Slot) -> None:
        """Close a connection that is no longer wanted."""
        logger.debug("pool %r: a connection is retired", self.options.name)
        self._counters.add("retired")
        self._discard(slot)

    def _lose(self, slot: Slot) -> None:
        """Give up a connection that turned out to be dead, and replace it."""
        logger.debug("pool %r: a connection is lost", self.options.name)
        self._counters.add("lost")
        self._opener.connection_lost()
        self._discard(slot, replace=True)

    def _discard(self, slot: Slot, replace: bool = False) -> None:
        # Closed before its place is free, so that the server never sees more than maxconn sessions.
        if slot.conn is not None:
            slot.conn.close()
        self._let_go(slot)
        self._slots.drop(slot, replace)
        self._opener.open_wanted()

    def _let_go(self, slot: Slot) -> None:
        """Of a closed connection: the socket, and its share of the budget once the server has ended the session."""
        lease, slot.lease = slot.lease, None
        if lease is None:
            slot.handle.close()
        elif slot.handle.has_ended(0):
            self._return_share(slot.handle, lease, 0)
        else:
            self._share.ends(lease)
            self._workers.run(lambda: self._return_share(slot.handle, lease, ENDING))

    def _return_share(self, handle: Handle, lease: Lease, patience: float) -> None:
        has_ended = handle.has_ended(patience)
        handle.close()
        self._share.give_back(lease, in_order=has_ended)

    def _readmit(self, slot: Slot) -> None:
        slot.since = monotonic()
        if not self._slots.readmit(slot):
            self._discard(slot)

    def _sweep(self) -> None:
        """Take every idle connection out that has died."""
        for slot in self._slots.pick_idle(lambda slot: slot.handle.may_be_dead()):
            if survives_reading(slot.conn, slot.readable):
                self._readmit(slot)
            else:
                self._lose(slot)

    def drain(self) -> None:
        """Replace every connection: idle ones now, lent ones when they come back. Returns at once."""
        self._replace_all("retired")

    def _replace_all(self, counted_as: str) -> None:
        for slot in self._slots.filled():
            slot.expires = 0.0
        for slot in self._slots.pick_idle(lambda slot: not slot.expires):
            self._counters.add(counted_as)
            self._discard(slot, replace=True)

    def closeall(self) -> None:
        """Close the pool and all its connections, lent ones included; waiting callers get PoolClosed.

        Does not wait for the borrowers: their statements fail. Closing twice raises PoolClosed.
        """
        slots = self._slots.close()
        if slots is None:
            raise self._closed()
        self.closed = True
        self._slots.refuse_waiters(self._closed)
        self._opener.stop()
        self._housekeeper.stop()
        idle, lent = slots
        for slot in lent:
            slot.handle.cut()  # else close() would wait for the borrower's statement
        for slot in (*idle, *lent):
            conn = slot.find_conn()
            if conn is not None:
                conn.close()
        end = monotonic() + LAST_WAIT
        for slot in (*idle, *lent):
            lease, slot.lease = slot.lease, None
            if lease is not None:
                self._return_share(slot.handle, lease, max(0.0, end - monotonic()))
            slot.handle.close()

    def interrupt(self, conn: Any) -> None:
        """End the statement that runs on a lent connection, from another thread. Never waits.

        Its borrower gets an OperationalError at once, even when the server stands still, and still has to
        give the connection back, which is lost. The server is told in the background.
        """
        slot = self._slots.find_lent(conn)
        if slot is not None and slot.handle.cut():
            self._workers.run(lambda: interrupting.end_session(slot.handle.session, self.connection))

    # What the opener and the housekeeper call

    def make_slot(self, conn: Any, lease: Lease) -> Slot:
        lifetime = self.options.max_lifetime * random.uniform(0.9, 1.0) or float("inf")
        slot = Slot(conn, Handle(conn), monotonic() + lifetime, self._housekeeper.dropped.put)
        if self.options.budget is not None:
            slot.lease = lease
        return slot

    def see_off(self, lease: Lease) -> bool:
        """Before a share is used whose holder died: have the server end what may be left of his session.

        Waits. False when that could not be made sure over another connection of this pool.
        """
        time.sleep(GRACE)
        if lease.remains is None or not lease.remains.pid:
            return True
        if not self._slots.filled():
            time.sleep(2 * GRACE)  # nobody to ask: better to be late than one too many
            return False
        try:
            with self.connection(timeout=10 * GRACE) as conn:
                return interrupting.end_remains(conn, lease.remains)
        except psycopg2.Error:
            return False

    def give_to_others(self) -> None:
        """Let other processes have a share of the budget, when it is their turn."""
        self._share.keep_file()
        slot = self._slots.cede(self._share.should_give(self._slots.longest_unused()))
        if slot is not None:
            logger.debug("pool %r: a connection is closed for another process", self.options.name)
            self._discard(slot)

    def any_alive(self) -> bool:
        """After a failed connect: does any connection still work, as far as its socket tells?"""
        self._sweep()
        return any(not slot.handle.has_hung_up() for slot in self._slots.filled())

    def refuse_waiters(self) -> None:
        """The database is down for too long."""
        self._counters.add("unavailable", self._slots.refuse_waiters(self._unavailable))

    def help_waiters(self, patience: float) -> None:
        """Open a further connection when somebody has waited for so many seconds."""
        self._opener.open_wanted(patience)

    def forget(self, slot: Slot) -> None:
        """Free the place of a connection that was dropped."""
        self._discard(slot)

    # Life

    def _set_up(self) -> None:
        name = self.options.name
        self._slots = Slots(self.minconn, self.maxconn, self.options.max_waiting)
        self._counters = Counters()
        self._workers = Workers(f"pool-{name}-worker")
        self._share = share_of(self.options.budget)
        self._opener = Opener(self._connector, self._slots, self._workers, self._counters, self._share, self)
        self._housekeeper = Housekeeper(self._slots, self._counters, self)

    def _start(self) -> None:
        """Start the background, once in each process and not before it is needed: a fork keeps no threads."""
        if self._slots.begin():
            self._housekeeper.start()
            self._opener.open_wanted()

    def start_anew(self) -> None:
        """In a child process: begin with nothing, and leave the parent's sessions alone."""
        for slot in self._slots.inherited():
            conn = slot.find_conn()
            slot.handle.abandon()
            if conn is not None:
                forking.disarm(conn)
                self._inherited.add(conn)
        self._set_up()
        if self.closed:
            self._slots.close()

    def is_down(self) -> bool:
        """Whether the database is known to be down. Never waits; asking has it looked for again soon."""
        if self._opener.outage.since is None:
            return False
        self._opener.somebody_asks()
        return True

    def stands_still(self) -> None:
        """The server does not answer a statement: leave it alone until a connection opens. Never waits."""
        if self._opener.outage.stands_still():
            logger.warning("pool %r: the server does not answer", self.options.name)
        self._opener.somebody_asks()

    def stood_still(self) -> float:
        """Seconds since the server was found not to answer; 0 when it is not so."""
        return self._opener.outage.stood_still()

    # Numbers

    def stats(self) -> PoolStats:
        """How the pool stands, and what it has done since its start in this process."""
        slots, outage = self._slots, self._opener.outage
        held, held_histogram = slots.sum_up()
        return PoolStats(
            name=self.options.name,
            minconn=self.minconn,
            maxconn=self.maxconn,
            **slots.numbers(),
            down=outage.since is not None,
            read_only=self.options.read_only,
            down_for=outage.lasted(),
            budget=0 if self.options.budget is None else self.options.budget.size,
            budget_used=self._share.taken_by_all(),
            ceded=slots.ceded,
            gets=slots.gets,
            wait_histogram=self._counters.wait_histogram(),
            waited=self._counters.waited,
            longest_wait=self._counters.longest_wait,
            held_histogram=held_histogram,
            held=held,
            **self._counters.counts(),
        )

    def connections(self) -> list[Place]:
        """Every connection at this moment: those in use first, the one used last first among the idle."""
        now = monotonic()
        return [Place.of(state, slot, now) for state, slot in self._slots.states()]

    def waiting(self) -> list[Waiting]:
        """Everybody who waits for a connection at this moment, the longest first."""
        now = monotonic()
        return [Waiting(now - waiter.since, waiter.context) for waiter in self._slots.queue()]

    def _numbers(self) -> str:
        """For messages: "total 3 of 20, idle 1, in use 2, ..."."""
        numbers = self._slots.numbers()
        total = numbers.pop("total")
        rest = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in numbers.items())
        return f"total {total} of {self.maxconn}, {rest}"

    def _no_connection(self, patience: float) -> PoolError:
        if self._opener.outage.since is not None:
            self._counters.add("unavailable")
            return self._unavailable()
        self._counters.add("exhausted")
        return PoolTimeout(
            f"pool {self.options.name!r}: no connection within {patience:g} s: {self._over_budget()}{self._numbers()}"
        )

    def _over_budget(self) -> str:
        budget = self.options.budget
        if budget is None or not self._share.is_short or self._share.held >= budget.size:
            return ""
        return f"the budget of {budget.size} connections is used up by other workers: "

    def _unavailable(self) -> PoolUnavailable:
        outage = self._opener.outage
        return PoolUnavailable(
            f"pool {self.options.name!r}: the database is down for {outage.lasted():.1f} s: {outage.reason}"
        )

    def _closed(self) -> PoolClosed:
        return PoolClosed(f"pool {self.options.name!r}: connection pool is closed")

    def _closed_or_full(self) -> PoolError:
        if self._slots.closed:
            return self._closed()
        self._counters.add("full")
        return PoolFull(f"pool {self.options.name!r}: too many callers wait already: {self._numbers()}")


def _lend(slot: Slot, autocommit: bool | None, keep: bool = False) -> extensions.connection:
    """Note the borrower and, unless told to keep it, let go of the connection."""
    slot.stack = note_stack()
    conn: extensions.connection = slot.conn
    if autocommit is None:
        autocommit = slot.home_autocommit
    # Here and not when it came back: the next borrower may want it as the last one did, and each change costs.
    if conn.autocommit is not autocommit:
        conn.autocommit = autocommit
    if not keep:
        slot.conn = None
    return conn


def _roll_back_if_possible(conn: extensions.connection) -> None:
    if not conn.closed:
        with suppress(psycopg2.Error):
            conn.rollback()
