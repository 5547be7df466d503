"""Requests at fixed times, whether or not the earlier ones are answered, as many users send them.

Half of them go on a connection that is kept, the others on one of their own. Nothing is asked twice: a kept connection
is looked at before it is used, as every client does, and what breaks after that is reported as broken.
"""

import http.client
import select
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.harness.answers import BROKEN, Answer
from benchmarks.harness.errands import POSITION, Errand, Errands

CLIENTS = 600
"""Requests that may be under way at once; further ones are sent late."""

_PATIENCE = 30.0  # seconds for one answer
_KEPT_FOR = 1.0  # seconds; less than any server keeps them


@dataclass(frozen=True)
class Outcome(Answer):
    """What became of an errand."""

    errand: Errand
    due: float
    """When it was to be sent; before `sent` where all clients were busy."""
    port: int
    """Of the client's end of its connection; 0 where there was none."""
    told: str
    """The body, or the error that broke the connection."""
    is_right: bool
    """A success with the right content."""


class OpenLoop:
    """`rate` requests a second for `seconds`, from `start` on. A context manager that waits for their end."""

    def __init__(self, url: str, errands: Errands, rate: int, seconds: float) -> None:
        self.outcomes: list[Outcome] = []
        self.begun = 0.0
        self.sent = 0
        self.wanted = round(rate * seconds)
        self._connections = _Connections(urlsplit(url).netloc)
        self.errands = errands
        self._every = 1 / rate
        self._stop = threading.Event()
        self._clients = ThreadPoolExecutor(CLIENTS, "client")
        self._pacemaker = threading.Thread(target=self._keep_pace, name="pacemaker")

    def __enter__(self) -> "OpenLoop":
        self.begun = time.monotonic()
        self._pacemaker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        if kind is not None:
            self._stop.set()
        self._pacemaker.join()
        self._clients.shutdown()
        self._connections.close()

    def _keep_pace(self) -> None:
        for number in range(self.wanted):
            due = self.begun + number * self._every
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._clients.submit(self._send, self.errands.draw(), due, keep=bool(number % 2))
            self.sent += 1

    def _send(self, errand: Errand, due: float, keep: bool) -> None:
        conn = self._connections.take(keep)
        sent, port = time.monotonic(), 0
        try:
            if conn.sock is None:
                conn.connect()
            port = conn.sock.getsockname()[1]
            conn.request(errand.method, errand.path, errand.body, _headers(errand, keep))
            response = conn.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            ended = time.monotonic()
            conn.close()
            told = f"{type(error).__name__}: {error}"
            self.outcomes.append(Outcome(sent, ended, BROKEN, errand, due, port, told, is_right=False))
            return
        ended = time.monotonic()
        self._connections.give_back(conn, keep and not response.will_close)
        is_right = 200 <= response.status < 300 and errand.is_answered_by(response.status, body)
        if is_right and not errand.is_read:
            self.errands.acknowledged(errand, body, response.getheader(POSITION))
        told = "" if is_right else body.decode(errors="replace")
        self.outcomes.append(Outcome(sent, ended, response.status, errand, due, port, told, is_right))


def _headers(errand: Errand, keep: bool) -> dict[str, str]:
    return errand.headers if keep else {**errand.headers, "Connection": "close"}


class _Connections:
    """Those that are kept between two requests, the one that was used last first."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._kept: deque[tuple[float, http.client.HTTPConnection]] = deque()

    def take(self, keep: bool) -> http.client.HTTPConnection:
        while keep and (conn := self._pop()) is not None:
            since, kept = conn
            if time.monotonic() - since < _KEPT_FOR and not _has_ended(kept):
                return kept
            kept.close()
        return http.client.HTTPConnection(self._address, timeout=_PATIENCE)

    def _pop(self) -> tuple[float, http.client.HTTPConnection] | None:
        with suppress(IndexError):
            return self._kept.pop()
        return None

    def give_back(self, conn: http.client.HTTPConnection, keep: bool) -> None:
        if keep:
            self._kept.append((time.monotonic(), conn))
        else:
            conn.close()

    def close(self) -> None:
        while self._kept:
            self._kept.pop()[1].close()


def _has_ended(conn: http.client.HTTPConnection) -> bool:
    """Something to read where nothing was asked: the end."""
    poller = select.poll()
    poller.register(conn.sock.fileno(), select.POLLIN)
    return bool(poller.poll(0))
