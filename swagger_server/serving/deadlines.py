"""A watch over the requests under way: one that has had its time is cancelled, whatever it waits for."""

import threading
import time

from swagger_server.serving.messages import Request

_ROUND = 0.1
"""Seconds between two looks: how much later than its deadline a request may be cancelled."""


class Deadlines:
    """Gives each request `seconds` (0: no limit) from its arrival, or the time that it is allowed itself.

    One thread looks after all of them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._under_way: dict[int, Request] = {}
        self._watch: threading.Thread | None = None

    def begin(self, request: Request) -> None:
        """Watch the request until `end`. What it still does after that (a stream) has no limit."""
        seconds = self._seconds if request.time_allowed is None else request.time_allowed
        if seconds:
            request.cancellation.deadline = request.arrived + seconds
            self._under_way[id(request)] = request
            if self._watch is None or not self._watch.is_alive():
                self._start_watch()

    def end(self, request: Request) -> None:
        """The request is answered."""
        if request.cancellation.deadline is not None:
            self._under_way.pop(id(request), None)
            request.cancellation.deadline = None

    def _start_watch(self) -> None:
        # Not in __init__: a thread would not survive the fork of a preloaded application.
        self._watch = threading.Thread(target=self._look_after_all, name="deadlines", daemon=True)
        self._watch.start()

    def _look_after_all(self) -> None:
        while True:
            time.sleep(_ROUND)
            now = time.monotonic()
            for request in list(self._under_way.values()):
                deadline = request.cancellation.deadline
                if deadline is not None and deadline < now and not request.cancellation.is_cancelled:
                    request.cancellation.cancel()
