"""The process that owns the server: starts it, watches the users' lock, stops it after the last user.

Detached from whoever started it, so Ctrl-C and signals to that process group do not reach it. It answers
its starter with one line of JSON on standard output, then lets go of everything inherited. A server
that crashed is started again as long as it has users.
"""

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from types import FrameType

from . import cluster as clusters
from . import locks, server
from .account import server_account
from .binaries import Binaries, at, usable_by
from .errors import EmbeddedError
from .folders import cluster_folder, socket_folder, state_folder

_POLL = 0.1  # seconds between two looks at the users' lock
_LARGEST_LOG = 10_000_000  # bytes; a larger one is put aside at the next start


class Supervisor:
    """Serves one data folder until nobody uses it or the process is told to end."""

    def __init__(self, data: Path, programs: Binaries, connections: int) -> None:
        self._data = data
        self._programs = programs
        self._connections = connections
        self._told_to_end = False

    def run(self, report: int) -> None:
        """Start the server, write where it listens to the descriptor `report`, and serve until the end."""
        layout, is_new = self._prepare()
        running = server.start(layout)
        place = json.dumps({"host": str(layout.sockets), "port": clusters.PORT})
        self._publish(place)
        _answer(report, place)
        if is_new:
            clusters.sync(layout.binaries, layout.cluster, layout.account)
        self._serve(layout, running)

    def end(self, _signal: int, _frame: FrameType | None) -> None:
        """As a signal handler: stop the server and leave, whoever may still use it."""
        self._told_to_end = True

    def _prepare(self) -> tuple[server.Layout, bool]:
        account = server_account(self._data / "cluster")
        cluster = cluster_folder(self._data, account)
        programs = self._programs
        if account is not None:
            programs = usable_by(programs, account, state_folder())
        is_new = not cluster.exists()
        if is_new:
            clusters.make(programs, cluster, account)
        clusters.check_version(programs, cluster)
        sockets = socket_folder(cluster, account)
        log = self._open_log()
        return server.Layout(programs, cluster, sockets, log, account, self._connections), is_new

    def _open_log(self) -> Path:
        log = self._data / "server.log"
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_suffix(".log.old"))
        os.close(locks.open_lock(log))  # for its owner and mode
        return log

    def _publish(self, place: str) -> None:
        scratch = self._data / "server.json.new"
        os.close(locks.open_lock(scratch))
        scratch.write_text(place)
        scratch.replace(self._data / "server.json")

    def _serve(self, layout: server.Layout, running: server.Server) -> None:
        users = locks.open_lock(self._data / "users.lock")
        while not self._told_to_end and not locks.try_exclusive(users):
            if not running.is_alive():
                running = server.start(layout)
            time.sleep(_POLL)
        # From here a newcomer waits for the users' lock, and starts a server of its own when we are gone.
        (self._data / "server.json").unlink(missing_ok=True)
        running.stop()
        if layout.sockets != layout.cluster:
            layout.sockets.rmdir()


def main(arguments: list[str]) -> int:
    """Serve the data folder with the programs, for so many connections, unless it is served already."""
    data, programs = map(Path, arguments[:2])
    report = _detach()
    if not locks.try_exclusive(locks.open_lock(data / "server.lock")):
        return 0
    try:
        supervisor = Supervisor(data, at(programs), int(arguments[2]))
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, supervisor.end)
        supervisor.run(report)
    except (EmbeddedError, OSError) as error:
        _answer(report, json.dumps({"error": str(error)}))
        return 1
    return 0


def _detach() -> int:
    """Leave the starter's care, so that it never has us as a zombie; returns where to answer it."""
    if os.fork() > 0:
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    return os.dup(1)


def _answer(report: int, line: str) -> None:
    """Answer the starter, who may be gone or answered by now, and let go of its pipe."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    with contextlib.suppress(OSError):
        os.write(report, line.encode() + b"\n")
    for descriptor in (report, 1, 2):
        os.dup2(nowhere, descriptor, inheritable=descriptor < 3)
    os.close(nowhere)
