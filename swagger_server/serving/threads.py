"""The threads that run an ASGI worker's requests, and the look at those that take long.

Owns how a request gets to a thread and its answer back to the event loop: one queue, one wake-up of the loop. The
futures of concurrent.futures and asyncio, one wrapped in the other, cost several times as much.
"""

import asyncio
import queue
import threading
from time import monotonic
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_ROUND = 0.1
"""Seconds between two looks at the jobs under way."""

SLOW = 0.2
"""Seconds after which a job counts as slow."""


class GaveUp(Exception):
    """No thread was free in time."""


class Job(Generic[T]):
    """A call on a thread. It belongs to whoever claims it first: a thread, to run it, or the loop, to drop it."""

    __slots__ = ("_arrived", "_claimed", "_is_slow", "_loop", "result")

    def __init__(self) -> None:
        self._arrived = monotonic()
        self._is_slow = False
        self._claimed = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[T] = self._loop.create_future()

    def call(self) -> T:
        """What is to be done, on a thread."""
        raise NotImplementedError

    def discard(self, value: T) -> None:
        """Do away with a result that nobody waits for any more; on a thread."""

    def turned_slow(self) -> None:
        """On the loop: the job is under way for SLOW seconds now."""

    def abandoned(self) -> None:
        """On the loop: it runs, and nobody waits for it any more."""

    def claim(self) -> bool:
        """Whether the caller is the first who wants to have the job."""
        return self._claimed.acquire(blocking=False)

    def look(self, now: float, max_wait: float) -> None:
        """On the loop: give up what no thread has taken in time, and notice what takes long."""
        age = now - self._arrived
        if age > max_wait and not self.result.done() and self.claim():
            self.result.set_exception(GaveUp())
        elif age > SLOW and not self._is_slow:
            self._is_slow = True
            self.turned_slow()

    def run(self) -> None:
        """On a thread: make the call and hand what it returns, or raises, to the loop."""
        value, error = None, None
        try:
            value = self.call()
        except BaseException as exc:
            error = exc
        try:
            self._loop.call_soon_threadsafe(self._end, value, error)
        except RuntimeError:  # the loop has ended, and with it whoever waited
            if value is not None:
                self.discard(value)

    def _end(self, value: Any, error: BaseException | None) -> None:
        if self.result.done():
            if error is None:
                threading.Thread(target=self.discard, args=(value,), daemon=True).start()
        elif error is None:
            self.result.set_result(value)
        else:
            self.result.set_exception(error)


class RequestThreads:
    """Up to `count` threads, started as they are needed; jobs that none takes within `max_wait` seconds are given up.

    Belongs to the process and the event loop that used it first.
    """

    def __init__(self, count: int, max_wait: float) -> None:
        self._count = count
        self._max_wait = max_wait
        self._queue: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        self._started = 0
        self._jobs: set[Job[Any]] = set()
        self._is_looking = False

    async def run(self, job: Job[T]) -> T:
        """The job's result; GaveUp if it was given up, else what its call raised."""
        self._jobs.add(job)
        if self._started < min(len(self._jobs), self._count):
            self._start_thread()
        if not self._is_looking:
            self._look_later()
        self._queue.put(job)
        try:
            return await job.result
        except asyncio.CancelledError:
            if not job.claim():
                job.abandoned()
            raise
        finally:
            self._jobs.discard(job)

    def _start_thread(self) -> None:
        self._started += 1
        # A daemon: a request that hangs must not keep a worker from ending that was told to.
        threading.Thread(target=self._work, name=f"request-{self._started}", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if job.claim():
                job.run()
            del job  # or the last request would live until the next one

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(_ROUND, self._look)

    def _look(self) -> None:
        self._is_looking = False
        now = monotonic()
        for job in list(self._jobs):
            job.look(now, self._max_wait)
        if self._jobs:
            self._look_later()
