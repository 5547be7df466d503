"""What one worker takes: seconds until it answers in another one's place, and memory as it answers.

    python benchmarks/worker.py                       five starts, 100,000 requests
    python benchmarks/worker.py --starts 15 --requests 500000

A start begins when the only worker is killed, and ends when the request is answered that waited for the next one. The
requests are all kinds of benchmarks/service.py but the write, each for two seconds in turn. Needs wrk and
requirements-bench.txt. The exit status is 1 when an answer was wrong, or a start or the memory is beyond the bounds
below.
"""

import argparse
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.database import running_server
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.load import fault_of, require_wrk, send
from benchmarks.harness.services import SERVICES, Fleet, Running
from benchmarks.harness.workloads import NAMES, Workload, all_workloads

LONGEST_START = 1.5  # seconds
MOST_MEMORY = 90.0  # MB
WARM = 0.2
"""The share of the requests after which a worker should not grow."""
MOST_GROWTH = 3.0  # MB

_CONNECTIONS = 64
_SECONDS = 2.0  # of each workload at a time
_PATIENCE = 60.0  # seconds for an answer
_WORKLOADS = tuple(name for name in NAMES if name != "write")


@dataclass(frozen=True)
class Look:
    """At a worker's memory, in MB, after it has answered so many requests."""

    requests: int
    rss: float
    uss: float


def starts(running: Running, path: str, count: int) -> list[float]:
    """Seconds from each end of the worker to the first answer of the next one."""
    return [_start(running, path) for _ in range(count)]


def _start(running: Running, path: str) -> float:
    (worker,) = psutil.Process(running.process.pid).children()
    worker.send_signal(signal.SIGKILL)
    began = time.monotonic()
    worker.wait(_PATIENCE)
    # The master keeps the socket: the request waits there for the new worker.
    with urllib.request.urlopen(running.url + path, timeout=_PATIENCE) as answer:
        answer.read()
    took = time.monotonic() - began
    running.workers = psutil.Process(running.process.pid).children()
    return took


def looks(running: Running, workloads: list[Workload], requests: int) -> Iterator[Look]:
    """At the worker, each time that all the workloads were sent, until it has answered so many."""
    answered = 0
    yield Look(answered, *running.memory())
    while answered < requests:
        for workload in workloads:
            told = send(running.url, workload, _CONNECTIONS, _SECONDS)
            if fault := fault_of(told, workload):
                raise BenchmarkError(f"{workload.title}: {fault}")
            answered += told["requests"]
        yield Look(answered, *running.memory())


def _table(seen: list[Look]) -> str:
    rows = "\n".join(f"| {look.requests:,} | {look.rss:.1f} | {look.uss:.1f} |" for look in seen)
    return f"| requests answered | RSS MB | USS MB |\n|---:|---:|---:|\n{rows}"


def _misses(took: list[float], seen: list[Look]) -> Iterator[str]:
    start, last = statistics.median(took), seen[-1]
    if start > LONGEST_START:
        yield f"a worker's start takes {start:.2f} s, not {LONGEST_START}"
    if last.rss > MOST_MEMORY:
        yield f"a worker takes {last.rss:.0f} MB, not {MOST_MEMORY:.0f}"
    warm = next(look for look in seen if look.requests >= WARM * last.requests)
    if last.rss - warm.rss > MOST_GROWTH:
        yield f"it grew by {last.rss - warm.rss:.1f} MB after {warm.requests:,} requests"


def main() -> int:
    """Measure, and print; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--starts", type=_at_least_one, default=5, help="(default: 5)")
    parser.add_argument("--requests", type=_at_least_one, default=100_000, help="at least (default: 100000)")
    arguments = parser.parse_args()
    try:
        missed = list(_misses(*_measure(arguments.starts, arguments.requests)))
    except BenchmarkError as error:
        missed = [str(error)]
    for line in missed:
        print(f"FAILED: {line}", file=sys.stderr)
    return 1 if missed else 0


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _measure(count: int, requests: int) -> tuple[list[float], list[Look]]:
    require_wrk()
    with running_server() as server, Fleet(server.environment(), workers=1) as fleet:
        known = all_workloads(server)
        running = fleet.get(SERVICES[0], "places")
        took = starts(running, known["lookup"].requests[0].path, count)
        print("seconds until another worker's first answer: " + ", ".join(f"{s:.2f}" for s in took))
        seen = list(looks(running, [known[name] for name in _WORKLOADS], requests))
        print(_table(seen))
        return took, seen


if __name__ == "__main__":
    sys.exit(main())
