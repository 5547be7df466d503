"""Opening connections in the background, and knowing whether the database is down.

Every attempt runs on a thread of its own that holds a reserved place. When attempts fail, one of them goes on
as the probe: it tries again, with growing pauses, until a connection opens or nobody needs one.
"""

import logging
import os
import random
import re
import threading
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

import psycopg2
from psycopg2 import extensions

from swagger_server.pool import interrupting
from swagger_server.pool.budget import Share, Unlimited
from swagger_server.pool.ledger import Lease
from swagger_server.pool.options import PoolOptions
from swagger_server.pool.session import NotingConnection, noting_connection
from swagger_server.pool.slots import Slot, Slots
from swagger_server.pool.stats import Counters
from swagger_server.pool.workers import Workers

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.1
"""Seconds between two attempts while somebody asks: a server that is back is found within this time."""
LONGEST_PAUSE_UNASKED = 5.0
LONGEST_PAUSE_LIMITED = 1.0
"""While connections work and only further ones are refused, there is no hurry."""
ASKED_LATELY = 5.0
FRESH = 0.25
"""Seconds for which a failed attempt counts as knowledge that the database is down."""

DEFAULTS = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Connection parameters where the caller names none: a silent server or network is noticed within a minute.
"""

# A failed connect carries no SQLSTATE in psycopg2, so 53300 is known by its English texts.
_TOO_MANY = re.compile(r"too many (connections|clients)|remaining connection slots", re.IGNORECASE)

logger = logging.getLogger("swagger_server.pool")


class Connector:
    """Opens one connection. Takes the arguments of psycopg2.connect; refuses unknown ones at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = _named(*args, **kwargs)
        self._factory = noting_connection(given.pop("connection_factory"))
        self._cursor_factory = given.pop("cursor_factory")
        self._dsn = extensions.make_dsn(**given)
        known = extensions.parse_dsn(self._dsn)
        self._wants_writes = known.get("target_session_attrs") == "read-write"
        self._defaults = {key: value for key, value in DEFAULTS.items() if key not in known}
        if "PGCONNECT_TIMEOUT" in os.environ:
            self._defaults.pop("connect_timeout", None)

    def connect(self) -> Any:
        """A new connection. Blocks for at most connect_timeout per address."""
        conn: Any = psycopg2.connect(
            self._dsn, connection_factory=self._factory, cursor_factory=self._cursor_factory, **self._defaults
        )
        if isinstance(conn, NotingConnection):
            conn.remember_home()
            conn.wants_writes = self._wants_writes
        return conn


def _named(
    dsn: str | None = None, connection_factory: Any = None, cursor_factory: Any = None, **kwargs: Any
) -> dict[str, Any]:
    """The arguments of psycopg2.connect by their names."""
    return {"dsn": dsn, "connection_factory": connection_factory, "cursor_factory": cursor_factory, **kwargs}


class Outage:
    """Whether the database is down, since when, and how old that knowledge is."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.since: float | None = None
        self.reason = ""
        self._failed_at = 0.0
        self._trying_since: float | None = None
        self._is_standstill = False

    def attempt_begins(self) -> float:
        self._trying_since = monotonic()
        return self._trying_since

    def attempt_failed(self, begun: float, error: Exception, any_alive: bool) -> None:
        self.reason = _one_line(error)
        self._failed_at = monotonic()
        self._trying_since = None
        # Where it stands still, sockets tell nothing: its sessions look alive.
        if self.is_limit() or (any_alive and not self._is_standstill):
            self.since, self._is_standstill = None, False
        elif self.since is None:
            self.since = begun

    def stands_still(self) -> bool:
        """The server does not answer: it counts as down from now on. Whether that is news."""
        self._failed_at = monotonic()
        is_new, self._is_standstill = not self._is_standstill, True
        if self.since is None:
            self.since, self.reason = self._failed_at, "the server does not answer"
        return is_new

    def stood_still(self) -> float:
        """Seconds since that was noticed; 0 when it is over, or another kind of outage."""
        return self.lasted() if self._is_standstill else 0.0

    def is_limit(self) -> bool:
        """The last attempt was refused because there are enough connections already."""
        return bool(_TOO_MANY.search(self.reason))

    def is_over(self) -> None:
        self.since = self._trying_since = None
        self._is_standstill = False

    def lasted(self) -> float:
        since = self.since
        return 0.0 if since is None else monotonic() - since

    def exceeds_grace(self) -> bool:
        return self.since is not None and self.lasted() >= self._grace

    def is_certain(self) -> bool:
        """Down for longer than the grace, by fresh knowledge: an attempt just failed, or hangs."""
        now = monotonic()
        just_failed = now - self._failed_at < FRESH
        hangs = self._trying_since is not None and now - self._trying_since >= FRESH
        return (just_failed or hangs) and self.exceeds_grace()


def _close(conn: Any, slot: Slot | None) -> None:
    """Now: a slot and its tether hold each other, so that the session would last until garbage is collected."""
    if conn is not None:
        with suppress(Exception):  # as said of factories
            conn.close()
    if slot is not None:
        slot.handle.close()
        slot.conn = slot.lease = slot.tether = None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Pauses:
    """The pauses between attempts: doubled each time, with jitter, up to a cap that depends on who waits."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._due = 0.0
        self._asked_at = monotonic()
        self._limited = False
        self._wake = threading.Event()

    def attempt_failed(self, limited: bool) -> None:
        self._limited = limited
        cap = LONGEST_PAUSE_LIMITED if limited else self._cap()
        self._pause = min(self._pause, cap)
        self._due = monotonic() + self._pause * random.uniform(0.5, 1.0)
        self._pause *= 2

    def _cap(self) -> float:
        return LONGEST_PAUSE if monotonic() - self._asked_at < ASKED_LATELY else LONGEST_PAUSE_UNASKED

    def attempt_succeeded(self) -> None:
        self._pause, self._due = FIRST_PAUSE, 0.0

    def somebody_asks(self) -> None:
        """Shorten a pause that was made long because nobody had asked."""
        self._asked_at = monotonic()
        if self._due - self._asked_at > LONGEST_PAUSE and not self._limited:
            self.end()

    def end(self) -> None:
        self._due = 0.0
        self._wake.set()

    def wait(self) -> None:
        while (rest := self._due - monotonic()) > 0:
            self._wake.wait(rest)
            self._wake.clear()


class Admitting(Protocol):
    """What an opener needs of its pool."""

    options: PoolOptions

    def make_slot(self, conn: Any, lease: Lease) -> Slot: ...
    def see_off(self, lease: Lease) -> bool: ...
    def retire(self, slot: Slot) -> None: ...
    def drain(self) -> None: ...
    def any_alive(self) -> bool: ...
    def refuse_waiters(self) -> None: ...


class Opener:
    """Opens as many connections as the slots want, and hands each to the pool."""

    def __init__(
        self,
        connector: Connector,
        slots: Slots,
        workers: Workers,
        counters: Counters,
        share: Share | Unlimited,
        pool: Admitting,
    ) -> None:
        self.outage = Outage(pool.options.outage_grace)
        self.settled = threading.Event()
        """Set once minconn connections are open, or an attempt has failed, or there is no share of the budget."""
        self._connector = connector
        self._slots = slots
        self._workers = workers
        self._counters = counters
        self._share = share
        self._pool = pool
        self._pauses = Pauses()

    def open_wanted(self, patience: float = float("inf")) -> None:
        """Start as many attempts as are wanted now. Returns at once."""
        for _ in range(self._slots.reserve(patience, is_down=self.outage.since is not None)):
            self._workers.run(self._open)

    def somebody_asks(self) -> None:
        """A caller found no idle connection."""
        self._pauses.somebody_asks()
        self.open_wanted()

    def connection_lost(self) -> None:
        """A probe that only waits for a further connection must not rest while one is missing."""
        if self.outage.since is None:
            self._pauses.end()

    def stop(self) -> None:
        """Wake a probe that pauses, so that it sees that the slots are closed."""
        self._pauses.end()
        self.settled.set()

    def _open(self) -> None:
        """Fill the reserved place, or give it up, whatever happens: a probe that just ended would stop all others."""
        is_probe = False
        lease: Lease | None = None
        slot: Slot | None = None
        try:
            while slot is None and not self._slots.closed:
                self._pauses.wait()
                lease = self._share.take(is_urgent=bool(self._slots.waiters))
                if is_probe:
                    self._slots.begging = lease is None
                slot = None if lease is None else self._attempt(lease)
                if slot is None:
                    is_probe = is_probe or self._slots.become_probe()
                    if not is_probe or not self._is_worth_trying(lease):
                        break
                    self._slots.begging = lease is None
                    if lease is None:
                        self._share.pause()
        except BaseException:
            self._give_up(is_probe)
            raise
        if slot is None:
            self._stop_trying(is_probe, is_short=lease is None)
        else:
            self._opened(slot)

    def _give_up(self, is_probe: bool) -> None:
        if is_probe:
            self._share.rest()
        self._slots.give_up_reservation(is_probe)

    def _stop_trying(self, is_probe: bool, is_short: bool) -> None:
        self._give_up(is_probe)
        # Somebody may have joined the queue just now, and relied on the probe. For minconn alone nobody begs for a
        # share: the housekeeper asks again.
        if self._slots.waiters or not is_short:
            self.open_wanted()

    def _attempt(self, lease: Lease) -> Slot | None:
        conn: Any = None
        slot: Slot | None = None
        remains = lease.remains
        begun = monotonic()
        try:
            is_clear = remains is None or self._pool.see_off(lease)
            begun = self.outage.attempt_begins()
            conn = self._connector.connect()
            slot = self._pool.make_slot(conn, lease)
            self._share.opened(lease, *slot.handle.session)
            if remains is not None and not is_clear:
                interrupting.end_remains(slot.conn, remains)
            return slot
        except Exception as error:  # a factory of the caller's own may raise anything
            never_opened = isinstance(error, psycopg2.OperationalError) and lease.remains is remains is None
            _close(conn, slot)
            self._share.give_back(lease, in_order=never_opened)
            self._failed(begun, error)
            return None

    def _opened(self, slot: Slot) -> None:
        if self.outage.since is not None:
            logger.warning(
                "pool %r: the database is back after %.1f s", self._pool.options.name, self.outage.lasted()
            )
        # Longer than a statement that is merely slow takes to be told from that: what the network may have
        # forgotten meanwhile would hang once more.
        if self.outage.stood_still() >= FRESH:
            self._pool.drain()
        self.outage.is_over()
        self._pauses.attempt_succeeded()
        self._counters.add("connects")
        logger.debug("pool %r: connected", self._pool.options.name)
        if not self._slots.fill(slot):
            self._pool.retire(slot)
        if self._slots.size - self._slots.opening >= self._slots.minconn:
            self.settled.set()
        self.open_wanted()

    def _failed(self, begun: float, error: Exception) -> None:
        self._counters.add("connect_failures")
        was_down = self.outage.since is not None
        self.outage.attempt_failed(begun, error, self._pool.any_alive())
        is_down = self.outage.since is not None
        log = logger.warning if is_down and not was_down else logger.debug
        log("pool %r: cannot connect: %s", self._pool.options.name, self.outage.reason)
        self._pauses.attempt_failed(limited=self.outage.is_limit() and not is_down)
        if self.outage.exceeds_grace():
            self._pool.refuse_waiters()
        self.settled.set()

    def _is_worth_trying(self, lease: Lease | None) -> bool:
        if lease is None:
            self.settled.set()
            return bool(self._slots.waiters)
        if self.outage.since is not None:
            return True
        return bool(self._slots.waiters) or self._slots.size - self._slots.opening < self._slots.minconn
