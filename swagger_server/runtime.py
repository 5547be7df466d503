"""The folder that the workers of one running service share: fresh for each gunicorn master, and gone after it.

Owns its name, which every worker finds by itself, since nobody may have been there to tell it (with --chdir gunicorn's
settings are not read); which processes are in it and live; and its removal. Must not know what is kept in it.

A process is in the folder as long as it holds the lock on a file of its own: the system lets go of it however the
process ends, and gives it to no later process of the same number.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "swagger_server-"

_LONGEST = 70
"""Bytes of the folder's path, so that that of a socket in it stays below the 104 that systems allow."""


class Folder:
    """A folder that processes share. It is there from the first process that joins to the master's end."""

    def __init__(self, path: Path) -> None:
        """Make it, or join the one that is there. Raises OSError where the path is somebody else's."""
        self.path = path
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to somebody else")
        self._entered: dict[int, int] = {}

    def enter(self) -> None:
        """Count this process among the living ones until it ends; a second call does nothing."""
        pid = os.getpid()
        if pid not in self._entered:
            descriptor = os.open(self._lock_of(pid), os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._entered = {pid: descriptor}

    def leave(self) -> None:
        """Count this process no longer."""
        descriptor = self._entered.pop(os.getpid(), None)
        if descriptor is not None:
            os.close(descriptor)

    def living(self) -> list[int]:
        """The numbers of the processes in it, in order."""
        numbers = sorted(int(file.name.removeprefix("process-")) for file in self.path.glob("process-*"))
        return [pid for pid in numbers if _is_locked(self._lock_of(pid))]

    def note(self, what: str) -> None:
        """Remember something for all processes in it, until the master ends."""
        (self.path / f"noted-{what}").touch(mode=0o600)

    def is_noted(self, what: str) -> bool:
        """Whether any of them has noted it."""
        return (self.path / f"noted-{what}").exists()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block no other process is in such a block of its own. Waits for it."""
        descriptor = os.open(self.path / "alone", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _lock_of(self, pid: int) -> Path:
        return self.path / f"process-{pid}"


_master: int | None = None
_folders: dict[Path, Folder] = {}


def belong_to(master: int | None) -> None:
    """Say which process is gunicorn's master, before `folder` is asked for; None: this one is on its own."""
    global _master
    _master = master


def folder() -> Folder:
    """The folder of the service that this process is of, made by the first who asks.

    Folders whose service has ended without removing them are removed. Raises OSError where it cannot be made.
    """
    master = _master or os.getpid()
    path = _path_for(master)
    if path not in _folders:
        _remove_abandoned(path.parent)
        _folders[path] = Folder(path)
        if master == os.getpid():
            atexit.register(_remove_own, master)
    return _folders[path]


def remove(master: int) -> None:
    """Remove the folder of a master that ends, with all that is in it; of whatever user its workers were."""
    for path in _place().glob(f"{_PREFIX}*-{master}-{_start_of(master)}"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_own(master: int) -> None:
    if os.getpid() == master:  # and no worker that was forked from it
        remove(master)


def _path_for(master: int) -> Path:
    return _place() / f"{_PREFIX}{os.geteuid()}-{master}-{_start_of(master)}"


def _place() -> Path:
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) + 40 <= _LONGEST else "/tmp")  # noqa: S108


def _start_of(pid: int) -> str:
    """When a process began, in whatever way the system says it; empty where there is none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # What comes before may have spaces and parentheses in it: the name of the program.
            return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        return ""
    said = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)  # noqa: S603, S607
    return "".join(letter for letter in said.stdout if letter.isalnum())


def _remove_abandoned(place: Path) -> None:
    for path in place.glob(f"{_PREFIX}{os.geteuid()}-*-*"):
        with contextlib.suppress(OSError, ValueError):
            if path.lstat().st_uid == os.geteuid() and _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    """Whether its master has ended, and all who were in it: in another container, by their locks alone."""
    master, start = path.name.split("-")[-2:]
    return _start_of(int(master)) != start and not any(_is_locked(file) for file in path.glob("process-*"))


def _is_locked(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
