"""`compare`: what the pool is worth on the reader's own database, in one table."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from psycopg2.extensions import connection
from tqdm import tqdm

from swagger_server.budgets import budget_for
from swagger_server.cli.database import CommandError, connect_arguments
from swagger_server.cli.table import table
from swagger_server.compare import (
    STATEMENT,
    Connecting,
    Crowd,
    Fitting,
    Pooled,
    Server,
    SessionMemory,
    Shares,
    Speed,
    ask_server,
    connection_times,
    crowd_connecting,
    crowd_pooled,
    fitting,
    session_memory,
    sessions_of,
    shares_of,
    speeds,
    wait_until_closed,
)
from swagger_server.config import Settings, load_settings
from swagger_server.config.settings import DEFAULT_DATABASE

HEAD = ("", "A CONNECTION PER REQUEST", "THE POOL")

_CONNECTIONS = 100
"""Connections of each way that are timed."""
_MOST_SESSIONS, _MOST_USERS = 5000, 1000
_FEWEST = 2
"""Clients at once, unless fewer are asked for."""
_LONGEST = 20.0  # seconds for each way to find the first failure


@dataclass(frozen=True)
class Measured:
    """All figures of one comparison; of each pair the first is without a pool."""

    server: Server
    fit: Fitting
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
        help="at once for requests/s, or as many as there is room for (default: %(default)s)",
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
    budget = budget_for(settings.pool, arguments.database, target)
    with shares_of(budget) as shares:
        if shares is not None and not shares.take(1):
            raise CommandError(
                f"there is no connection left of the budget of {shares.size}: others have them all"
            )
        with closing(before.open()) as look:
            server = ask_server(look)
            if server is None:
                raise CommandError(f"database {arguments.database} does not tell its limits")
            try:
                fit = _fitting(arguments, settings, server, shares)
                return _measure_both(arguments, settings, target, before, look, server, fit, exhausts)
            finally:
                _end(look, server, shares)


def _fitting(
    arguments: argparse.Namespace, settings: Settings, server: Server, shares: Shares | None
) -> Fitting:
    """Raises CommandError where there is no room for two clients."""
    fit = fitting(arguments.clients, _most(settings), server, shares)
    least = min(_FEWEST, arguments.clients)
    if fit.clients < least:
        needed = sessions_of(least, _most(settings))
        raise CommandError(
            f"compare needs {needed} connections at least, which database {arguments.database} does not have to"
            f" spare: {fit.reason}"
        )
    return fit


def _most(settings: Settings) -> int:
    """The connections that a pool may have."""
    return min(settings.pool.max, settings.pool.budget or settings.pool.max)


def _end(look: connection, server: Server, shares: Shares | None) -> None:
    """Wait until the sessions are closed, and give their part of the budget back."""
    left = 0 if server.limits.is_pooled else wait_until_closed(look)
    if left:
        print(f"swagger_server: {left} sessions were not closed by the server", file=sys.stderr)
    elif shares is not None:
        shares.give_back(1, in_order=True)


def _measure_both(
    arguments: argparse.Namespace,
    settings: Settings,
    target: dict[str, Any],
    before: Connecting,
    look: connection,
    server: Server,
    fit: Fitting,
    exhausts: bool,
) -> Measured:
    timeout = settings.pool.timeout
    most = min(fit.clients, _most(settings))
    with _Bar() as bar, Pooled(target, min(settings.pool.min, most), most, timeout=timeout) as after:
        times = connection_times(
            before, after, count=_CONNECTIONS, seconds=5.0, progress=bar.part("connection times", 20)
        )
        rates = speeds(
            before,
            after,
            clients=fit.clients,
            rounds=arguments.rounds,
            seconds=arguments.seconds,
            progress=bar.part("requests/s", 50),
        )
        sessions = after.pool.stats().total
        with before.connection() as fresh, after.connection() as used:
            memory = session_memory(fresh), session_memory(used)
        after.close()
        crowds = _crowds(settings, target, before, look, server, bar) if exhausts else None
        bar.finish()
    return Measured(server, fit, times, crowds, memory, rates, sessions)


def _crowds(
    settings: Settings,
    target: dict[str, Any],
    before: Connecting,
    look: connection,
    server: Server,
    bar: "_Bar",
) -> tuple[Crowd, Crowd]:
    """The pool first: it leaves the server's other connections alone."""
    most = _most(settings)
    with Pooled(target, min(settings.pool.min, most), most, timeout=settings.pool.timeout) as after:
        pooled = crowd_pooled(
            after, most=_MOST_USERS, seconds=_LONGEST, progress=bar.part("users, pooled", 15)
        )
    if not server.limits.is_pooled:
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
        table(HEAD, _rows(measured)),
        "",
    ]
    return "\n".join([*lines, *_notes(arguments, settings, measured)])


def _about(name: str, server: Server, settings: Settings) -> str:
    limits = server.limits
    kind = " (embedded)" if name not in settings.databases else ""
    about = f"database {name}{kind}: PostgreSQL {limits.version}, {limits.spelled_out()}"
    if limits.is_pooled:
        return f"{about}; a pooler is in front: its own limits hold"
    return f"{about}; others use {server.others}"


def _rows(measured: Measured) -> Iterator[tuple[str, ...]]:
    connecting, pooled, _ = measured.times
    yield "connection time per request", _time(connecting), _time(pooled)
    if measured.crowds is not None:
        yield "users at once before the first failure", *map(_crowd, measured.crowds)
    fresh, used = measured.memory
    each, all_ = "for each user at once", f"for each of {measured.pooled_sessions} connections"
    yield "memory per connection", f"{_size(fresh)} {each}", f"{_size(used)} {all_}"
    yield (
        f"requests/s, {measured.fit.clients} client{'s' * (measured.fit.clients != 1)}",
        *(f"{speed.per_second:,.0f}" for speed in measured.speeds),
    )


def _notes(arguments: argparse.Namespace, settings: Settings, measured: Measured) -> Iterator[str]:
    pool = settings.pool
    budget = f", BUDGET = {pool.budget}" if pool.budget else ""
    yield f"Each request is {STATEMENT}; the pool has [POOL] MIN = {pool.min}, MAX = {pool.max}{budget}."
    if measured.fit.reason:
        yield f"Fewer clients than {arguments.clients}: {measured.fit.reason}."
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
