"""Requests by operation, method and status."""

from collections.abc import Callable

from swagger_server.metrics.definitions import REQUESTS

OTHER = "other"
"""The operation of what is not in the spec, and the method of what HTTP does not know: paths and words that clients
make up must not become labels, of which each is kept for ever."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})

Observe = Callable[[float], None]


class RequestMetrics:
    """Counts the answers of this process. Safe from any thread."""

    def __init__(self) -> None:
        # What the library's labels() finds out at every call is looked up in one step.
        self._observers: dict[tuple[str | None, str, int], Observe] = {}

    def observe(self, operation: str | None, method: str, status: int, seconds: float) -> None:
        """Count an answer. Never raises."""
        observe = self._observers.get((operation, method, status))
        if observe is None:
            observe = self._observer(operation, method, status)
        observe(seconds)

    def _observer(self, operation: str | None, method: str, status: int) -> Observe:
        known = method if method in _METHODS else OTHER
        observe: Observe = REQUESTS.labels(operation or OTHER, known, str(status)).observe
        if known == method:
            self._observers[operation, method, status] = observe
        return observe
