"""The file in which the processes of one host share a budget of connections: who has which share, who wants one.

Owns the file and its locks, and knows no pool. A share is held by a lock on its bytes, so the system gives it back
when its holder dies. What stands there tells more: a share that is free but still marked was not given back, so
that the server may not have noticed yet that its session's client is gone.

These locks belong to the process, end with the first close of any descriptor of the file, and are not inherited. So
a process opens a file once and never closes it, uses the descriptor on in its forks, and keeps its own books of what
it holds, since its locks don't keep itself out.
"""

import errno
import os
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # a Windows
    _lockf: Callable[..., None] | None = None
else:
    _lockf = fcntl.lockf
    _TRY, _TRY_SHARED, _UNLOCK = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_UN

AVAILABLE = _lockf is not None
"""Whether this system has such locks."""

LARGEST = 1000
"""Shares that a file has room for."""

_SHARE = struct.Struct("<B3xiid12x")  # marked, backend's pid, client's port, since when by the wall clock
_WANTS_AT = 1 << 16
_WANT = struct.Struct("<B3xidd8x")  # marked, shares held, wanted since, seen last: both by the system's clock
_WANTS = 128
_NO_WANTS = bytes(_WANTS * _WANT.size)
_FREE, _NOTHING = bytes(_SHARE.size), bytes(_WANT.size)

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)

_STALE = 0.5
"""Seconds after which a want that its owner did not renew counts no more: it is stopped, or hangs."""


@dataclass(frozen=True)
class Budget:
    """How many connections the pools of all processes may have that name the same file.

    The file is made when it is first used, in a folder that exists, and is nobody else's to open: closing it
    anywhere in the process would lose what the process holds. `size` may differ between processes: each uses the
    first `size` shares.
    """

    path: str
    size: int

    def __post_init__(self) -> None:
        if not AVAILABLE:
            raise ValueError("a Budget needs POSIX file locks, which this system does not have")
        if type(self.size) is not int or not 1 <= self.size <= LARGEST:
            raise ValueError(f"Budget.size must be a whole number from 1 to {LARGEST}, not {self.size!r}")


class Session(NamedTuple):
    """A session in the server, as far as its holder could tell; pid 0 while it is being opened."""

    pid: int
    client_port: int
    opened: float


class Want(NamedTuple):
    """Somebody's wish for a share; the smallest comes first: who holds the least, then who has waited longest."""

    held: int
    since: float


class Lease:
    """A share that this process holds."""

    __slots__ = ("number", "remains")

    def __init__(self, number: int, remains: Session | None) -> None:
        self.number = number
        self.remains = remains
        """The session of a holder who did not give the share back."""


class Ledger:
    """One file. Every method takes the lock for a few calls of the system that do not wait."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.pid = os.getpid()
        self._file = _identity(os.fstat(descriptor))
        self._lock = threading.RLock()  # a share may be given back by the garbage collector, anywhere
        self._held: set[int] = set()
        self._stranded: set[int] = set()
        """Of those held: the ones that another process holds in the file that followed the one they are from."""
        self._wants: dict[int, Want] = {}

    # Shares

    def take(self, size: int, want: Want, place: int | None = None) -> Lease | None:
        """A share, unless all are taken, or wanted by others who come before; `place` is the taker's own wish.

        Those that were given back in order come first.
        """
        with self._lock:
            before = sum(other < want for other in self._others(place))
            marks = os.pread(self.descriptor, size * _SHARE.size, 0)
            free = [number for number in range(size) if not _is_marked(marks, number)]
            if len(free) > before:
                random.shuffle(free)
                for number in free:
                    if self._try(number):
                        return self._hold(number, None)
            return None if before else self._take_over(marks, size)

    def _take_over(self, marks: bytes, size: int) -> Lease | None:
        for number in range(size):
            if _is_marked(marks, number) and self._try(number):
                # read again: since the look at all of them it may have been given back
                marked, *session = _SHARE.unpack(os.pread(self.descriptor, _SHARE.size, number * _SHARE.size))
                return self._hold(number, Session(*session) if marked else None)
        return None

    def _try(self, number: int) -> bool:
        return number not in self._held and _try_lock(self.descriptor, _TRY, number * _SHARE.size)

    def _hold(self, number: int, remains: Session | None) -> Lease:
        if remains is None:
            try:
                self._note(number, Session(0, 0, time.time()))
            except OSError:
                _unlock(self.descriptor, number * _SHARE.size)
                raise
        self._held.add(number)
        return Lease(number, remains)

    def note(self, lease: Lease, pid: int, client_port: int) -> None:
        """The session that was opened with a share."""
        lease.remains = None
        if lease.number not in self._stranded:
            self._note(lease.number, Session(pid, client_port, time.time()))

    def _note(self, number: int, session: Session) -> None:
        os.pwrite(self.descriptor, _SHARE.pack(1, *session), number * _SHARE.size)

    def give_back(self, lease: Lease, in_order: bool) -> None:
        """Give a share back; `in_order` when its session is known to have ended, or was never opened."""
        if self.pid != os.getpid():
            return  # another process's: this one was forked since, maybe while a thread had the lock
        with self._lock:
            if lease.number not in self._held:
                return
            if lease.number in self._stranded:
                self._stranded.discard(lease.number)
                self._held.discard(lease.number)
                return
            try:
                if in_order:
                    os.pwrite(self.descriptor, _FREE, lease.number * _SHARE.size)
            finally:
                self._held.discard(lease.number)
                _unlock(self.descriptor, lease.number * _SHARE.size)

    def count_taken(self, size: int) -> int:
        """How many shares are marked: held by anybody, or not given back in order."""
        marks = os.pread(self.descriptor, size * _SHARE.size, 0)
        return sum(_is_marked(marks, number) for number in range(size))

    # Wants

    def announce(self, want: Want, place: int | None) -> int | None:
        """Say, or say again, what is wanted. Gives the place to name next time; None when all are taken."""
        record = _WANT.pack(1, want.held, want.since, time.monotonic())
        with self._lock:
            if place is None:
                place = self._find_place()
                if place is not None:
                    self._announce_first(record, place)
            else:
                os.pwrite(self.descriptor, record, _where_wanted(place))
            if place is not None:
                self._wants[place] = want
        return place

    def _announce_first(self, record: bytes, place: int) -> None:
        try:
            os.pwrite(self.descriptor, record, _where_wanted(place))
        except OSError:
            _unlock(self.descriptor, _where_wanted(place))
            raise

    def _find_place(self) -> int | None:
        begin = random.randrange(_WANTS)
        for place in chain(range(begin, _WANTS), range(begin)):
            if place not in self._wants and _try_lock(self.descriptor, _TRY, _where_wanted(place)):
                return place
        return None

    def withdraw(self, place: int) -> None:
        """Nothing is wanted any more."""
        if self.pid != os.getpid():
            return  # as in `give_back`
        with self._lock:
            if self._wants.pop(place, None) is not None:
                try:
                    os.pwrite(self.descriptor, _NOTHING, _where_wanted(place))
                finally:
                    _unlock(self.descriptor, _where_wanted(place))

    def others(self, place: int | None) -> list[Want]:
        """What others want, of this process and of all, the one who comes first first."""
        with self._lock:
            return sorted(self._others(place))

    def _others(self, place: int | None) -> list[Want]:
        records = os.pread(self.descriptor, len(_NO_WANTS), _WANTS_AT)
        if records == _NO_WANTS[: len(records)]:
            return []
        own = [want for mine, want in self._wants.items() if mine != place]
        return own + list(self._alive(records, time.monotonic() - _STALE))

    def _alive(self, records: bytes, fresh_from: float) -> Iterator[Want]:
        whole = len(records) - len(records) % _WANT.size
        for place, (marked, held, since, seen) in enumerate(_WANT.iter_unpack(records[:whole])):
            if marked and place not in self._wants and seen > fresh_from and self._is_locked(place):
                yield Want(held, since)

    def _is_locked(self, place: int) -> bool:
        """By another process. A shared lock, so that two who look at once don't see each other."""
        if not _try_lock(self.descriptor, _TRY_SHARED, _where_wanted(place)):
            return True
        _unlock(self.descriptor, _where_wanted(place))
        return False

    # The file

    def touch(self) -> None:
        """For those who clean up by age: the file is in use."""
        if os.utime in os.supports_fd:
            os.utime(self.descriptor)

    def follow(self) -> int | None:
        """Where the file was removed or replaced: go over to what has its name now, made at need.

        None when there was nothing to do, else how many of the shares held are another process's there. To be asked
        often: until all processes have gone over, they don't see each other. Raises OSError.
        """
        if not self._was_replaced():
            return None
        with _opening:
            if not self._was_replaced() or self._is_known():
                return None
            old, new = self.descriptor, _open_fresh(self.path)
            with self._lock:
                self._move(new)
            found = _identity(os.fstat(new))
            self._file = found
            _ledgers[found] = self
            _descriptors.update({path: new for path, known in _descriptors.items() if known == old})
            return len(self._stranded)

    def _was_replaced(self) -> bool:
        try:
            return _identity(os.lstat(self.path)) != self._file
        except FileNotFoundError:
            return True
        except OSError:  # not for this user to see; the descriptor may be good nevertheless
            return False

    def _is_known(self) -> bool:
        """By another path. Opening it once more would do no good, and closing that again would do harm."""
        try:
            return _identity(os.lstat(self.path)) in _ledgers
        except FileNotFoundError:
            return False

    def _move(self, new: int) -> None:
        for number in self._held - self._stranded:
            try:
                session = os.pread(self.descriptor, _SHARE.size, number * _SHARE.size)
                if _try_lock(new, _TRY, number * _SHARE.size):
                    os.pwrite(new, session, number * _SHARE.size)
                else:
                    self._stranded.add(number)
            except OSError:
                self._stranded.add(number)
                _unlock(new, number * _SHARE.size)
        for place in self._wants:
            _try_lock(
                new, _TRY, _where_wanted(place)
            )  # another's with the same place is told over, for a moment
        self.descriptor = new  # the old one stays open: who has not come over yet sees what is held there


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_marked(marks: bytes, number: int) -> bool:
    at = number * _SHARE.size
    return marks[at : at + 1] == b"\1"  # beyond the end of a new file nothing is


def _where_wanted(place: int) -> int:
    return _WANTS_AT + place * _WANT.size


def _try_lock(descriptor: int, kind: int, at: int) -> bool:
    assert _lockf is not None
    try:
        _lockf(descriptor, kind, 1, at)
    except (BlockingIOError, PermissionError):  # systems differ
        return False
    return True


def _unlock(descriptor: int, at: int) -> None:
    assert _lockf is not None
    _lockf(descriptor, _UNLOCK, 1, at)


_ledgers: dict[tuple[int, int], Ledger] = {}
_descriptors: dict[str, int] = {}
_with_room: set[int] = set()
_opening = threading.Lock()


def open_ledger(path: str) -> Ledger:
    """The ledger of this process for a file, made when there is none. Raises OSError."""
    with _opening:
        descriptor = _descriptors.get(path)
        if descriptor is None:
            descriptor = _descriptors[path] = os.open(path, _FLAGS, 0o600)
        if descriptor not in _with_room:
            _reserve_room(descriptor)
            _with_room.add(descriptor)
        # Two paths of one file are one: closing the second descriptor would lose what is held through the first.
        found = _identity(os.fstat(descriptor))
        known = _ledgers.get(found)
        if known is None or known.pid != os.getpid():
            known = _ledgers[found] = Ledger(path, descriptor)
        return known


def _open_fresh(path: str) -> int:
    """Of a file that this process has not opened before."""
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        _reserve_room(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    _with_room.add(descriptor)
    return descriptor


def _reserve_room(descriptor: int) -> None:
    """So that a disk that is full later stops nobody. Not every file system can."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, _WANTS_AT + len(_NO_WANTS))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


@contextmanager
def one_share(budget: Budget, patience: float) -> Iterator[Lease | None]:
    """A share for one connection of the block's own; None when there is none within `patience` seconds."""
    ledger = open_ledger(budget.path)
    deadline = time.monotonic() + patience
    lease = _try_to_take(ledger, budget.size)
    while lease is None and time.monotonic() < deadline:
        time.sleep(0.01)
        lease = _try_to_take(ledger, budget.size)
    try:
        yield lease
    finally:
        if lease is not None:
            with suppress(OSError):
                ledger.give_back(lease, in_order=False)


def _try_to_take(ledger: Ledger, size: int) -> Lease | None:
    with suppress(OSError):
        return ledger.take(size, Want(0, time.monotonic()))
    return None


def _forget_the_parents_threads() -> None:
    """After a fork the lock may be held by a thread that exists in the parent only."""
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents_threads)
