"""What a budget costs: 8 workers that share 10 connections, beside 8 workers that may have 20 each.

    python benchmarks/budget.py               5 interleaved rounds of 2 seconds, one table
    python benchmarks/budget.py --rounds 3 --seconds 1

Point lookups by 64 clients of wrk, on the same server, which is asked every 50 ms how many connections each of the two
has. Needs requirements-dev.txt and wrk. The exit status is 1 when a request fails, the budget is exceeded, or less
than 90 % of the requests are answered that are answered without one.
"""

import argparse
import statistics
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.database import Server, running_server
from benchmarks.harness.load import fault_of, require_wrk, send
from benchmarks.harness.workloads import Workload, all_workloads
from tests.support.process import Gunicorn, start_gunicorn

WORKERS = 8
BUDGET = 10
CLIENTS = 64
LEAST = 0.9
"""Of the throughput without a budget."""

WITH, WITHOUT = f"BUDGET {BUDGET}", "no budget"
SAMPLE = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'swagger_server worker%'"
EVERY = 0.05  # seconds


class Sampler:
    """The most connections that a service had at once, by the server's own view."""

    def __init__(self, server: Server, services: Mapping[str, Gunicorn]) -> None:
        self.most = dict.fromkeys(services, 0)
        self._server = server
        self._services = services
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Sampler"]:
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _sample(self) -> None:
        with closing(psycopg2.connect(**self._server.arguments)) as conn, conn.cursor() as cursor:
            conn.autocommit = True
            while not self._stop.wait(EVERY):
                cursor.execute(SAMPLE)
                pids = [int(name.split()[-1]) for (name,) in cursor.fetchall()]
                for name, service in self._services.items():
                    own = set(service.workers())
                    count = sum(pid in own for pid in pids)
                    self.most[name] = max(self.most[name], count)


@contextmanager
def both(server: Server) -> Iterator[dict[str, Gunicorn]]:
    """The two services."""
    env = {**server.environment(), "SERVER_LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        services = {}
        for name, budget in ((WITH, BUDGET), (WITHOUT, 0)):
            own = {**env, "POOL_BUDGET": str(budget)}
            services[name] = stack.enter_context(start_gunicorn("-w", str(WORKERS), env=own))
        yield services


def measure(
    services: Mapping[str, Gunicorn], work: Workload, rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Requests per second of each round, and what went wrong."""
    rates: dict[str, list[float]] = {name: [] for name in services}
    faults: dict[str, str] = {}
    for round_ in range(rounds + 1):
        for name, service in services.items():
            told = send(service.url, work, CLIENTS, seconds if round_ else 1)
            if fault := fault_of(told, work):
                faults[name] = fault
            if round_:
                rates[name].append(told["requests"] / told["seconds"])
    return rates, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default: 2)")
    given = parser.parse_args()
    require_wrk()
    with running_server() as server, both(server) as services:
        work = all_workloads(server)["lookup"]
        with Sampler(server, services).running() as sampler:
            rates, faults = measure(services, work, given.rounds, given.seconds)
    print("| 8 workers, 64 clients | requests/s | most connections | failed |\n|---|---:|---:|---|")
    for name, each in rates.items():
        print(
            f"| {name} | {statistics.median(each):,.0f} | {sampler.most[name]} | {faults.get(name, 'none')} |"
        )
    ratio = statistics.median(a / b for a, b in zip(rates[WITH], rates[WITHOUT], strict=True))
    held = ratio >= LEAST and not faults and sampler.most[WITH] <= BUDGET
    print(f"\n{ratio:.0%} of the requests without a budget: {'held' if held else 'MISSED'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
