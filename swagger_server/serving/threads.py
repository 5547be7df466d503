"""The threads that run an ASGI worker's requests, and the look at those that take long.

Owns how a request gets to a thread and its answer back to the event loop, and how many have one at a time. Python
runs one thread at a time: where their work keeps a processor busy, more threads do not do more of it, but take turns
more often, and each turn costs. So few have a request as long as those few compute, and more the more they wait.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, process_time
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_ROUND = 0.1
"""Seconds between two looks at the jobs under way."""

SLOW = 0.2
"""Seconds after which a job counts as slow."""

_FEWEST = 6
"""Threads that may have a job at any time: one computes while the others wait for the database."""

_TURN = 0.002
"""Seconds between two adjustments of how many may have one."""

_WAITING, _COMPUTING = 0.4, 0.6
"""The process's time on a processor, as a share of the time that went by, below which the threads mostly wait, so
that one more may have a job, and above which they mostly compute, so that one fewer may."""


Ended = Callable[["Job[Any]", Any, BaseException | None], None]
"""On a thread: takes a job that has ended, and what its call returned, or raised."""


_LONG = 0.05
"""Seconds after which a job does not count any more, whatever it does: it must not keep others from a thread."""


class GaveUp(Exception):
    """No thread was free within `waited` seconds."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"no thread was free within {waited:.1f} s")
        self.waited = waited


class Interrupted(Exception):
    """Work on a thread raised what is to end a thread or a process, SystemExit say: it ends that work alone."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.__cause__ = error


def uninterrupted(function: Callable[..., T], *args: Any) -> T:
    """Call the function; what else than an Exception it raises becomes Interrupted.

    An event loop would end with SystemExit, and with it the worker, whoever else is being served.
    """
    try:
        return function(*args)
    except Exception:
        raise
    except BaseException as exc:
        raise Interrupted(exc) from exc


class Job(Generic[T]):
    """A call on a thread. It belongs to whoever claims it first: a thread, to run it, or the loop, to drop it."""

    __slots__ = ("_arrived", "_claimed", "_is_slow", "_loop", "is_over")

    def __init__(self) -> None:
        self._arrived = monotonic()
        self._is_slow = False
        self._claimed = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.is_over = False
        """Nobody waits for it any more."""

    def call(self) -> T:
        """What is to be done, on a thread."""
        raise NotImplementedError

    def returned(self, value: T) -> None:
        """On the loop: what the call returned."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """On the loop: what the call raised, or GaveUp."""
        raise NotImplementedError

    def is_wanted(self) -> bool:
        """On the loop: whether somebody waits for it still."""
        return not self.is_over

    def discard(self, value: T) -> None:
        """Do away with a result that nobody waits for any more; on a thread."""

    def turned_slow(self) -> None:
        """On the loop: the job is under way for SLOW seconds now."""

    def abandoned(self) -> None:
        """On the loop: it runs, and nobody waits for it any more."""

    def claim(self) -> bool:
        """Whether the caller is the first who wants to have the job."""
        return self._claimed.acquire(blocking=False)

    def look(self, now: float, max_wait: float) -> bool:
        """On the loop: notice what takes long; whether no thread has taken it in time."""
        age = now - self._arrived
        if age > max_wait and self.claim():
            return True
        if age > SLOW and not self._is_slow:
            self._is_slow = True
            self.turned_slow()
        return False

    def tell_loop(self, function: Callable[..., None], *args: Any) -> bool:
        """On a thread: have it called on the loop; False where that has ended, and with it whoever waited."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def run(self, ended: Ended) -> None:
        """On a thread: make the call, and say how it ended."""
        value: T | None = None
        error: Exception | None = None
        try:
            value = self.call()
        except Exception as exc:
            error = exc
        except BaseException as exc:
            error = Interrupted(exc)  # as `uninterrupted`, without a call of its own
        ended(self, value, error)


class _Thread:
    """A thread for jobs, given one at a time."""

    __slots__ = ("_bell", "_ended", "_job", "_next_job", "is_slow", "since")

    def __init__(self, number: int, next_job: "Callable[[_Thread], Job[Any] | None]", ended: Ended) -> None:
        self._bell = threading.Lock()
        self._bell.acquire()
        self._job: Job[Any] | None = None
        self._next_job = next_job
        self._ended = ended
        self.since: float | None = None
        """When it got its job, by time.monotonic(); None while it rests."""
        self.is_slow = False
        # A daemon: a request that hangs must not keep a worker from ending that was told to.
        threading.Thread(target=self._work, name=f"request-{number}", daemon=True).start()

    def begin(self, job: Job[Any]) -> None:
        """Have the resting thread run a job."""
        self._job = job
        self._bell.release()

    def _work(self) -> None:
        while True:
            self._bell.acquire()
            job, self._job = self._job, None
            while job is not None:
                if job.claim():
                    job.run(self._ended)
                # From here on `begin` may be called: `_job` is its own.
                job = self._next_job(self)


class _Desk:
    """Hands out jobs to at most `count` threads. Safe from any thread."""

    def __init__(self, count: int, ended: Ended) -> None:
        self._count = count
        self._ended = ended
        self._most = min(count, _FEWEST)
        """How many may have a job, those not counted that have it for long."""
        self._lock = threading.Lock()
        self._jobs: deque[Job[Any]] = deque()
        self._threads: list[_Thread] = []
        # A stack: the one that has just ended has its memory in the processor's caches.
        self._resting: list[_Thread] = []
        self._slow = 0
        self._last_look = (0.0, 0.0)

    def add(self, job: Job[Any]) -> bool:
        """Begin the job, or keep it until a thread may have it; whether there is something to adjust."""
        with self._lock:
            if self._jobs or not self._may_begin():
                self._jobs.append(job)
                return True
            self._begin(job)
            return self._most > _FEWEST

    def waiting(self) -> list[Job[Any]]:
        """The jobs that no thread has yet, the longest waiting first."""
        with self._lock:
            return list(self._jobs)

    def look(self) -> None:
        """Begin to watch what the process does until the next adjustment."""
        self._last_look = monotonic(), process_time()

    def adjust(self) -> bool:
        """Let more threads have a job if those that do mostly wait, or fewer; whether to look again."""
        then, spent = self._last_look
        self.look()
        share = (self._last_look[1] - spent) / (self._last_look[0] - then)
        with self._lock:
            if share < _WAITING and self._jobs:
                self._most = min(self._most + max(1, self._most // 2), self._count)
            elif share > _COMPUTING and self._most > _FEWEST:
                self._most -= 1
            self._find_slow(self._last_look[0] - _LONG)
            while self._jobs and self._may_begin():
                self._begin(self._jobs.popleft())
            return bool(self._jobs) or (self._most > _FEWEST and self._busy() > 0)

    def _next_job(self, thread: _Thread) -> Job[Any] | None:
        """For a thread that has ended a job: the next one, or None to rest."""
        with self._lock:
            if thread.is_slow:
                thread.is_slow = False
                self._slow -= 1
            if self._jobs and self._busy() <= self._most:
                thread.since = monotonic()
                return self._jobs.popleft()
            thread.since = None
            self._resting.append(thread)
            return None

    def _find_slow(self, latest: float) -> None:
        """Mark those that have their job since `latest` or longer."""
        for thread in self._threads:
            if thread.since is not None and thread.since <= latest and not thread.is_slow:
                thread.is_slow = True
                self._slow += 1

    def _busy(self) -> int:
        return len(self._threads) - len(self._resting) - self._slow

    def _may_begin(self) -> bool:
        return self._busy() < self._most and bool(self._resting or len(self._threads) < self._count)

    def _begin(self, job: Job[Any]) -> None:
        if not self._resting:
            thread = _Thread(len(self._threads) + 1, self._next_job, self._ended)
            self._threads.append(thread)
            self._resting.append(thread)
        thread = self._resting.pop()
        thread.since = monotonic()
        thread.begin(job)


class RequestThreads:
    """Up to `count` threads, started as they are needed; jobs that none takes within `max_wait` seconds are given up.

    Belongs to the process and the event loop that used it first, and is used on that alone.
    """

    def __init__(self, count: int, max_wait: float) -> None:
        self._desk = _Desk(count, self._ended)
        self._max_wait = max_wait
        self._jobs: set[Job[Any]] = set()
        self._is_looking = False
        self._is_adjusting = False

    def start(self, job: Job[Any]) -> None:
        """Have the job run; it is told when it has."""
        self._jobs.add(job)
        if not self._is_looking:
            self._look_later()
        try:
            has_to_adjust = self._desk.add(job)
        except RuntimeError:  # the system has no more threads for us
            self._end(job, None, GaveUp(0.0))
            return
        if has_to_adjust and not self._is_adjusting:
            self._is_adjusting = True
            self._desk.look()
            self._adjust_later()

    def waiting(self) -> list[Job[Any]]:
        """The jobs that wait for a thread, the longest first. For anybody."""
        return [job for job in self._desk.waiting() if not job.is_over]

    def abandon(self, job: Job[Any]) -> None:
        """Nobody waits for the job any more: it is dropped, or told so if it runs already."""
        self._jobs.discard(job)
        if not job.is_over:
            job.is_over = True
            if not job.claim():
                job.abandoned()

    def _ended(self, job: Job[Any], value: Any, error: BaseException | None) -> None:
        """On a thread."""
        if not job.tell_loop(self._end, job, value, error) and value is not None:
            job.discard(value)

    async def finish(self) -> None:
        """Wait until no job is under way."""
        while self._jobs:
            await asyncio.sleep(_ROUND)

    def _end(self, job: Job[Any], value: Any, error: BaseException | None) -> None:
        self._jobs.discard(job)
        if not job.is_wanted():
            if error is None:
                threading.Thread(target=job.discard, args=(value,), daemon=True).start()
            return
        job.is_over = True
        try:
            if error is None:
                job.returned(value)
            else:
                job.failed(error)
        except Exception:
            # Whoever ends it may be in the middle of another client's request.
            log.exception("the end of a job")

    def _adjust_later(self) -> None:
        asyncio.get_running_loop().call_later(_TURN, self._adjust)

    def _adjust(self) -> None:
        self._is_adjusting = False
        self._is_adjusting = self._desk.adjust()
        if self._is_adjusting:
            self._adjust_later()

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(_ROUND, self._look)

    def _look(self) -> None:
        self._is_looking = False
        if self._jobs:
            self._look_later()
        now = monotonic()
        for job in list(self._jobs):
            if job.look(now, self._max_wait):
                self._end(job, None, GaveUp(self._max_wait))
