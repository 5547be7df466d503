"""Threads for what must not hold up a caller: connecting and cleaning. Started on demand, gone when unused.

Knows nothing of connections. Daemon threads, because one may hang in a connect and must not keep a process
alive.
"""

import logging
import queue
import threading
from collections.abc import Callable

LINGER = 10.0
"""Seconds that a thread without work stays."""

Job = Callable[[], None]

logger = logging.getLogger("swagger_server.pool")


class Workers:
    """Runs each job at once, on a free thread or a new one, so that no job waits for another."""

    def __init__(self, name: str) -> None:
        self._name = name
        # from the module each time: --preload imports it before gevent replaces what is in it
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0

    def run(self, job: Job) -> None:
        """Have `job` run in the background. Never waits."""
        self._jobs.put(job)
        if not self._claim_free_thread():
            self._start_thread()

    def _claim_free_thread(self) -> bool:
        with self._lock:
            claimed = self._free > 0
            self._free -= claimed
        return claimed

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            # The interpreter is shutting down and takes no new threads: the caller's own must do.
            self._run_safely(self._jobs.get())

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            self._run_safely(job)
            del job  # an idle thread must not keep a pool alive
            with self._lock:
                self._free += 1

    def _next_job(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=LINGER)
            except queue.Empty:
                # Leaving means claiming oneself; where that fails, a job has just been sent for this thread.
                if self._claim_free_thread():
                    return None

    def _run_safely(self, job: Job) -> None:
        try:
            job()
        except Exception:
            logger.exception("%s: a background job failed", self._name)
