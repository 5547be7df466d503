"""The places of a pool: which are idle, lent, being cleaned or being filled, and who waits for one.

Knows no SQL, does no I/O and starts no thread. Every public method takes the lock for a few steps of
bookkeeping and nothing else. Two rules hold whenever the lock is free: nobody waits while a place is idle,
and there are never more than `maxconn` places.
"""

import contextvars
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any

from swagger_server.pool.checking import Handle
from swagger_server.pool.ledger import Lease
from swagger_server.pool.stack import Stack
from swagger_server.pool.stats import HELD_BUCKETS

NOBODY: Stack = ()


class Slot:
    """One place, filled with a connection.

    While that is lent, only the borrower keeps it alive, so that the pool sees when it is dropped. Not so with a
    key: there the key is the borrower's hold on it.
    """

    __slots__ = (
        "conn",
        "expires",
        "handle",
        "home_autocommit",
        "ident",
        "key",
        "lease",
        "readable",
        "reported",
        "since",
        "stack",
        "tether",
    )

    def __init__(
        self, conn: Any, handle: Handle, expires: float, when_dropped: Callable[["Tether"], None]
    ) -> None:
        self.conn = conn
        self.ident = id(conn)
        self.tether: Tether | None = Tether(conn, when_dropped)
        self.tether.slot = self
        self.home_autocommit: bool = conn.autocommit
        """As it was opened."""
        self.handle = handle
        self.readable = handle.readable
        self.expires = expires
        self.since = monotonic()
        self.key: Hashable = None
        self.lease: Lease | None = None
        self.stack = NOBODY
        self.reported = False

    def find_conn(self) -> Any:
        """The connection, whoever has it; None when it was dropped."""
        return self.conn or (self.tether and self.tether())


class Tether(weakref.ref[Any]):
    """What the pool keeps of a lent connection; tells when the borrower drops it without giving it back."""

    __slots__ = ("slot",)
    slot: Slot


class Waiter:
    """Somebody in the queue: sleeps until given a place or an error."""

    __slots__ = ("_bell", "context", "error", "since", "slot")

    def __init__(self) -> None:
        self.since = monotonic()
        self.context = contextvars.copy_context()
        """What tells who it is, to those that know what is in it."""
        self.slot: Slot | None = None
        self.error: Exception | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    def sleep(self, seconds: float) -> None:
        """Return when served or refused, or after `seconds`."""
        self._bell.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX)))

    def wake(self) -> None:
        self._bell.release()


class Slots:
    """All places of one pool, and the queue for them."""

    def __init__(self, minconn: int, maxconn: int, max_waiting: int = 0) -> None:
        self.minconn = minconn
        self.maxconn = maxconn
        self.max_waiting = max_waiting
        self.lock = threading.Lock()
        self._summing = threading.Lock()
        # A stack: the one used last is lent first, so that a quiet pool can shrink.
        self.idle: list[Slot] = []
        self.lent: dict[int, Slot] = {}
        self.keyed: dict[Hashable, Slot] = {}
        self.cleaning: set[Slot] = set()
        self.waiters: deque[Waiter] = deque()
        self.opening = 0
        self.lost = 0
        self.probing = False
        self.begging = False
        """The probe waits for a share of the budget, and opens nothing meanwhile."""
        self.closed = False
        self.pledged = False
        """The next connection that comes back is not lent again: its share of the budget goes to others."""
        self.ceded = 0
        self.gets = 0
        self.ended: list[float] = []
        """How long the checkouts have lasted that ended since `sum_up`: adding that up here would cost each of them."""
        self._held = 0.0
        self._held_counts = [0] * len(HELD_BUCKETS)
        self._begun = False

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.lent) + len(self.cleaning) + self.opening

    # Lending

    def take(self) -> Slot | None:
        """Lend the place that was used last, or nothing when none is idle."""
        with self.lock:
            if not self.idle:
                return None
            slot = self.idle.pop()
            slot.since = monotonic()
            self.lent[slot.ident] = slot
            self.gets += 1
            return slot

    def take_or_wait(self, waiter: Waiter, first: bool = False) -> bool:
        """Serve the waiter at once, or put it into the queue: at its end, or at its head.

        False when it may not wait, because the pool is closed or the queue full.
        """
        with self.lock:
            if self.closed:
                return False
            if self.idle:
                self._serve(waiter, self.idle.pop())
            elif first:
                self.waiters.appendleft(waiter)
            elif self.max_waiting and len(self.waiters) >= self.max_waiting:
                return False
            else:
                self.waiters.append(waiter)
            return True

    def leave_queue(self, waiter: Waiter) -> None:
        """Stop waiting. The waiter may have been served just before: its slot tells."""
        with self.lock:
            if waiter.slot is None and waiter.error is None:
                self.waiters.remove(waiter)

    def take_back(self, conn: Any, now: float) -> Slot | None:
        """The way back of a clean connection: to the longest waiter, else on the stack.

        Gives the slot when it was not lent again but kept apart, because it is too old or its share goes to
        others; raises KeyError when the connection is not a lent one.
        """
        with self.lock:
            slot = self.lent.pop(id(conn))
            if slot.key is not None:
                self._unbind(slot)
            slot.conn = conn
            self.ended.append(now - slot.since)
            slot.since = now
            slot.reported = False
            if slot.expires <= now or self.pledged:
                self._redeem_pledge()
                self.cleaning.add(slot)
                return slot
            if self.waiters:
                self._serve(self.waiters.popleft(), slot)
            else:
                self.idle.append(slot)
            return None

    def set_apart(self, conn: Any, now: float) -> Slot:
        """The way back of a connection that must be cleaned or closed. KeyError when it is not a lent one."""
        with self.lock:
            slot = self.lent.pop(id(conn))
            self._unbind(slot)
            slot.conn = conn
            self.ended.append(now - slot.since)
            slot.since = now
            slot.reported = False
            self.cleaning.add(slot)
            return slot

    def _redeem_pledge(self) -> None:
        self.ceded += self.pledged
        self.pledged = False

    def _release(self, slot: Slot) -> None:
        if self.waiters:
            self._serve(self.waiters.popleft(), slot)
        else:
            self.idle.append(slot)

    def _serve(self, waiter: Waiter, slot: Slot) -> None:
        slot.since = monotonic()
        self.lent[slot.ident] = slot
        self.gets += 1
        waiter.slot = slot
        waiter.wake()

    # Keys

    def held_under(self, key: Hashable) -> Any:
        """The connection that is lent under this key, or None."""
        with self.lock:
            return self._held_under(key)

    def bind(self, slot: Slot, key: Hashable) -> Any:
        """Give a lent slot its key. Gives the connection of another thread that was faster, or None."""
        with self.lock:
            faster = self._held_under(key)
            if faster is None:
                slot.key = key
                self.keyed[key] = slot
            return faster

    def _held_under(self, key: Hashable) -> Any:
        slot = self.keyed.get(key)
        return slot and slot.conn

    def _unbind(self, slot: Slot) -> None:
        if slot.key is not None and self.keyed.get(slot.key) is slot:
            del self.keyed[slot.key]
        slot.key = None

    # Filling and emptying

    def reserve(self, patience: float = float("inf"), is_down: bool = False) -> int:
        """How many connections should be opened now; that many places are held for them.

        One at a time for a queue that is longer than what is coming, because under a spike places come back
        faster than connections open; side by side to replace lost ones and to reach minconn; none while a
        probe is out. One more when somebody has waited for longer than `patience` seconds: then what is coming
        seems to hang. At least one while the database `is_down`, to see when it is back.
        """
        with self.lock:
            if self.closed or self.probing:
                return 0
            short = len(self.waiters) - self.opening - len(self.cleaning)
            for_waiters = min(short, max(1, self.lost) - self.opening)
            hangs = bool(self.waiters) and monotonic() - self.waiters[0].since > patience
            unseen = is_down and not self.opening
            wanted = max(for_waiters, self.minconn - self.size, hangs, unseen)
            wanted = min(wanted, self.maxconn - self.size)
            self.opening += wanted
            return wanted

    def fill(self, slot: Slot) -> bool:
        """A reserved place is filled. False when the pool was closed meanwhile."""
        with self.lock:
            self.opening -= 1
            self.lost = max(0, self.lost - 1)
            self.probing = self.begging = False
            if not self.closed:
                self._release(slot)
            return not self.closed

    def give_up_reservation(self, was_probe: bool) -> None:
        with self.lock:
            self.opening -= 1
            if was_probe:
                self.probing = self.begging = False

    def become_probe(self) -> bool:
        """After a failed connect: True for the one that shall keep trying."""
        with self.lock:
            if self.probing or self.closed:
                return False
            self.probing = True
            return True

    def readmit(self, slot: Slot) -> bool:
        """A slot that was set apart is fit again. False when it is not to be lent: its share of the budget goes to
        others, or the pool was closed meanwhile.
        """
        with self.lock:
            self.cleaning.discard(slot)
            if self.closed or self.pledged:
                self._redeem_pledge()
                return False
            self._release(slot)
            return True

    def cede(self, wanted: bool) -> Slot | None:
        """When a share of the budget is `wanted` by others: set the idle slot apart that was unused for longest.

        Where none is idle, the next that comes back is pledged.
        """
        with self.lock:
            self.pledged = wanted and not self.idle
            if not wanted or not self.idle:
                return None
            slot = self.idle.pop(0)
            self.cleaning.add(slot)
            self.ceded += 1
            return slot

    def longest_unused(self) -> float | None:
        """Since when, by time.monotonic(), the idle slot is idle that was unused for longest; None without one."""
        with self.lock:
            return self.idle[0].since if self.idle else None

    def drop(self, slot: Slot, lost: bool) -> None:
        """Empty a place for good. `lost` means that it is to be replaced side by side with others."""
        with self.lock:
            self.cleaning.discard(slot)
            # When the connection was dropped, a new one may have its id, and so its entry, by now.
            if self.lent.get(slot.ident) is slot:
                del self.lent[slot.ident]
                self.gets -= slot.conn is not None  # found dead before it reached the borrower
            self._unbind(slot)
            self.lost = min(self.lost + lost, self.maxconn)
            slot.tether = None  # first: from here on nobody is to be told that the connection goes
            slot.conn = None

    def pick_idle(self, unfit: Callable[[Slot], Any], keep: int = 0) -> list[Slot]:
        """Set the unfit idle slots apart, those unused for longest first, but leave `keep` places filled.

        `unfit` is asked before the lock is taken.
        """
        candidates = [slot for slot in self.idle.copy() if unfit(slot)]
        with self.lock:
            spare = max(0, self.size - self.opening - keep)
            picked = [slot for slot in candidates if slot in self.idle][:spare]
            for slot in picked:
                self.idle.remove(slot)
            self.cleaning.update(picked)
            return picked

    def filled(self) -> list[Slot]:
        """All slots that hold a connection, whoever has it."""
        with self.lock:
            return [*self.idle, *self.lent.values(), *self.cleaning]

    def find_lent(self, conn: Any) -> Slot | None:
        with self.lock:
            return self.lent.get(id(conn))

    def all_lent(self) -> list[Slot]:
        with self.lock:
            return list(self.lent.values())

    def all_cleaning(self) -> list[Slot]:
        with self.lock:
            return list(self.cleaning)

    def refuse_waiters(self, error: Callable[[], Exception]) -> int:
        """Send everybody away who waits."""
        with self.lock:
            refused, self.waiters = self.waiters, deque()
            for waiter in refused:
                waiter.error = error()
                waiter.wake()
            return len(refused)

    def begin(self) -> bool:
        """True for the first caller only."""
        with self.lock:
            first, self._begun = not self._begun, True
            return first

    def close(self) -> tuple[list[Slot], list[Slot]] | None:
        """No lending any more. Gives the idle and the lent slots, or None when it was closed before."""
        with self.lock:
            if self.closed:
                return None
            self.closed = True
            idle, lent = self.idle, list(self.lent.values())
            self.idle = []
            self.lent.clear()
            self.keyed.clear()
            return idle, lent

    def inherited(self) -> list[Slot]:
        """In a child process, where nobody is left to release the lock: all slots of the parent."""
        return [*self.idle, *self.lent.values(), *self.cleaning]

    def queue(self) -> list[Waiter]:
        """Who waits, the longest first."""
        with self.lock:
            return list(self.waiters)

    def states(self) -> list[tuple[str, Slot]]:
        """Every filled place with its state: "in use", "cleaning" or "idle"."""
        with self.lock:
            return [
                *(("in use", slot) for slot in self.lent.values()),
                *(("cleaning", slot) for slot in self.cleaning),
                *(("idle", slot) for slot in reversed(self.idle)),
            ]

    def sum_up(self) -> tuple[float, tuple[tuple[float, int], ...]]:
        """The checkouts that have ended: how long they lasted in sum, and how many by how long. Due once a second."""
        with self.lock:
            ended, self.ended = self.ended, []
        with self._summing:
            self._held += sum(ended)
            for seconds in ended:
                self._held_counts[bisect_left(HELD_BUCKETS, seconds)] += 1
            return self._held, tuple(zip(HELD_BUCKETS, self._held_counts, strict=True))

    def numbers(self) -> dict[str, int]:
        """How many places are in which state, and how many callers wait."""
        with self.lock:
            return {
                "total": self.size - self.begging,
                "idle": len(self.idle),
                "in_use": len(self.lent),
                "cleaning": len(self.cleaning),
                "opening": self.opening - self.begging,
                "waiting": len(self.waiters),
            }
