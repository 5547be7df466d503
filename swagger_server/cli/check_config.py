"""`check-config`: what the settings are, where each came from, whether the databases answer, and what fits them."""

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any

import psycopg2

from swagger_server.capacity import Limits, asked_by, left_to_others, limits_over
from swagger_server.cli.database import CommandError, connect_arguments, connected, interruptible, one_line
from swagger_server.cli.serve import DEFAULT_WORKERS
from swagger_server.cli.table import table
from swagger_server.config import Loaded, PoolSettings, example, read_settings


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Print the settings that hold, secrets masked, try each database, and do the arithmetic of connections."
    parser: argparse.ArgumentParser = commands.add_parser(
        "check-config", help="show the settings and try the databases", description=text
    )
    parser.add_argument(
        "--example", action="store_true", help="print config.ini.example instead, and try nothing"
    )
    workers = os.environ.get("WEB_CONCURRENCY") or DEFAULT_WORKERS
    parser.add_argument(
        "-w",
        "--workers",
        type=_positive,
        default=workers,
        metavar="N",
        help="worker processes on each host (default: %(default)s)",
    )
    parser.add_argument(
        "--instances",
        type=_positive,
        default="1",
        metavar="N",
        help="hosts or containers that run the service (default: %(default)s)",
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def run(arguments: argparse.Namespace) -> int:
    """Print settings and databases. Exit status 1, with a line for each, when databases do not answer, or do not
    have room.
    """
    if arguments.example:
        print(example(), end="")
        return 0
    loaded = read_settings()
    _print_settings(loaded)
    databases = connect_arguments(loaded.settings).items()
    fine = [_try(name, kwargs, loaded, arguments) for name, kwargs in databases]
    return 0 if all(fine) else 1


def _print_settings(loaded: Loaded) -> None:
    rows = [(f"[{item.section}]", item.key, item.value or "-", item.origin) for item in loaded.effective]
    print(f"settings file: {loaded.settings.source or 'none'}\n")
    print(table(("SECTION", "KEY", "VALUE", "FROM"), rows), end="\n\n")
    for note in loaded.notes:
        print(f"note: {note}")


def _try(name: str, database: dict[str, Any], loaded: Loaded, arguments: argparse.Namespace) -> bool:
    """Connect to one database, print what it says of itself, and whether the settings fit it."""
    try:
        limits = _ask(database)
    except (CommandError, psycopg2.Error) as error:
        print(f"swagger_server: database {name} failed: {one_line(error)}", file=sys.stderr)
        return False
    pool = loaded.settings.pool
    kind = " (embedded)" if name not in loaded.settings.databases else ""
    room = f"room for {limits.room() // pool.max} workers with [POOL] MAX"
    print(f"database {name}{kind}: PostgreSQL {limits.version}, max_connections {limits.most}, {room}")
    print(*_arithmetic(limits, pool, arguments.workers, arguments.instances), sep="\n")
    asked = asked_by(pool, arguments.workers).count * arguments.instances
    if asked <= limits.room() or limits.is_pooled:
        return True
    too_few = f"{asked} connections are asked for, and there is room for {limits.room()}"
    print(f"swagger_server: database {name} does not fit: {too_few}", file=sys.stderr)
    return False


def _ask(arguments: dict[str, Any]) -> Limits:
    with interruptible(), connected("check-config", arguments) as conn:
        limits = limits_over(conn)
        if limits is None:
            raise CommandError("it does not tell its limits")
        return limits


def _arithmetic(limits: Limits, pool: PoolSettings, workers: int, instances: int) -> Iterator[str]:
    """What there is, what is asked for, and what would be right."""
    asked = asked_by(pool, workers)
    total = asked.count * instances
    room = limits.room()
    yield f"  the server gives: {limits.spelled_out()}"
    times = f", x {instances} instances = {total}" if instances > 1 else ""
    yield f"  the service asks: {asked.text}{times}"
    if limits.is_pooled:
        yield "  a pooler is in front: its own limits hold (max_client_conn for the service's connections)"
        return
    verdict = f"fits, {room - total} left for psql and migrations" if total <= room else "does not fit"
    yield f"  that {verdict}"
    yield from _recommendation(room, pool, workers, instances)


def _recommendation(room: int, pool: PoolSettings, workers: int, instances: int) -> Iterator[str]:
    """By the rules: MIN about one a worker; what an instance may have is its part of what others leave."""
    others = left_to_others(room)
    part = (room - others) // instances
    sum_ = (
        f"({room} - {others} for psql and migrations) / {instances} instance{'s' * (instances != 1)} = {part}"
    )
    if part < 1:
        yield f"  recommended: a pooler such as PgBouncer in front, or fewer instances: {sum_}"
        return
    most = max(1, min(part // workers, pool.max))
    yield f"  recommended: {sum_} for each instance"
    if part >= workers:
        yield f"    without a budget: MIN = 1, MAX = {most} ({workers} workers x {most} = {workers * most})"
    yield f"    with a budget:    MIN = 1, MAX = {min(part, pool.max)}, BUDGET = {part}"
