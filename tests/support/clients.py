"""Clients under whose load a service is restarted: what became of each request, and why those failed that did.

Half of them keep their connection, the others connect for each request. One that keeps it does what HTTP clients do
with a read: when a connection that was used before ends without a byte of the answer, it asks once more on a new one.
Those requests are counted apart.
"""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

from tests.support.process import wait_until

PATIENCE = 30  # seconds for one answer
THINK = 0.02  # seconds at most between an answer and the next request

_NO_ANSWER = (ConnectionResetError, BrokenPipeError)
"""How the end of a connection shows before a byte of the answer; RemoteDisconnected is one of the first."""


class Clients:
    """`count` clients that read `url` until the block ends."""

    def __init__(self, url: str, count: int = 8) -> None:
        parts = urlsplit(url)
        self._address = parts.netloc
        self._path = url.split(parts.netloc, 1)[1]
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        """Requests by what became of them: "200", another status, or the error of one that was lost."""
        self.lost: list[tuple[str, float]] = []
        """Those that got no good answer: what became of them, and when by time.monotonic()."""
        self.asked_again = 0
        self.slowest = 0.0
        """Seconds that the slowest request took."""
        self._threads = [
            threading.Thread(target=self._keep if number % 2 else self._connect) for number in range(count)
        ]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        self.wait_for(50)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Have each client end its request, and no other begin; to be called before the service ends."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return self.outcomes.total()

    def wait_for(self, more: int) -> None:
        """Until so many more requests have ended."""
        target = self.total + more
        wait_until(lambda: self.total >= target, timeout=60)

    def _keep(self) -> None:
        conn = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        while not self._stop.is_set():
            self._note(lambda: self._ask_on(conn))
        conn.close()

    def _ask_on(self, conn: http.client.HTTPConnection) -> str:
        was_used = conn.sock is not None
        try:
            return self._ask(conn)
        except _NO_ANSWER:
            conn.close()
            if not was_used:
                raise
            with self._lock:
                self.asked_again += 1
            return self._ask(conn)

    def _connect(self) -> None:
        while not self._stop.is_set():
            self._note(self._ask_on_a_new_one)

    def _ask_on_a_new_one(self) -> str:
        with closing(http.client.HTTPConnection(self._address, timeout=PATIENCE)) as conn:
            return self._ask(conn, {"Connection": "close"})

    def _ask(self, conn: http.client.HTTPConnection, headers: dict[str, str] | None = None) -> str:
        try:
            conn.request("GET", self._path, headers=headers or {})
            answer = conn.getresponse()
            answer.read()
        except BaseException:
            conn.close()
            raise
        return str(answer.status)

    def _note(self, ask: Callable[[], str]) -> None:
        begun = time.monotonic()
        try:
            outcome = ask()
        except (OSError, http.client.HTTPException) as error:
            outcome = f"{type(error).__name__}: {error}"
        ended = time.monotonic()
        with self._lock:
            self.outcomes[outcome] += 1
            self.slowest = max(self.slowest, ended - begun)
            if outcome != "200":
                self.lost.append((outcome, ended))
        self._stop.wait(random.uniform(0, THINK))
