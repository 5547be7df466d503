"""`compare`: what the pool is worth on the reader's own database, in one table."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from psycopg2.extensions import connection
from tqdm import tqdm

from swagger_server.cli.database import CommandError, connect_arguments
from swagger_server.cli.table import table
from swagger_server.compare import (
    STATEMENT,
    Connecting,
    Crowd,
    Pooled,
    Server,
    SessionMemory,
    Speed,
    ask_server,
    connection_times,
    crowd_connecting,
    crowd_pooled,
    session_memory,
    speeds,
    wait_until_closed,
)
from swagger_server.config import Settings, load_settings
from swagger_server.config.settings import DEFAULT_DATABASE

HEAD = ("", "A CONNECTION PER REQUEST", "THE POOL")

_CONNECTIONS = 100
"""Connections of each way that are timed."""
_MOST_SESSIONS, _MOST_USERS = 5000, 1000
_LONGEST = 20.0  # seconds for each way to find the first failure


@dataclass(frozen=True)
class Measured:
    """All figures of one comparison; of each pair the first is without a pool."""

    server: Server
    times: tuple[float, float, int]
    crowds: tuple[Crowd, Crowd] | None
    memory: tuple[SessionMemory | None, SessionMemory | None]
    speeds: tuple[Speed, Speed]
    pooled_sessions: int


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = f"""Measure a connection per request against the pool on a database of the settings ({STATEMENT}, no
        HTTP). Finding out how many users it takes to exhaust the server's connections takes them all for some
        seconds: that is asked first."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare", help="measure the pool on your database", description=text
    )
    parser.add_argument("--database", default=DEFAULT_DATABASE, metavar="NAME", help="(default: %(default)s)")
    parser.add_argument(
        "--clients",
        type=_whole,
        default=16,
        metavar="N",
        help="at once for requests/s (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=_whole, default=5, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--seconds", type=_positive, default=1.0, metavar="S", help="of a round (default: %(default)s)"
    )
    exhausting = parser.add_mutually_exclusive_group()
    exhausting.add_argument("--yes", action="store_true", help="exhaust the connections without asking")
    exhausting.add_argument("--no-exhaust", action="store_true", help="leave that line out")
    return parser


def _whole(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 1000, not {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most 60, not {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Measure, then print. Every session is closed at the end, and the server was asked whether it is."""
    settings = load_settings()
    known = connect_arguments(settings)
    if arguments.database not in known:
        names = ", ".join(known)
        raise CommandError(f"there is no database {arguments.database!r} in the settings, only {names}")
    target = known[arguments.database]
    exhausts = not arguments.no_exhaust and (arguments.yes or _agrees(target))
    measured = _measure(arguments, settings, target, exhausts)
    print(_report(arguments, settings, measured))
    return 0


def _agrees(target: dict[str, Any]) -> bool:
    """Ask whether all connections may be taken. Raises CommandError where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            "compare takes all connections of the server for some seconds: agree with --yes, or"
            " leave that out with --no-exhaust"
        )
    place = f"{target.get('dbname', '')} at {target.get('host', '')}"
    print(
        f"To see when the first user fails, all free connections of the server of {place} are taken",
        file=sys.stderr,
    )
    print(
        "for some seconds. Others get none meanwhile. Take them? [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _measure(
    arguments: argparse.Namespace, settings: Settings, target: dict[str, Any], exhausts: bool
) -> Measured:
    before = Connecting(target)
    with closing(before.open()) as look:
        server = ask_server(look)
        try:
            return _measure_both(arguments, settings, target, before, look, server, exhausts)
        finally:
            if left := wait_until_closed(look):
                print(f"swagger_server: {left} sessions were not closed by the server", file=sys.stderr)


def _measure_both(
    arguments: argparse.Namespace,
    settings: Settings,
    target: dict[str, Any],
    before: Connecting,
    look: connection,
    server: Server,
    exhausts: bool,
) -> Measured:
    pool = settings.pool
    with _Bar() as bar, Pooled(target, pool.min, pool.max, timeout=pool.timeout) as after:
        times = connection_times(
            before, after, count=_CONNECTIONS, seconds=5.0, progress=bar.part("connection times", 20)
        )
        rates = speeds(
            before,
            after,
            clients=arguments.clients,
            rounds=arguments.rounds,
            seconds=arguments.seconds,
            progress=bar.part("requests/s", 50),
        )
        sessions = after.pool.stats().total
        with before.connection() as fresh, after.connection() as used:
            memory = session_memory(fresh), session_memory(used)
        crowds = _crowds(before, after, look, bar) if exhausts else None
        bar.finish()
    return Measured(server, times, crowds, memory, rates, sessions)


def _crowds(before: Connecting, after: Pooled, look: connection, bar: "_Bar") -> tuple[Crowd, Crowd]:
    """The pool first: it leaves the server's other connections alone."""
    pooled = crowd_pooled(after, most=_MOST_USERS, seconds=_LONGEST, progress=bar.part("users, pooled", 15))
    after.close()
    wait_until_closed(look)
    connecting = crowd_connecting(
        before, most=_MOST_SESSIONS, seconds=_LONGEST, progress=bar.part("users, connecting", 15)
    )
    # The connection that looks on would be a user's.
    return replace(connecting, users=connecting.users + 1), pooled


class _Bar:
    """A progress bar in percent, on a terminal only."""

    def __init__(self) -> None:
        layout = "{desc:<28}{percentage:3.0f}%|{bar}| {elapsed}"
        # None: not where stderr is a file or a pipe.
        self._bar = tqdm(total=100, disable=None, bar_format=layout)
        self._done = 0.0

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def finish(self) -> None:
        """Show that all is done, also what ended early."""
        self._bar.update(100 - self._bar.n)

    def part(self, text: str, share: float) -> Callable[[float], None]:
        """Begin a part that is `share` percent of all; it tells how much of it is done, from 0 to 1."""
        begun, self._done = self._done, self._done + share
        self._bar.set_description_str(f"Comparing: {text}")

        def tell(done: float) -> None:
            self._bar.update(begun + min(done, 1.0) * share - self._bar.n)

        return tell


def _report(arguments: argparse.Namespace, settings: Settings, measured: Measured) -> str:
    lines = [
        _about(arguments.database, measured.server, settings),
        "",
        table(HEAD, _rows(arguments, measured)),
        "",
    ]
    return "\n".join([*lines, *_notes(arguments, settings, measured)])


def _about(name: str, server: Server, settings: Settings) -> str:
    limit = "" if server.role_limit is None else f", the role's limit is {server.role_limit}"
    kind = " (embedded)" if name not in settings.databases else ""
    return (
        f"database {name}{kind}: PostgreSQL {server.version}, max_connections {server.max_connections},"
        f" of which {server.reserved} are kept from this role{limit}; others use {server.in_use}"
    )


def _rows(arguments: argparse.Namespace, measured: Measured) -> Iterator[tuple[str, ...]]:
    connecting, pooled, _ = measured.times
    yield "connection time per request", _time(connecting), _time(pooled)
    if measured.crowds is not None:
        yield "users at once before the first failure", *map(_crowd, measured.crowds)
    fresh, used = measured.memory
    each, all_ = "for each user at once", f"for each of {measured.pooled_sessions} connections"
    yield "memory per connection", f"{_size(fresh)} {each}", f"{_size(used)} {all_}"
    yield (
        f"requests/s, {arguments.clients} clients",
        *(f"{speed.per_second:,.0f}" for speed in measured.speeds),
    )


def _notes(arguments: argparse.Namespace, settings: Settings, measured: Measured) -> Iterator[str]:
    pool = settings.pool
    yield f"Each request is {STATEMENT}; the pool has [POOL] MIN = {pool.min}, MAX = {pool.max}."
    yield f"Connection time: medians of {measured.times[2]}, in turn."
    if measured.crowds is not None:
        yield from _crowd_notes(measured.crowds)
    if (memory := measured.memory[0]) is not None:
        yield f"Memory: of one new and one used session, {memory.source}."
    else:
        yield "Memory: neither the server's process nor pg_backend_memory_contexts may be read here."
    yield f"Requests/s: medians of {arguments.rounds} rounds of {arguments.seconds:g} s that take turns."
    for way, speed in zip(("with a connection each", "with the pool"), measured.speeds, strict=True):
        if speed.failed:
            yield f"Requests that failed meanwhile, {way}: {speed.failed}."


def _crowd_notes(crowds: tuple[Crowd, Crowd]) -> Iterator[str]:
    yield "Users at once: each has a request under way at the same moment. The next one failed with:"
    for way, crowd in zip(("connecting", "the pool"), crowds, strict=True):
        yield f"  {way}: {crowd.reason or 'none failed, the measuring stops there'}"


def _crowd(crowd: Crowd) -> str:
    return f"{crowd.users:,}" if crowd.reason is not None else f"{crowd.users:,}+, none failed"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds >= 0.0001 else f"{seconds * 1_000_000:.0f} µs"


def _size(memory: SessionMemory | None) -> str:
    return "unknown" if memory is None else f"{memory.size / 1_000_000:.1f} MB"
