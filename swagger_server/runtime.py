"""The folder that the workers of one running service share: fresh for each gunicorn master, and gone after it.

A master that takes over from another one (SIGUSR2) has the other's folder, under a link of its own, so that what was
counted goes on; the last of them removes it.

Owns its name, which every worker finds by itself, since nobody may have been there to tell it (with --chdir gunicorn's
settings are not read); which processes are in it and live; and its removal. Must not know what is kept in it.

A process is in the folder as long as it holds the lock on a file of its own: the system lets go of it however the
process ends, and gives it to no later process of the same number. What a process keeps here under a name that ends in
its number, after a hyphen, is removed once it has ended.
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

_GATE = "gate"
"""The file of `Folder.alone`."""

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
        if pid in self._entered:
            return
        for inherited in self._entered.values():
            os.close(inherited)  # else this process would keep its parent among the living ones
        self._entered = {}
        # Not while somebody removes the folder.
        with self.alone():
            self._entered = {pid: _lock(self._lock_of(pid))}

    def leave(self) -> None:
        """Count this process no longer."""
        descriptor = self._entered.pop(os.getpid(), None)
        if descriptor is not None:
            os.close(descriptor)

    def living(self) -> list[int]:
        """The numbers of the processes in it, in order."""
        return [pid for pid in self._known() if _is_locked(self._lock_of(pid))]

    def forget_ended(self) -> None:
        """Remove what processes that have ended had of their own."""
        for pid in self._known():
            lock = self._lock_of(pid)
            # A process of the same number that comes in now waits for the lock, and then makes a new file.
            with _locked_if_free(lock) as is_free:
                if is_free:
                    for file in sorted(self.path.glob(f"*-{pid}"), key=lambda file: file == lock):
                        file.unlink(missing_ok=True)

    def _known(self) -> list[int]:
        return sorted(_number_of(file) for file in self.path.glob("process-*"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block no other process is in such a block of its own. Waits for it."""
        descriptor = os.open(self.path / _GATE, os.O_CREAT | os.O_RDWR, 0o600)
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
    name = _name_for(master)
    if name not in _folders:
        _remove_abandoned(name.parent)
        _folders[name] = Folder(_taken_over_or_own(name))
        if master == os.getpid():
            atexit.register(_remove_own, master)
    return _folders[name]


def remove(master: int) -> None:
    """Remove the folder of a master that ends, with all that is in it; of whatever user its workers were.

    One that another master has, too, stays.
    """
    for name in _place().glob(f"{_PREFIX}*-{master}-{_start_of(master)}"):
        with contextlib.suppress(OSError, ValueError):
            path = _behind(name)
            if path != name:
                name.unlink()
            _remove_unless_used(path, leaving=master)


def _remove_own(master: int) -> None:
    if os.getpid() == master:  # and no worker that was forked from it
        remove(master)


def _name_for(master: int) -> Path:
    return _place() / f"{_PREFIX}{os.geteuid()}-{master}-{_start_of(master)}"


def _taken_over_or_own(name: Path) -> Path:
    """The folder under a master's name, which becomes that of the master it was started by to take over."""
    predecessor = os.environ.get("GUNICORN_PID", "")
    if predecessor.isdigit() and not os.path.lexists(name):
        with contextlib.suppress(OSError, ValueError):
            theirs = _behind(_name_for(int(predecessor)))
            if (theirs / _GATE).exists():  # else it is of a version that would remove it under us
                name.symlink_to(theirs.name)
    return _behind(name)


def _behind(name: Path) -> Path:
    """The folder of that name, or the one of another master that it is a link to. PermissionError for a foreign one."""
    if not name.is_symlink():
        return name
    path = name.with_name(os.readlink(name))
    whose = {each.lstat().st_uid for each in (name, path) if os.path.lexists(each)}
    if len(whose) > 1 or not path.name.startswith(_PREFIX):
        raise PermissionError(f"{name} leads to somebody else's")
    return path


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
    for name in place.glob(f"{_PREFIX}{os.geteuid()}-*-*"):
        with contextlib.suppress(OSError, ValueError):
            if name.lstat().st_uid != os.geteuid() or _is_running(name):
                continue
            # In another container a master cannot be seen, but the locks can.
            if not name.is_symlink():
                _remove_unless_used(name)
            elif not _is_lived_in(_behind(name)):
                name.unlink()


def _remove_unless_used(path: Path, leaving: int | None = None) -> None:
    """Remove a folder unless a master other than `leaving` has it, or a process other than this one is in it."""
    names = [path, *(link for link in path.parent.glob(f"{_PREFIX}*") if _leads_to(link, path))]
    if any(_is_running(name) for name in names if _master_of(name)[0] != leaving):
        return
    with _locked_if_free(path / _GATE) as is_free:
        # It has none where nobody came in, or a version without gates made it.
        if (not is_free and (path / _GATE).exists()) or _is_lived_in(path):
            return
        # At once: nobody must come into one that is half removed.
        gone = path.rename(path.with_name(f"{path.name}.gone"))
    shutil.rmtree(gone, ignore_errors=True)


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return os.readlink(link) == path.name
    except OSError:  # it is none
        return False


def _master_of(name: Path) -> tuple[int, str]:
    """The master's number, and when it began."""
    number, start = name.name.split("-")[-2:]
    return int(number), start


def _is_running(name: Path) -> bool:
    number, start = _master_of(name)
    return _start_of(number) == start


def _is_lived_in(path: Path) -> bool:
    return any(_is_locked(file) for file in path.glob("process-*") if _number_of(file) != os.getpid())


def _number_of(file: Path) -> int:
    return int(file.name.removeprefix("process-"))


def _lock(file: Path) -> int:
    """The descriptor of a file that this process has locked, made at need. Waits for those who look at it."""
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        os.close(descriptor)  # it was removed meanwhile


@contextmanager
def _locked_if_free(file: Path) -> Iterator[bool]:
    """Within the block nobody else can lock the file; False where it is not there or somebody has locked it."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_free = True
    except BlockingIOError:
        is_free = False
    try:
        yield is_free
    finally:
        os.close(descriptor)


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
