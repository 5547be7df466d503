"""The files of counts, whose room on the disk is there before anything is written.

The library's are full of holes and mapped into memory: the system ends a process (SIGBUS) that writes into a hole while
the disk is full. So the room is reserved first, and what finds none is counted in vain. Knows the library's file dict,
and its inner names, for the one version that the requirements name.
"""

import contextlib
import errno
import mmap
import os
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import MmapedDict

from swagger_server.allocation import allocate

INITIAL = 1 << 16
"""Bytes of a file at first, as in the library; it doubles."""

_VALUE = 16
"""Bytes of a value and its time. So many stay free at the end of a file: nobody reads what is written there."""

_shortage: tuple[int, OSError] | None = None


def shortage() -> OSError | None:
    """Why something that this process wanted to count has no room; None while everything has."""
    return _shortage[1] if _shortage and _shortage[0] == os.getpid() else None


class Reserved(MmapedDict):
    """The library's, without holes. OSError where there is no room."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            reserve(Path(filename))
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        capacity = self._capacity
        while self._used + _size_of(key) + _VALUE > capacity:
            capacity *= 2
        if capacity > self._capacity:
            self._grow(capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, capacity: int) -> None:
        allocate(self._f.fileno(), capacity)
        self._m: Any = mmap.mmap(self._f.fileno(), capacity)
        self._capacity: int = capacity


class AsFarAsThereIsRoom(Reserved):
    """Takes every value; those without room are seen by nobody, and `shortage` tells."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self._is_full = False
        try:
            super().__init__(filename, read_mode)
        except OSError as exc:
            _note(exc)
            self._keep_in_memory()

    def _keep_in_memory(self) -> None:
        self._is_full = True
        self._f: Any = None
        self._m = mmap.mmap(-1, INITIAL)
        self._capacity = INITIAL
        self._used: int = 8
        self._positions: dict[str, int] = {}

    def _init_value(self, key: str) -> None:
        try:
            super()._init_value(key)
        except OSError as exc:
            _note(exc)
            position = self._capacity - _VALUE
            self._m[position:] = bytes(_VALUE)
            self._positions[key] = position

    def _grow(self, capacity: int) -> None:
        # Never after it has failed once: the end of the file is in use then, for what has no room.
        if self._is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_full = True
        super()._grow(capacity)
        self._is_full = False


def _note(exc: OSError) -> None:
    global _shortage
    _shortage = os.getpid(), exc


def _size_of(key: str) -> int:
    """Bytes of an entry: its length, the key with spaces to the next eighth byte, the value and its time."""
    encoded = 4 + len(key.encode())
    return encoded + 8 - encoded % 8 + _VALUE


def reserve(file: Path) -> None:
    """Make a file, whole at once, since nobody must read an empty one. OSError where there is no room."""
    if file.exists():
        return
    made = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(made, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            allocate(descriptor, INITIAL)
        finally:
            os.close(descriptor)
        made.rename(file)
    except OSError:
        with contextlib.suppress(OSError):
            made.unlink(missing_ok=True)
        raise
