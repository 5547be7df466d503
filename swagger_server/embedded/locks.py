"""Advisory locks on files: who uses the server, who starts it, who supervises it.

A lock belongs to the open file, so forks share it and the kernel drops it with the last of them, also
after SIGKILL. For that reason nothing here ever unlocks: closing the descriptor is the only way out.
LOCK_UN in one process would take the lock away from every fork that shares it.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import EmbeddedError

if sys.platform != "win32":
    import fcntl

_POLL = 0.02  # seconds; flock() has no timeout of its own


def open_lock(path: Path) -> int:
    """Open (or make) a lock file. The descriptor does not survive exec, so only forks share it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    give_to_folder_owner(descriptor, path.parent)
    return descriptor


def give_to_folder_owner(descriptor: int, folder: Path) -> None:
    """What root makes in another user's folder must stay usable for that user."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def try_shared(descriptor: int) -> bool:
    """Take the lock together with others, unless somebody has it alone. Never waits."""
    return _try(descriptor, fcntl.LOCK_SH)


def try_exclusive(descriptor: int) -> bool:
    """Take the lock alone, unless anybody has it. Never waits."""
    return _try(descriptor, fcntl.LOCK_EX)


def wait_shared(descriptor: int, deadline: float) -> None:
    """As `try_shared`, but wait until `deadline` (on the monotonic clock); then EmbeddedError."""
    while not try_shared(descriptor):
        _pause(deadline, "its server has been stopping for too long")


@contextmanager
def exclusive(path: Path, deadline: float) -> Iterator[None]:
    """Hold the lock on `path` alone within the block; EmbeddedError when others have it until `deadline`."""
    descriptor = open_lock(path)
    try:
        while not try_exclusive(descriptor):
            _pause(deadline, f"another process has been starting it for too long (it holds {path})")
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process, at this moment, has the lock on `path` alone."""
    descriptor = open_lock(path)
    try:
        return not try_shared(descriptor)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pause(deadline: float, complaint: str) -> None:
    if time.monotonic() >= deadline:
        raise EmbeddedError(f"The embedded database cannot be used: {complaint}.")
    time.sleep(_POLL)
