"""A running server in the supervisor's hands: started by it as a child, or found alive and adopted.

A survivor is known by its answer at the socket. The number in a pid file may be anybody's by now, so
nothing here signals one: a child is ours until we have waited for it, and of a survivor the kernel names
the process at the socket.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import cluster as clusters
from .account import Account, process_arguments
from .binaries import Binaries
from .errors import EmbeddedError
from .wire import State, probe, server_pid

_START_TIMEOUT = 60.0  # seconds; recovery after a crash may take some
_STOP_TIMEOUT = 30.0  # seconds for a fast shutdown, which writes a checkpoint
_POLL = 0.02  # seconds
_PR_SET_PDEATHSIG = 1
# What a postmaster says while one before it, or its backends, are still on their way out
_PASSING = ("lock file", "shared memory block")

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Server(Protocol):
    """What the supervisor watches and, in the end, stops."""

    def is_alive(self) -> bool: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Layout:
    """All that is needed to start the server."""

    binaries: Binaries
    cluster: Path
    sockets: Path
    log: Path
    account: Account | None
    connections: int = 0


class ChildServer:
    """A server that this process has started."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, committed data are on disk."""
        for sign, patience in ((signal.SIGINT, _STOP_TIMEOUT), (signal.SIGQUIT, 5.0), (signal.SIGKILL, None)):
            self._process.send_signal(sign)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            return


class AdoptedServer:
    """A server that outlived its supervisor, where the system cannot end it together with that."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets

    def is_alive(self) -> bool:
        return probe(self._sockets) is not State.ABSENT

    def stop(self) -> None:
        pid = server_pid(self._sockets)
        if pid is not None:
            os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(_POLL)


def start(layout: Layout) -> Server:
    """Start the server, or adopt the one that runs; returns when it takes queries, else EmbeddedError."""
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        started = _adopt(layout, deadline) or _launch(layout, deadline)
        if started is not None:
            return started
        time.sleep(_POLL)


def die_with_parent(sign: int) -> Callable[[], None] | None:
    """For `preexec_fn`: on Linux the kernel sends `sign` when the parent ends, however it ends."""
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, sign)
        if os.getppid() != parent:  # it ended before we were armed
            os._exit(1)

    return arm


def _adopt(layout: Layout, deadline: float) -> Server | None:
    """None when nobody is there, or no longer."""
    if probe(layout.sockets) is State.ABSENT:
        return None
    found = AdoptedServer(layout.sockets)
    return found if _wait_until_ready(found, layout.sockets, deadline) else None


def _launch(layout: Layout, deadline: float) -> Server | None:
    """None when a server before this one is still on its way out, so that it may be tried again."""
    _remove_stale_pid_file(layout.cluster)
    logged = layout.log.stat().st_size
    child = ChildServer(_spawn(layout))
    if _wait_until_ready(child, layout.sockets, deadline):
        return child
    reason = _last_words(layout.log, logged)
    if time.monotonic() < deadline and any(hint in reason for hint in _PASSING):
        return None
    raise EmbeddedError(f"The embedded database server does not start: {reason} (more in {layout.log}).")


def _spawn(layout: Layout) -> "subprocess.Popen[bytes]":
    settings = clusters.settings_for(layout.connections)
    command = clusters.server_command(layout.binaries, layout.cluster, layout.sockets, settings)
    with layout.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=clusters.environment(),
            process_group=0,
            preexec_fn=die_with_parent(signal.SIGINT),
            **process_arguments(layout.account),
        )


def _wait_until_ready(server: Server, sockets: Path, deadline: float) -> bool:
    """False when the server ended instead."""
    while server.is_alive():
        if probe(sockets) is State.READY:
            return True
        if time.monotonic() >= deadline:
            raise EmbeddedError(f"The embedded database server in {sockets} does not answer.")
        time.sleep(_POLL)
    return False


def _remove_stale_pid_file(cluster: Path) -> None:
    """A pid file left by a crash stops the start when its number is another process's by now.

    PostgreSQL has a second guard, the shared memory that is tied to the folder, which also sees backends that
    outlived their postmaster. So the file may go once nobody listens where it says.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        lines = pid_file.read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return
    if len(lines) > 4 and lines[4] and lines[3].isdigit() and _somebody_at(Path(lines[4]), int(lines[3])):
        raise EmbeddedError(
            f"Another server runs on the data in {cluster}: stop it first (socket in {lines[4]})."
        )
    pid_file.unlink(missing_ok=True)


def _somebody_at(folder: Path, port: int) -> bool:
    return probe(folder, port) is not State.ABSENT


def _last_words(log: Path, offset: int) -> str:
    """Why the server that has logged from `offset` on did not start."""
    with log.open("rb") as lines:
        lines.seek(offset)
        text = lines.read().decode(errors="replace").strip()
    # our own probes are told that "the database system is starting up"
    fatal = re.findall(r"(?:FATAL|PANIC):\s*(?!the database system is)(.*)", text)
    return str(fatal[-1]) if fatal else text.replace("\n", " ")[:500] or "it ended at once"
