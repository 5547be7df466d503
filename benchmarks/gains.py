"""What each optimisation of the service gains: the service beside itself with one of them switched off.

    python benchmarks/gains.py                          the point lookup, 16 connections
    python benchmarks/gains.py --workload autocomplete --rounds 9

Interleaved rounds under wrk, as in benchmarks/service.py, whose requirements it has. A gain is the median of the
rounds' differences in processor time per request, of the workers and of the database.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.load import Sample, require_wrk
from benchmarks.harness.results import Results
from benchmarks.harness.run import Plan, run
from benchmarks.harness.services import Service
from benchmarks.harness.workloads import NAMES

_MODULE = "benchmarks.peers.without"
_WHOLE = Service("whole", "the service", {"places": (f"{_MODULE}:application",)}, ours=True)


def _without(name: str, title: str, *options: str) -> Service:
    return Service(name, title, {"places": (f"{_MODULE}:application", *options)})


def _switched_off(name: str, title: str) -> Service:
    return _without(name, title, "--env", f"WITHOUT={name}")


SERVICES = (
    _WHOLE,
    _switched_off("compiled-operations", "operations compiled at start, not Connexion's middleware"),
    _switched_off("few-threads", "few threads have a request while those compute"),
    _switched_off("late-request", "Flask's request made only when it is looked at"),
    _switched_off("simple-answers", "whole answers passed on, not called as WSGI applications"),
    _without("one-processor", "a worker's threads on one processor", "--env", "SERVER_CPU_AFFINITY=no"),
    _without("prepared", "reads prepared", "--env", "SERVER_PREPARE=no"),
    _without("own-worker", "its own way through uvicorn", "-k", "benchmarks.peers.worker.Worker"),
    _without("uvicorn", "uvicorn's parser and loop, not gunicorn's asgi worker", "-k", "asgi"),
)


def table(results: Results) -> str:
    """A row for each optimisation."""
    lines = [
        f"{results.conditions()}.\n",
        "| without: | requests/s | app CPU µs | gained | database CPU µs | gained |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for service in SERVICES:
        cells = [f"{_median(results, service, lambda s: s.per_second):,.0f}"]
        for value in (lambda s: s.app_us, lambda s: s.database_us):
            cells += [f"{_median(results, service, value):.0f}", _gained(results, service, value)]
        lines.append(f"| {'nothing' if service is _WHOLE else service.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _median(results: Results, service: Service, value: Callable[[Sample], float]) -> float:
    return statistics.median(value(sample) for sample in results.samples if sample.service == service.name)


def _gained(results: Results, service: Service, value: Callable[[Sample], float]) -> str:
    if service is _WHOLE:
        return ""
    whole = {sample.round: value(sample) for sample in results.samples if sample.service == _WHOLE.name}
    gains = (value(s) - whole[s.round] for s in results.samples if s.service == service.name)
    return f"{statistics.median(gains):+.0f}"


def main() -> int:
    """Measure, and print the table; the exit status is 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: 3)")
    parser.add_argument("--connections", type=int, default=16, help="(default: 16)")
    parser.add_argument("--workload", choices=[name for name in NAMES if name != "write"], default="lookup")
    arguments = parser.parse_args()
    require_wrk()
    plan = Plan(
        arguments.rounds, arguments.seconds, [arguments.connections], [arguments.workload], list(SERVICES)
    )
    results = run(plan)
    print(table(results))
    return 1 if any(sample.fault for sample in results.samples) else 0


if __name__ == "__main__":
    sys.exit(main())
