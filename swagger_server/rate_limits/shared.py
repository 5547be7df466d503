"""A storage for the library `limits` that all processes of a host share, without a lock between them.

Owns the file in which they count. Each process has a column of it that nobody else writes, and adds up what all
columns say of a key: so nobody waits for another process, and one that is killed leaves nothing behind but its
counts. Who writes before he reads sees all that was written before, so no two processes let the same last request
through. A column belongs to whoever has locked its file; who comes after a process that has ended goes on with its
counts. The windows of a rate begin at the same moment for all processes, by the system's monotonic clock, and at
another one for each key, so that not all callers come back at once.
"""

import fcntl
import hashlib
import logging
import mmap
import os
import secrets
import sys
import threading
import time
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from limits.storage import Storage

from swagger_server.allocation import allocate
from swagger_server.runtime import Folder

log = logging.getLogger(__name__)

COLUMNS = 64
"""Processes that count together. Twice the workers, since those of a reload are there before the old ones have gone."""

BUCKETS = 4096
WAYS = 8
"""Each process knows 32,768 callers at a time: eight of those whose keys lead to the same bucket."""

_NAME = "rate-limits"
_VERSION = 1
"""Of the file's layout: another version of the service, which takes over, counts in a file of its own."""

# The file: a header, then the columns, each of so many buckets, each of so many entries. An entry has two words: the
# key's mark, and the end of its window in milliseconds with its count below it. A word is written and read at once.
_WORD = 8
_ENTRY = 2 * _WORD
_BUCKET = WAYS * _ENTRY
_COLUMN = BUCKETS * _BUCKET
_HEADER = mmap.PAGESIZE
_SIZE = _HEADER + COLUMNS * _COLUMN
_USED = 0
"""The header's word that says how many columns have ever been used."""
_SECRET = slice(64, 96)
"""Where the header keeps what the marks are made with, so that nobody can choose keys that fall together."""

_COUNT_BITS = 24
_MOST = (1 << _COUNT_BITS) - 1

_REMEMBERED = 16_384
"""Keys whose places a process does not have to work out again."""


class _Place(NamedTuple):
    """Where a key is: its mark, also as a word, its bucket's offset in a column, and how its windows lie."""

    mark: bytes
    word: int
    bucket: int
    shift: int
    """Milliseconds."""


class SharedStorage(Storage):
    """Counts in a file of `folder`, from `start` on; until then, and where that fails, for this process alone.

    Fixed windows only. The counts of more callers than there is room for, at a time, push those out that asked for
    least. Safe from any thread; waits for nothing but, for nanoseconds, other threads.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._descriptor: int | None = None
        self._count_alone()
        _storages.add(self)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return (OSError,)

    # Where it counts

    def start(self, folder: Folder) -> None:
        """Count with all processes that are in the folder. OSError where it has no room for that."""
        folder.enter()
        with folder.alone():
            taken = _take_column(folder.path)
            if taken is None:
                log.warning("there are more than %d processes: this one counts by itself", COLUMNS)
                return
            number, descriptor = taken
            try:
                memory = _map(folder.path / f"{_NAME}-v{_VERSION}.map", number)
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            self._count_in(memory, number)

    def start_anew(self) -> None:
        """In a forked process: the column is the parent's."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
        self._count_alone()

    def _count_alone(self) -> None:
        memory = mmap.mmap(-1, _HEADER + _COLUMN)
        _begin(memory)
        self._count_in(memory, 0)

    def _count_in(self, memory: mmap.mmap, column: int) -> None:
        # The lock is made here: gevent may have replaced what is in the module since this was imported.
        self._lock = threading.Lock()
        self._memory = memory
        self._words = memoryview(memory).cast("Q")
        self._words[_USED] = max(self._words[_USED], column + 1)
        self._own = _HEADER + column * _COLUMN
        secret = memory[_SECRET]
        self._place = lru_cache(_REMEMBERED)(lambda key: _place(key, secret))

    # What the library asks for

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` requests under the key; how many there are now in its window of `expiry` seconds."""
        return self.count(key, expiry, amount)[0]

    def count(self, key: str, expiry: int, amount: int = 1) -> tuple[int, int]:
        """As `incr`, and the milliseconds until the window ends."""
        mark, mark_word, bucket, shift = self._place(key)
        now = time.monotonic_ns() // 1_000_000
        left = expiry * 1000 - (now + shift) % (expiry * 1000)
        end = now + left
        memory, words, own = self._memory, self._words, self._own + bucket
        with self._lock:
            at = memory.find(mark, own, own + _BUCKET) // _WORD + 1
            if not at:
                at = self._make_room(own // _WORD, now)
                total = min(amount, _MOST)
                words[at] = (end << _COUNT_BITS) + total
                words[at - 1] = mark_word
            else:
                word = words[at]
                count = word & _MOST if word >> _COUNT_BITS == end else 0
                total = min(count + amount, _MOST)
                words[at] = (end << _COUNT_BITS) + total
        for column in range(_HEADER + bucket, _HEADER + words[_USED] * _COLUMN, _COLUMN):
            if column != own and (found := memory.find(mark, column, column + _BUCKET)) >= 0:
                word = words[found // _WORD + 1]
                if word >> _COUNT_BITS == end:
                    total += word & _MOST
        return total, left

    def _make_room(self, first: int, now: int) -> int:
        """The second word of the entry, in the bucket of that first word, that is worth least; its first is cleared."""
        words, least = self._words, 1 << 2 * _COUNT_BITS
        for at in range(first + 1, first + 2 * WAYS, 2):
            worth = words[at] & _MOST if words[at] >> _COUNT_BITS > now else 0
            if worth < least:
                best, least = at, worth
        words[best - 1] = 0
        return best

    def get(self, key: str) -> int:
        """How many requests there are under the key."""
        now = time.monotonic_ns() // 1_000_000
        return sum(word & _MOST for word in self._found(key) if word >> _COUNT_BITS > now)

    def get_expiry(self, key: str) -> float:
        """When the key's window ends, by time.time(); now, where nothing is counted under it."""
        now = time.monotonic_ns() // 1_000_000
        ends = [word >> _COUNT_BITS for word in self._found(key)]
        return time.time() + max((end - now for end in ends if end > now), default=0) / 1000

    def _found(self, key: str) -> list[int]:
        return [self._words[at] for at in self._entries(key)]

    def _entries(self, key: str) -> list[int]:
        """Where the columns count the key."""
        mark, _, bucket, _ = self._place(key)
        columns = range(_HEADER + bucket, _HEADER + self._words[_USED] * _COLUMN, _COLUMN)
        found = (self._memory.find(mark, column, column + _BUCKET) for column in columns)
        return [at // _WORD + 1 for at in found if at >= 0]

    def check(self) -> bool:
        """It is there."""
        return True

    def reset(self) -> int:
        """Forget all counts, of all processes; what they count at this moment may stay."""
        for column in range(self._words[_USED]):
            start = _HEADER + column * _COLUMN
            self._memory[start : start + _COLUMN] = bytes(_COLUMN)
        return 0

    def clear(self, key: str) -> None:
        """Forget what was counted under a key, by all processes; what they count at this moment may stay."""
        for at in self._entries(key):
            self._words[at] = 0


def _place(key: str, secret: bytes) -> _Place:
    digest = hashlib.blake2b(key.encode(), digest_size=20, key=secret).digest()
    mark = bytes((digest[0] | 1, *digest[1:8]))  # that of no empty entry
    bucket = int.from_bytes(digest[8:12], "big") % BUCKETS * _BUCKET
    return _Place(mark, int.from_bytes(mark, sys.byteorder), bucket, int.from_bytes(digest[12:16], "big"))


def _take_column(folder: Path) -> tuple[int, int] | None:
    """The number of a column that no process has, and the descriptor whose lock holds it; None where all are taken."""
    for number in range(COLUMNS):
        # No hyphen before the number: that would make it a file of the process of that number.
        descriptor = os.open(folder / f"{_NAME}.{number}", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return number, descriptor
    return None


def _map(file: Path, column: int) -> mmap.mmap:
    """The file, of which the header and that column have their room."""
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        allocate(descriptor, _HEADER)
        allocate(descriptor, _COLUMN, _HEADER + column * _COLUMN)
        if os.fstat(descriptor).st_size < _SIZE:
            os.ftruncate(descriptor, _SIZE)
        memory = mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)
    _begin(memory)
    return memory


def _begin(memory: mmap.mmap) -> None:
    if not any(memory[_SECRET]):
        memory[_SECRET] = secrets.token_bytes(32)


_storages: "weakref.WeakSet[SharedStorage]" = weakref.WeakSet()


def _start_all_anew() -> None:
    for storage in tuple(_storages):
        storage.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)
