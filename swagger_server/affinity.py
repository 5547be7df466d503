"""The processor that a worker runs on: one for all of its threads, and another one when others need that.

Python lets one thread of a process run at a time, so a second processor is of little use to them. But Linux wakes
each thread on whichever processor rests: there it finds nothing of the worker in the caches, and as often as not waits
for a thread on the other one to let go of the interpreter. So all threads stay on one processor, and which one that is
is looked at once a second. Must not know what the worker does.
"""

import logging
import os
import random
import socket
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from swagger_server.pulse import Pulse

log = logging.getLogger(__name__)

_STATISTICS = Path("/proc/stat")
_THREADS = Path("/proc/self/task")
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"

_ROOM = 0.1
"""A processor that rests for this share of the time has room for all who are on it."""

_OTHERS = 0.15
"""The share of a processor that others must have for the worker to leave it to them."""

_GAIN = 0.5
"""A processor must rest for more than this part of what the worker has of its own, to be worth a move."""

Times = Mapping[int, tuple[int, int]]
"""How long each processor has rested, and been there, since the system's start, in one unit."""


def keep_on_one_processor(number: int) -> None:
    """Begin, for all threads of this process, on one of the processors that it may use.

    Processes of one parent begin on different ones as long as their `number`s are consecutive. What the process forks
    may run anywhere again; a program that it starts otherwise runs where its threads do. Nothing happens where there
    is only one processor, or where the system, not being Linux or being in a container of a certain kind, does not
    let itself be asked. A mask of processors that somebody sets later (`taskset -a -p`) stands.
    """
    try:
        allowed = sorted(os.sched_getaffinity(0))
        # Where a container shows processors of its own numbering, what is told of one is another's.
        if len(allowed) > 1 and processor_times().keys() >= set(allowed):
            place = Place(allowed, apart(allowed)[(_base() + number) % len(allowed)])
            os.register_at_fork(after_in_child=place.leave)
            Pulse([place.look]).start()
    except (AttributeError, OSError, ValueError) as exc:
        log.debug("the worker's threads run on any processor: %s", exc)


def _base() -> int:
    """The same for all children of a process, and not for those of others: not all services begin on one processor."""
    return zlib.crc32(f"{socket.gethostname()}-{os.getppid()}".encode())


class Place:
    """Where the process is: on one of the processors that it is `allowed`."""

    def __init__(self, allowed: Sequence[int], processor: int) -> None:
        """Raises what Linux refuses as OSError."""
        self._allowed = allowed
        self._processor = processor
        self._is_ours = True
        """It is still for this object to say where the process runs."""
        self._start_round()
        self.move(processor)

    def look(self) -> None:
        """Move to another processor where others need this one, and that one rests."""
        if not self._is_ours:
            return
        try:
            if os.sched_getaffinity(0) == {self._processor}:
                self._move_if_better()
            else:
                self._is_ours = False
                log.info("where this worker runs was changed by somebody else, and is left so")
        except OSError as exc:
            self.leave()
            log.info("the worker's threads run on any processor again: %s", exc)

    def _move_if_better(self) -> None:
        times, spent, begun = self._times, self._spent, self._begun
        self._start_round()
        idle = idle_shares(times, self._times, self._allowed)
        better = better_processors(self._processor, idle, (self._spent - spent) / (self._begun - begun))
        # Of several workers that see the same only some are to go, and not all to one place.
        if better and random.random() < 0.5:
            self.move(random.choice(better))

    def _start_round(self) -> None:
        self._times, self._spent, self._begun = processor_times(), time.process_time(), time.monotonic()

    def move(self, processor: int) -> None:
        """Have all threads of the process, and those that they start, run there. OSError where Linux refuses it."""
        _have_threads_run_on({processor})
        self._processor = processor

    def leave(self) -> None:
        """Let the threads run on all processors again, and no longer look after it."""
        self._is_ours = False
        with suppress(OSError):
            _have_threads_run_on(set(self._allowed))


def _have_threads_run_on(processors: set[int]) -> None:
    # Twice: a thread that starts meanwhile may be of one that was not told yet.
    for _ in range(2):
        for thread in os.listdir(_THREADS):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), processors)


def better_processors(current: int, idle: Mapping[int, float], used: float) -> list[int]:
    """The processors that are worth a move; none to stay.

    `idle` is the share of the time that each has rested, `used` the share that the process has had of `current`.
    """
    if current not in idle or idle[current] > _ROOM or 1 - idle[current] - used < _OTHERS:
        return []
    return [processor for processor, rested in idle.items() if rested > max(_ROOM, _GAIN * used)]


def idle_shares(before: Times, after: Times, processors: Sequence[int]) -> dict[int, float]:
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
    """What Linux tells of its processors: see proc(5), /proc/stat. OSError where that cannot be read."""
    times = {}
    with _STATISTICS.open() as lines:
        next(lines)  # of all processors together
        for line in lines:
            name, *fields = line.split()
            if not name.startswith("cpu"):
                break
            # Without what a hypervisor gave to other machines, and guests' time, which is in the first two already.
            numbers = [int(field) for field in fields[:7]]
            times[int(name[3:])] = numbers[3] + numbers[4], sum(numbers)
    return times


def apart(processors: Sequence[int]) -> list[int]:
    """The processors in an order in which those of different cores come before the second ones of any."""
    return sorted(processors, key=lambda processor: (_place_in_core(processor), processor))


def _place_in_core(processor: int) -> int:
    """Which of its core's processors it is; 0 where the system does not tell."""
    try:
        siblings = Path(_SIBLINGS.format(processor)).read_text()
    except OSError:
        return 0
    first = siblings.strip().replace("-", ",").split(",")[0]
    return processor - int(first) if first.isdigit() else 0
