"""Something that is done again and again, on a thread of its own, while a process serves."""

import logging
import threading
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

SECONDS = 1.0
"""From one beat to the next."""


class Pulse:
    """Calls each of `actions` once a second between `start` and `stop`, and once more at the end."""

    def __init__(self, actions: Sequence[Callable[[], None]]) -> None:
        self._actions = actions
        self._stopped: threading.Event | None = None

    def start(self) -> None:
        """Begin, in this process; a second call does nothing."""
        if self._stopped is None and self._actions:
            # made here: gevent may have replaced what is in the module since this object was made
            self._stopped = threading.Event()
            threading.Thread(target=self._run, args=(self._stopped,), name="pulse", daemon=True).start()

    def stop(self) -> None:
        """End; waits for nobody. Without a `start` it does nothing."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.set()
            self._beat()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(SECONDS):
            self._beat()

    def _beat(self) -> None:
        for action in self._actions:
            try:
                action()
            except Exception:
                log.exception("what is done every second failed")
