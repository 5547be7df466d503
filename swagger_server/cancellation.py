"""Ending what a request is doing: because its client is gone, or because its time is up.

Whoever starts something that can be ended from another thread registers how; the serving layer decides when.
"""

import threading
from collections.abc import Callable
from time import monotonic


class Cancellation:
    """When one request's work ends at the latest, and the ways to end it before. Safe from any thread."""

    __slots__ = ("_actions", "_lock", "deadline", "is_cancelled")

    def __init__(self) -> None:
        self.deadline: float | None = None
        """By time.monotonic(); None for no limit."""
        self.is_cancelled = False
        self._lock = threading.Lock()
        self._actions: list[Callable[[], object]] = []

    def time_left(self) -> float | None:
        """Seconds until the deadline, at least 0; None for no limit."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())

    def add(self, action: Callable[[], object]) -> None:
        """Register `action`, which neither waits nor raises. It runs at once if the request is cancelled."""
        with self._lock:
            self._actions.append(action)
            late = self.is_cancelled
        if late:
            self.cancel()

    def remove(self, action: Callable[[], object]) -> None:
        """Forget one action: after this it does not run any more."""
        with self._lock:
            if action in self._actions:
                self._actions.remove(action)

    def clear(self) -> None:
        """Forget the actions: after this none of them runs any more."""
        with self._lock:
            self._actions.clear()

    def cancel(self) -> None:
        """Run the actions that are registered now, each once, and those to come."""
        with self._lock:
            # Run under the lock: what an action ends must not get another owner before it is done.
            self.is_cancelled = True
            actions, self._actions = self._actions, []
            for action in actions:
                action()
