"""The processor that a worker runs on: one for all of its threads, and another one when that is needed by others.

Python lets one thread of a process run at a time, so a second processor is of little use to them. But Linux wakes
each thread on whichever processor rests: there it finds nothing of the worker in the caches, and as often as not waits
for a thread on the other one to let go of the interpreter. So all threads stay on one processor, and which one that is
is looked at once a second. Must not know what the worker does.
"""

import logging
import os
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from swagger_server.pulse import Pulse

log = logging.getLogger(__name__)

_STATISTICS = Path("/proc/stat")
_THREADS = Path("/proc/self/task")

_ROOM = 0.1
"""A processor that rests for this share of the time has room for all who are on it."""

_OTHERS = 0.15
"""The share of a processor that others must have for the worker to leave it to them."""

_REST = 0.2
"""The share of the time that a processor must rest for the worker to go there."""

Times = Mapping[int, tuple[int, int]]
"""How long each processor has rested, and been there, since the system's start, in one unit."""


def keep_on_one_processor(number: int = 0) -> None:
    """Begin, for all threads of this process, on one of the processors that it may use.

    Processes of one parent begin on different ones as long as their `number`s are consecutive. What they start runs
    where they do. Where there is only one processor, or where the system is not Linux, nothing happens. A mask of
    processors that somebody sets later (`taskset -a -p`) stands.
    """
    if not hasattr(os, "sched_setaffinity") or not _STATISTICS.exists():
        return
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        # By the parent, too: of several services with one worker each not all are to begin on the first.
        processor = allowed[(os.getppid() + number) % len(allowed)]
        Pulse([Place(allowed, processor).look]).start()


class Place:
    """Where the process is: on one of the processors that it is `allowed`."""

    def __init__(self, allowed: list[int], processor: int) -> None:
        self._allowed = allowed
        self._processor = processor
        self._is_ours = True
        """Nobody else has said where the process is to run."""
        self._start_round()
        self.move(processor)

    def look(self) -> None:
        """Move to another processor where others need this one, and it rests."""
        if not self._is_ours:
            return
        if os.sched_getaffinity(0) != {self._processor}:
            self._is_ours = False
            return
        times, spent, begun = self._times, self._spent, self._begun
        self._start_round()
        idle = idle_shares(times, self._times, self._allowed)
        used = (self._spent - spent) / max(self._begun - begun, 1e-9)
        better = better_processor(self._processor, idle, used)
        # Of several workers that see the same only some are to go there.
        if better is not None and random.random() < 0.5:
            self.move(better)

    def _start_round(self) -> None:
        self._times, self._spent, self._begun = processor_times(), time.process_time(), time.monotonic()

    def move(self, processor: int) -> None:
        """Have all threads of the process, and those that they start, run there; or nowhere else than before."""
        try:
            # Twice: a thread that starts meanwhile may be of one that was not told yet.
            for _ in range(2):
                for thread in os.listdir(_THREADS):
                    with suppress(ProcessLookupError):
                        os.sched_setaffinity(int(thread), {processor})
        except OSError as exc:
            self._is_ours = False
            log.info("the worker's threads run on any processor: %s", exc)
        else:
            self._processor = processor


def better_processor(current: int, idle: Mapping[int, float], used: float) -> int | None:
    """The processor to move to; None to stay.

    `idle` is the share of the time that each has rested, `used` the share that the process has had of `current`.
    """
    if current not in idle or idle[current] > _ROOM or 1 - idle[current] - used < _OTHERS:
        return None
    best = max(idle, key=lambda processor: idle[processor])
    return best if idle[best] > _REST else None


def idle_shares(before: Times, after: Times, processors: list[int]) -> dict[int, float]:
    """The share of the time between that each of the processors has rested; without those that nothing is told of."""
    shares = {}
    for processor in processors:
        if processor in before and processor in after:
            rested, passed = (
                now - then for then, now in zip(before[processor], after[processor], strict=True)
            )
            if passed > 0:
                shares[processor] = rested / passed
    return shares


def processor_times() -> Times:
    """What Linux tells of its processors: see proc(5), /proc/stat."""
    times = {}
    for line in _STATISTICS.read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            numbers = [int(field) for field in fields[:8]]  # guests' time is in the first two already
            times[int(name[3:])] = numbers[3] + numbers[4], sum(numbers)
    return times
