"""A process with a pool, for tests of the budget: does what it is told on standard input, a line for each step."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from psycopg2.pool import PoolError

from swagger_server.pool import Budget, ConnectionPool, PoolOptions
from tests.pool.tools import ask


class Steps:
    """What it can be told. Each gives something that JSON can carry."""

    def __init__(self, minconn: int, maxconn: int, budget: Budget, arguments: dict[str, Any]) -> None:
        options = PoolOptions(timeout=10, budget=budget)
        self.pool = ConnectionPool(minconn, maxconn, options=options, **arguments)
        self.held: list[Any] = []
        self._stop = threading.Event()
        self._busy: list[threading.Thread] = []
        self._turns = 0

    def borrow(self, count: int = 1, timeout: float = 10) -> str:
        try:
            for _ in range(count):
                self.held.append(self.pool.getconn(timeout=timeout))
        except PoolError as error:
            return f"{type(error).__name__}: {error}"
        return "ok"

    def give_back(self) -> str:
        while self.held:
            self.pool.putconn(self.held.pop())
        return "ok"

    def begin(self, sql: str) -> str:
        """Run a statement on the last one borrowed, without waiting for it."""
        threading.Thread(target=ask, args=(self.held[-1], sql), daemon=True).start()
        return "ok"

    def load(self, threads: int, sql: str = "SELECT pg_sleep(0.002)::text") -> str:
        """Keep so many borrowers busy from now on."""
        self._busy = [threading.Thread(target=self._work, args=(sql,)) for _ in range(threads)]
        for thread in self._busy:
            thread.start()
        return "ok"

    def turns(self) -> int:
        """How often a borrower of `load` has got a connection."""
        return self._turns

    def rest(self) -> int:
        self._stop.set()
        for thread in self._busy:
            thread.join()
        return self._turns

    def _work(self, sql: str) -> None:
        while not self._stop.is_set():
            with self.pool.connection() as conn:
                ask(conn, sql)
            self._turns += 1

    def stats(self) -> dict[str, Any]:
        return asdict(self.pool.stats())

    def close(self) -> str:
        self.pool.closeall()
        return "ok"


def main() -> None:
    given = json.loads(sys.argv[1])
    budget = Budget(given["path"], given["size"])
    steps = Steps(given["minconn"], given["maxconn"], budget, given["arguments"])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        step: Callable[..., Any] = getattr(steps, name)
        print(json.dumps(step(**arguments)), flush=True)


if __name__ == "__main__":
    main()
