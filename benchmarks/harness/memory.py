"""The memory of a service's workers over time, each by its own age: one that replaces another begins anew."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 5.0  # seconds

WARM = 60.0
"""Seconds of age from which on a worker should not grow."""

LEAST = 30.0
"""Seconds beyond that for which a worker has to have been seen."""

_MOST, _MOST_OF_IT = 10.0, 0.1


@dataclass(frozen=True)
class Look:
    """At one worker: its age in seconds, and MB."""

    age: float
    rss: float
    pss: float


@dataclass(frozen=True)
class Growth:
    """Of a worker, from its first minute's end to the last time that it was seen, in MB of RSS."""

    warm: Look
    last: Look

    @property
    def is_flat(self) -> bool:
        """No more than 10 MB or a tenth, whichever is more."""
        return self.last.rss - self.warm.rss <= max(_MOST, _MOST_OF_IT * self.warm.rss)


def growth(looks: Sequence[Look]) -> Growth | None:
    """None for a worker that has not lived long enough."""
    warm = [look for look in looks if look.age >= WARM]
    return Growth(warm[0], warm[-1]) if warm and warm[-1].age - warm[0].age >= LEAST else None


class Memory:
    """Looks at all workers every 5 s. A context manager."""

    def __init__(self, workers: Callable[[], Sequence[int]]) -> None:
        self._workers = workers
        self._looks: dict[int, list[Look]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="memory")

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def growths(self) -> list[Growth]:
        """Of the workers that lived long enough, the one that grew most first."""
        found = [each for each in map(growth, self._looks.values()) if each is not None]
        return sorted(found, key=lambda each: each.warm.rss - each.last.rss)

    def total(self) -> float:
        """MB that the workers that live take now, what they share counted once."""
        return sum(look.pss for look in map(_look_at, self._workers()) if look is not None)

    def _look_on(self) -> None:
        while not self._stop.wait(EVERY):
            for pid in self._workers():
                if (look := _look_at(pid)) is not None:
                    self._looks.setdefault(pid, []).append(look)


def _look_at(pid: int) -> Look | None:
    with suppress(OSError, psutil.Error):
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
        age = time.time() - psutil.Process(pid).create_time()
        return Look(age, _megabytes("Rss", told), _megabytes("Pss", told))
    return None


def _megabytes(name: str, told: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", told, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
