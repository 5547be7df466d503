"""Autocomplete on a large set of cities beside the one that comes with the project.

    python benchmarks/large.py                  16 connections, 5 rounds of 3 s
    python benchmarks/large.py --rounds 9

Two services with a server each, the same 200 prefixes, interleaved rounds under wrk. The median time of an answer may
be at most twice as long on the large set. Needs wrk, requirements-bench.txt and the package of the large set, which
`python -m swagger_server load-places --cities 500` names. The exit status is 1 when the limit is missed.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.database import Server, running_server
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.load import Sample, measure, require_wrk
from benchmarks.harness.services import SERVICES, Fleet
from benchmarks.harness.workloads import Workload, all_workloads
from swagger_server.sample import DEFAULT_SET, SETS, SampleError

_MOST = 2.0
_OURS = SERVICES[0]
_WARM_UP = 1.0  # seconds


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: 3)")
    parser.add_argument("--connections", type=int, default=16, help="(default: 16)")
    try:
        return _compare(parser.parse_args())
    except (BenchmarkError, SampleError) as error:
        print(f"large.py: {error}", file=sys.stderr)
        return 1


def _compare(arguments: argparse.Namespace) -> int:
    require_wrk()
    with running_server(DEFAULT_SET) as small, running_server(min(SETS)) as large:
        with Fleet(small.environment()) as of_small, Fleet(large.environment()) as of_large:
            workload = all_workloads(small)["autocomplete"]
            sides = ((of_small, small), (of_large, large))
            rounds = [_round(sides, workload, arguments, number) for number in range(arguments.rounds + 1)]
        of_default = _report(small, [samples[0] for samples in rounds[1:]])
        ratio = _report(large, [samples[1] for samples in rounds[1:]]) / of_default
    print(f"\nthe large set takes {ratio:.2f} times as long; at most {_MOST:g}")
    return 0 if ratio <= _MOST else 1


def _round(
    sides: tuple[tuple[Fleet, Server], ...], workload: Workload, arguments: argparse.Namespace, number: int
) -> list[Sample]:
    """One measurement of each side. Round 0 warms up."""
    seconds = arguments.seconds if number else _WARM_UP
    options = {"connections": arguments.connections, "seconds": seconds, "round_": number}
    return [measure(_OURS, fleet, server, workload, **options) for fleet, server in sides]


def _report(server: Server, samples: list[Sample]) -> float:
    """Print a side's medians; that of the median answers, in milliseconds."""
    if faults := [sample.fault for sample in samples if sample.fault]:
        raise BenchmarkError(faults[0])
    [(cities,)] = server.rows("SELECT count(*) FROM city")
    p50 = statistics.median(sample.p50_ms for sample in samples)
    rate = statistics.median(sample.per_second for sample in samples)
    print(f"{cities:>9,} cities: p50 {p50:6.2f} ms, {rate:7,.0f} requests/s")
    return p50


if __name__ == "__main__":
    sys.exit(main())
