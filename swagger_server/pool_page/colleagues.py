"""How a worker gets the pictures of the others: each has a socket in the service's folder and tells whoever connects.

Nothing is to be read from the one who connects, and nobody but the service's own user can get at the folder. A worker
that does not answer in time, because it stands still, say, is left out.
"""

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swagger_server.pool_page.snapshot import Picture
from swagger_server.runtime import Folder

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds in which a worker has said everything."""

_AT_ONCE = 16


class Colleagues:
    """The workers of a service; this one tells what `tell` gives."""

    def __init__(self, tell: Callable[[], Picture]) -> None:
        self._folder: Folder
        self._tell = tell
        self._listener: socket.socket | None = None

    def start(self, folder: Folder) -> None:
        """Answer the others in `folder` from now on, in this process; a second call does nothing."""
        self._folder = folder
        folder.forget_ended()
        folder.enter()
        if self._listener is None:
            path = self._socket_of(os.getpid())
            path.unlink(missing_ok=True)  # of a process of that number that has ended
            self._listener = listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen(8)
            threading.Thread(target=self._serve, args=(listener,), name="pool-page", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._socket_of(os.getpid()).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def ask(self) -> tuple[list[Picture], list[int]]:
        """The pictures of all workers, and the numbers of those that did not answer. Waits up to PATIENCE."""
        living = self._folder.living()
        others = [pid for pid in living if pid != os.getpid() and self._socket_of(pid).exists()]
        found = {os.getpid(): self._tell()}
        if others:
            with ThreadPoolExecutor(min(len(others), _AT_ONCE), thread_name_prefix="pool-page") as threads:
                told = threads.map(lambda pid: _ask(self._socket_of(pid)), others)
                found |= {pid: picture for pid, picture in zip(others, told, strict=True) if picture}
        silent = [pid for pid in others if pid not in found and pid in self._folder.living()]
        return [found[pid] for pid in sorted(found)], silent

    def _socket_of(self, pid: int) -> Path:
        return self._folder.path / f"pool-{pid}"

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                asking, _ = listener.accept()
            except OSError:
                return
            try:
                with asking:
                    asking.settimeout(PATIENCE)
                    asking.sendall(json.dumps(self._tell()).encode())
            except OSError:
                log.debug("somebody did not want to know", exc_info=True)
            except Exception:
                log.exception("another worker could not be told of the pools")


def _ask(path: Path) -> Picture | None:
    """What the worker behind a socket tells, or None."""
    chunks = []
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(PATIENCE)
            asking.connect(str(path))
            while chunk := asking.recv(65536):
                chunks.append(chunk)
        picture: Picture = json.loads(b"".join(chunks))
    except (OSError, ValueError):
        return None
    return picture
