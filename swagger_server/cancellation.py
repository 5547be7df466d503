"""Ending what a request is doing when nobody waits for its answer any more.

Whoever starts something that can be ended from another thread registers how, under the request's environ;
the serving layer asks for it when the client is gone.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

ENVIRON_KEY = "swagger_server.cancellation"


class Cancellation:
    """The ways to end one request's work. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], object]] = []

    def add(self, action: Callable[[], object]) -> None:
        """Register `action`, which may do I/O and must not raise."""
        with self._lock:
            self._actions.append(action)

    def clear(self) -> None:
        """Forget the actions: after this none of them runs any more. Waits for one that is running."""
        with self._lock:
            self._actions.clear()

    def cancel(self) -> None:
        """Run the actions that are registered now, each once."""
        with self._lock:
            # Held meanwhile, I/O or not: what an action ends must not get another owner before it is done.
            actions, self._actions = self._actions, []
            for action in actions:
                action()


def of(environ: Mapping[str, Any]) -> Cancellation:
    """The request's cancellation; one that nobody asks where the environ has none."""
    found: Cancellation | None = environ.get(ENVIRON_KEY)
    return found or Cancellation()
