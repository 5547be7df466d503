"""The service under load, side by side with others that answer the same requests from the same tables.

    python benchmarks/service.py --list                          what there is to measure
    python benchmarks/service.py                                 all of it; most of an hour
    python benchmarks/service.py --workloads lookup --peers ours,fastapi-tuned,floor --rounds 3
    python benchmarks/service.py --growth                        our service, from 16 to 512 connections
    python benchmarks/service.py --from build/bench.json         tables and picture once more

All services run at once, with two workers each, on one embedded PostgreSQL; wrk asks one after the other, so that
each round gives every one of them the same machine. Before that all answers are compared. The tables go to
standard output, the measurements to a file, the picture beside it. Needs wrk and requirements-bench.txt. The exit
status is 1 when an answer was wrong or missing, or when growth costs more than it may.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import growth, pgbench, picture
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.load import require_wrk
from benchmarks.harness.report import faults, report
from benchmarks.harness.results import Results
from benchmarks.harness.run import Plan, run
from benchmarks.harness.services import SERVICES
from benchmarks.harness.workloads import NAMES

_FOLDER = Path("build")


def main() -> int:
    """Run what the command line asks for; the exit status."""
    arguments = _parser().parse_args()
    try:
        if arguments.list:
            print(_inventory())
            return 0
        return _grow(arguments) if arguments.growth else _compare(arguments)
    except BenchmarkError as error:
        print(f"service.py: {error}", file=sys.stderr)
        return 1


def _inventory() -> str:
    services = "\n".join(f"  {service.name:16} {service.title}" for service in SERVICES)
    return f"services:\n{services}\nworkloads:\n  {', '.join(NAMES)}"


def _compare(arguments: argparse.Namespace) -> int:
    results = _read_or_make(arguments, "bench", lambda: run(_plan(arguments)))
    print(report(results))
    _draw(arguments, "bench", picture.comparison(results))
    return _end_with(faults(results))


def _grow(arguments: argparse.Namespace) -> int:
    results = _read_or_make(
        arguments,
        "bench-growth",
        lambda: growth.grow(arguments.peers[0], arguments.rounds, arguments.seconds),
    )
    print(growth.table(results))
    _draw(arguments, "bench-growth", picture.growth(results))
    return _end_with([*faults(results), *growth.misses(results)])


def _plan(arguments: argparse.Namespace) -> Plan:
    services = [service for service in SERVICES if service.name in arguments.peers]
    if not pgbench.is_installed():
        services = [service for service in services if service.commands]
        print(pgbench.MISSING, file=sys.stderr)
    return Plan(arguments.rounds, arguments.seconds, arguments.connections, arguments.workloads, services)


def _read_or_make(arguments: argparse.Namespace, name: str, make: Callable[[], Results]) -> Results:
    if arguments.source is not None:
        return Results.read(arguments.source)
    require_wrk()
    results = make()
    results.write(arguments.results or _FOLDER / f"{name}.json")
    return results


def _draw(arguments: argparse.Namespace, name: str, drawn: str) -> None:
    path: Path = arguments.picture or _FOLDER / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(drawn)


def _end_with(wrong: list[str]) -> int:
    for line in wrong:
        print(f"FAILED: {line}", file=sys.stderr)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the services and workloads, and end")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default: 4)")
    parser.add_argument("--connections", type=_numbers, default=[16, 64], help="(default: 16,64)")
    parser.add_argument("--workloads", type=_names_of(NAMES), default=list(NAMES), help="(default: all)")
    names = [service.name for service in SERVICES]
    parser.add_argument("--peers", type=_names_of(names), default=names, help="the services (default: all)")
    parser.add_argument(
        "--growth", action="store_true", help="the first of --peers alone, as connections grow"
    )
    parser.add_argument("--results", type=Path, help="(default: build/bench.json or build/bench-growth.json)")
    parser.add_argument("--picture", type=Path, help="(default: build/bench.svg or build/bench-growth.svg)")
    parser.add_argument("--from", dest="source", type=Path, help="read these results instead of measuring")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        given = text.split(",")
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
        return given

    return names


if __name__ == "__main__":
    sys.exit(main())
