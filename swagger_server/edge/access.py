"""What each request leaves behind when its answer has ended, whole or a stream: a line in the log, a count.

Owns how long the request's id is the current one: until that line is written.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from swagger_server import problems, request_id
from swagger_server.problems import Problem
from swagger_server.serving import Request, Response

log = logging.getLogger("swagger_server.access")

Observe = Callable[[str | None, str, int, float], object]
"""Told of each answer that has ended: the operation (None where there is none), method, status and seconds."""


class Access:
    """One request, from its arrival at the edge to its line in the log; `observe` is told of its end."""

    def __init__(self, request: Request, observe: Observe | None = None) -> None:
        self.request = request
        self._observe = observe
        self.method = request.method
        self._started = time.perf_counter()
        self._outer_id = request_id.current.get()
        self.request_id = request_id.taken_or_made(request.header("x-request-id"))
        self._aborted = False
        request.request_id = self.request_id
        request_id.current.set(self.request_id)

    @property
    def seconds(self) -> float:
        """Since the arrival."""
        return time.perf_counter() - self._started

    def until_the_end(self, response: Response) -> Response:
        """The response, whose line is written at once when it is whole, and for a stream when it is closed.

        A stream that breaks off is reported under the request's id; the exception goes on to the server,
        which cuts the connection: that is all its client can still be told.
        """
        if response.whole is not None:
            self._end(response.status)
            return response
        close = response.close

        def close_and_end() -> None:
            request_id.current.set(self.request_id)
            try:
                close()
            finally:
                self._end(response.status)

        response.body, response.close = self._watched(response.body), close_and_end
        return response

    def _watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except Exception as exc:
            self._aborted = True
            # A stream that was ended from outside, its client being gone, say, has no fault to look for.
            status = 504 if self.request.cancellation.is_cancelled else 500
            problems.report(exc, Problem(status, "The answer broke off."))
            raise

    def _end(self, status: int) -> None:
        if self._observe is not None:
            # With the wait for a thread, which is before the edge.
            waited = time.monotonic() - self.request.arrived
            self._observe(self.request.operation, self.method, status, waited)
        self._write(status)
        # Not by a token: a stream may be closed in another context than the one that it began in, and
        # the thread of a WSGI worker goes on to other requests in this one.
        request_id.current.set(self._outer_id)

    def _write(self, status: int) -> None:
        level = logging.WARNING if self._aborted else logging.INFO
        if not log.isEnabledFor(level):
            return
        timings = self.request.timings
        fields = {
            "request_id": self.request_id,
            "method": self.method,
            "path": self.request.path,
            "operation": self.request.operation,
            "status": status,
            "ms": round(self.seconds * 1000, 1),
            "pool_ms": round(timings.get("pool", 0.0) * 1000, 1),
            "sql_ms": round(timings.get("sql", 0.0) * 1000, 1),
        }
        if self._aborted:
            fields["aborted"] = "yes"
        # Made here, and not by log.log(), which would look for the line of code that it was called from.
        message = ("%s %s %s", (self.method, self.request.path, status))
        log.handle(log.makeRecord(log.name, level, "", 0, *message, None, extra=fields))
