"""How many sessions services have in a server, looked at every 50 ms in pg_stat_activity."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

import psycopg2

from tests.support.servers import Database

EVERY = 0.05  # seconds

BY_WORKERS = "application_name LIKE 'swagger_server worker%'"
"""The sessions of workers."""

OVER_TCP = "backend_type = 'client backend' AND client_addr IS NOT NULL"
"""The sessions of everybody who connects over TCP, those included that are only beginning."""


@dataclass
class Peak:
    """The most sessions that were seen at once, whose, and when by time.monotonic()."""

    count: int = 0
    at: float = 0.0
    names: Sequence[str] = field(default_factory=tuple)


class Sampler:
    """Looks on from a thread, over a connection of its own, which it opens again when the server was away.

    `where` picks the sessions, `count` says how many there are for each of several services, by the sessions' names.
    A context manager.
    """

    def __init__(
        self, database: Database, where: str, count: Callable[[Sequence[str]], Mapping[str, int]]
    ) -> None:
        self.peaks: dict[str, Peak] = {}
        self.now: Mapping[str, int] = {}
        self.samples = 0
        self._database = database
        self._query = f"SELECT application_name FROM pg_stat_activity WHERE {where}"
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="sampler")

    def peak(self, service: str) -> Peak:
        """So far."""
        return self.peaks.get(service, Peak())

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._stop.is_set():
            with suppress(psycopg2.Error):
                self._look_on_while_it_is_up()
            self._stop.wait(EVERY)

    def _look_on_while_it_is_up(self) -> None:
        with closing(self._database.connect()) as conn, conn.cursor() as cursor:
            conn.autocommit = True
            while not self._stop.wait(EVERY):
                cursor.execute(self._query)
                self._note([name for (name,) in cursor.fetchall()])

    def _note(self, names: Sequence[str]) -> None:
        self.samples += 1
        self.now = self._count(names)
        for service, count in self.now.items():
            if count > self.peaks.setdefault(service, Peak()).count:
                self.peaks[service] = Peak(count, time.monotonic(), names)
