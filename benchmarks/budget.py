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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.activity import BY_WORKERS, Sampler
from benchmarks.harness.database import Server, running_server
from benchmarks.harness.load import fault_of, require_wrk, send
from benchmarks.harness.workloads import Workload, all_workloads
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import Database

WORKERS = 8
BUDGET = 10
CLIENTS = 64
LEAST = 0.9
"""Of the throughput without a budget."""

WITH, WITHOUT = f"BUDGET {BUDGET}", "no budget"


def counting(services: Mapping[str, Gunicorn]) -> Callable[[Sequence[str]], dict[str, int]]:
    """How many of the sessions are of whose workers."""

    def count(names: Sequence[str]) -> dict[str, int]:
        pids = [int(name.split()[-1]) for name in names]
        living = {name: set(service.workers()) for name, service in services.items()}
        return {name: sum(pid in own for pid in pids) for name, own in living.items()}

    return count


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
        with Sampler(Database(server.arguments), BY_WORKERS, counting(services)) as sampler:
            rates, faults = measure(services, work, given.rounds, given.seconds)
    print("| 8 workers, 64 clients | requests/s | most connections | failed |\n|---|---:|---:|---|")
    for name, each in rates.items():
        print(
            f"| {name} | {statistics.median(each):,.0f} | {sampler.peak(name).count} | {faults.get(name, 'none')} |"
        )
    ratio = statistics.median(a / b for a, b in zip(rates[WITH], rates[WITHOUT], strict=True))
    held = ratio >= LEAST and not faults and sampler.peak(WITH).count <= BUDGET
    print(f"\n{ratio:.0%} of the requests without a budget: {'held' if held else 'MISSED'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
