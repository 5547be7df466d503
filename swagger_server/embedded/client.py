"""Starting and joining: what a process does that wants to use the server.

Three locks in the data folder keep order. `start.lock`, held alone while starting or joining: racing
processes start one server. `users.lock`, held together by all users until they end: the supervisor stops
the server when it can have it alone. `server.lock`, held by the supervisor for its life: who finds it
free knows that there is none.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import locks
from .binaries import find
from .cluster import DATABASE, USER
from .errors import EmbeddedError
from .folders import default_data, prepare_data
from .wire import State, probe

_TIMEOUT = 120.0  # seconds for everything; a first start takes about one
_POLL = 0.02  # seconds


@dataclass(frozen=True)
class EmbeddedServer:
    """Where the server is: `connect_kwargs` for `psycopg2.connect`, and the folder with its data."""

    connect_kwargs: dict[str, Any]
    data: Path


@dataclass
class _Membership:
    """The locks that make this process a user, one for each data folder. Forks inherit them."""

    users: dict[Path, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)


_membership = _Membership()


def ensure_running(data: Path | None = None, connections: int = 0) -> EmbeddedServer:
    """Start the server of the data folder, or join the running one; waits until it takes queries.

    The first start makes the data and takes about a second, a later one a tenth; joining takes
    milliseconds. A server that is started has room for so many `connections`, and some more.

    This process and its forks count as users until they end; there is nothing to close.
    May be called again, also to bring back a server that was killed. Raises EmbeddedError.
    """
    folder = prepare_data(data or default_data())
    deadline = time.monotonic() + _TIMEOUT
    try:
        with _membership.guard:
            place = _join(folder, deadline, connections)
    except OSError as error:
        raise EmbeddedError(f"The embedded database cannot be used: {error}") from None
    return EmbeddedServer({**place, "user": USER, "dbname": DATABASE}, folder)


def _join(folder: Path, deadline: float, connections: int) -> Mapping[str, Any]:
    with locks.exclusive(folder / "start.lock", deadline):
        _become_user(folder, deadline)
        while time.monotonic() < deadline:
            place = _find_running(folder) or _start(folder, connections)
            if place is not None:
                return place
            time.sleep(_POLL)
    raise EmbeddedError(f"The embedded database does not answer; its log is {folder / 'server.log'}.")


def _become_user(folder: Path, deadline: float) -> None:
    if folder in _membership.users:
        return
    users = locks.open_lock(folder / "users.lock")
    try:
        locks.wait_shared(users, deadline)
    except BaseException:
        os.close(users)
        raise
    _membership.users[folder] = users


def _find_running(folder: Path) -> Mapping[str, Any] | None:
    """Where the supervised server listens; None while it takes no queries, or when there is no supervisor."""
    if not locks.is_held(folder / "server.lock"):
        return None
    try:
        place: Mapping[str, Any] = json.loads((folder / "server.json").read_text())
    except FileNotFoundError:
        return None
    return place if probe(Path(place["host"])) is State.READY else None


def _start(folder: Path, connections: int) -> Mapping[str, Any] | None:
    """Start a supervisor and hear where its server listens; None when another one is there already."""
    if locks.is_held(folder / "server.lock"):
        return None
    entry = Path(__file__).with_name("__main__.py")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", str(entry), str(folder), str(find().folder), str(connections)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
        check=False,
    )
    return _understand(done.stdout.decode(errors="replace").strip())


def _understand(answer: str) -> Mapping[str, Any] | None:
    if not answer:
        return None
    last_line = answer.splitlines()[-1]
    try:
        place: Mapping[str, Any] = json.loads(last_line)
    except ValueError:
        raise EmbeddedError(f"The embedded database's supervisor failed: {last_line}") from None
    if "error" in place:
        raise EmbeddedError(place["error"])
    return place


def _forget_the_parents_threads() -> None:
    """After a fork the guard may be held by a thread that exists in the parent only."""
    _membership.guard = threading.Lock()


os.register_at_fork(after_in_child=_forget_the_parents_threads)
