"""How long a connection takes, and how many requests get through."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import psycopg2

from swagger_server.compare.ways import Way, ask

Progress = Callable[[float], object]
"""Is told the share that is done, from 0 to 1."""


@dataclass(frozen=True)
class Speed:
    """Medians of rounds in which clients asked one request after another."""

    per_second: float
    failed: int
    """Requests that got no connection or no answer, in all rounds."""


def connection_times(
    before: Way, after: Way, *, count: int, seconds: float, progress: Progress
) -> tuple[float, float, int]:
    """Median seconds to get a connection and give it back, before and after; and how many of each were measured.

    In turn, at most `count` of each and for about `seconds`. Raises psycopg2.Error where there is no connection.
    """
    times: tuple[list[float], list[float]] = ([], [])
    deadline = time.monotonic() + seconds
    while len(times[0]) < count and (time.monotonic() < deadline or not times[0]):
        for way, taken in zip((before, after), times, strict=True):
            taken.append(_time_of_connection(way))
        progress(len(times[0]) / count)
    return median(times[0]), median(times[1]), len(times[0])


def _time_of_connection(way: Way) -> float:
    begun = time.perf_counter()
    with way.connection() as conn:
        got = time.perf_counter() - begun
        ask(conn)
        begun = time.perf_counter()
    return got + time.perf_counter() - begun


def speeds(
    before: Way, after: Way, *, clients: int, rounds: int, seconds: float, progress: Progress
) -> tuple[Speed, Speed]:
    """Requests per second of `clients` at once, in rounds of `seconds` that take turns. `after` has the last one."""
    found: tuple[list[tuple[float, int]], list[tuple[float, int]]] = ([], [])
    for number in range(rounds):
        for side, (way, samples) in enumerate(zip((before, after), found, strict=True)):
            (after, before)[side].rest()
            way.begin()
            samples.append(_Round(way, clients).run(seconds))
            progress((2 * number + side + 1) / (2 * rounds))
    return _speed(found[0]), _speed(found[1])


def _speed(samples: list[tuple[float, int]]) -> Speed:
    return Speed(median(rate for rate, _ in samples), sum(failed for _, failed in samples))


class _Round:
    """Clients that ask one request after another, until they are told to stop."""

    def __init__(self, way: Way, clients: int) -> None:
        self._way = way
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._good = self._failed = 0
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def run(self, seconds: float) -> tuple[float, int]:
        """Good requests per second, and how many failed. Every thread has ended when it returns or raises."""
        begun = time.monotonic()
        try:
            for thread in self._threads:
                thread.start()
            self._stop.wait(seconds)
        finally:
            self._stop.set()
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join()
        return self._good / (time.monotonic() - begun), self._failed

    def _ask(self) -> None:
        good = failed = 0
        while not self._stop.is_set():
            try:
                with self._way.connection() as conn:
                    ask(conn)
                good += 1
            except psycopg2.Error:
                failed += 1
                self._stop.wait(0.01)  # a refusal is quick: without a pause they would be all that happens
        with self._lock:
            self._good += good
            self._failed += failed
