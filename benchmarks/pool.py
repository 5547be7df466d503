"""Twelve properties of a connection pool, measured on ours and on three others, side by side.

    python benchmarks/pool.py                    all properties, all pools, one table
    python benchmarks/pool.py kill-proof fair    only these
    python benchmarks/pool.py --ours --runs 3    only ours, three times

Every cell runs in a process of its own with a private server, so that a pool that hangs or dies spoils nothing else.
Needs requirements-bench.txt. The exit status is 1 when ours misses a limit.
"""

import argparse
import json
import logging
import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psycopg2
import psycopg2.errors
import psycopg2.pool

from swagger_server.pool import ConnectionPool, PoolError, PoolFull, PoolOptions, PoolTimeout
from tests.support.proxy import Proxy
from tests.support.servers import PrivateServer

CELL_LIMIT = 120.0  # seconds


# The pools, each behind the same few methods


class Ours:
    name = "swagger_server"

    def __init__(
        self, kwargs: dict[str, Any], low: int, high: int, timeout: float = 5.0, **options: Any
    ) -> None:
        self.pool = ConnectionPool(low, high, options=PoolOptions(timeout=timeout, **options), **kwargs)

    def get(self) -> Any:
        return self.pool.getconn()

    def put(self, conn: Any) -> None:
        self.pool.putconn(conn)

    def close(self) -> None:
        self.pool.closeall()


class Psycopg2:
    name = "psycopg2"

    def __init__(self, kwargs: dict[str, Any], low: int, high: int, **_: Any) -> None:
        self.pool = psycopg2.pool.ThreadedConnectionPool(low, high, **kwargs)

    def get(self) -> Any:
        return self.pool.getconn()

    def put(self, conn: Any) -> None:
        self.pool.putconn(conn)

    def close(self) -> None:
        self.pool.closeall()


class PsycopgPool:
    name = "psycopg_pool"

    def __init__(self, kwargs: dict[str, Any], low: int, high: int, timeout: float = 5.0, **_: Any) -> None:
        from psycopg_pool import ConnectionPool as TheirPool

        self.pool = TheirPool(kwargs=kwargs, min_size=low, max_size=high, timeout=timeout, open=True)
        self.pool.wait(5)

    def get(self) -> Any:
        return self.pool.getconn()

    def put(self, conn: Any) -> None:
        self.pool.putconn(conn)

    def close(self) -> None:
        self.pool.close()


class SQLAlchemy:
    name = "SQLAlchemy"

    def __init__(self, kwargs: dict[str, Any], low: int, high: int, timeout: float = 5.0, **_: Any) -> None:
        from sqlalchemy.pool import QueuePool

        size = max(low, 1)
        self.pool = QueuePool(
            lambda: psycopg2.connect(**kwargs), pool_size=size, max_overflow=high - size, timeout=timeout
        )
        for conn in [self.pool.connect() for _ in range(low)]:
            conn.close()

    def get(self) -> Any:
        return self.pool.connect()

    def put(self, conn: Any) -> None:
        conn.close()

    def close(self) -> None:
        self.pool.dispose()


POOLS: dict[str, Any] = {kind.name: kind for kind in (Ours, Psycopg2, PsycopgPool, SQLAlchemy)}


@dataclass
class Outcome:
    """What a property came to: whether it holds, and the figures."""

    holds: bool
    figures: str


Property = Callable[[Any], Outcome]
PROPERTIES: dict[str, Property] = {}


def measures(name: str) -> Callable[[Property], Property]:
    def register(check: Property) -> Property:
        PROPERTIES[name] = check
        return check

    return register


# Tools


@contextmanager
def private_server(**settings: str) -> Iterator[PrivateServer]:
    with PrivateServer(settings) as server:
        yield server


def ask(conn: Any, sql: str = "SELECT 1", params: Any = None) -> Any:
    with conn.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


def request(pool: Any, sql: str = "SELECT 1") -> Any:
    """One request as an application makes it: take, ask, commit, give back; an error gives back, too."""
    conn = pool.get()
    try:
        answer = ask(conn, sql)
        conn.commit()
        return answer
    finally:
        with suppress(Exception):
            pool.put(conn)


def pid_of(conn: Any) -> int:
    raw = getattr(conn, "dbapi_connection", conn)
    return int(raw.info.backend_pid)


def kill_all(server: PrivateServer) -> None:
    server.database().execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


def warm_up(pool: Any, count: int) -> None:
    """Have `count` connections open: borrow so many at once."""
    with ThreadPoolExecutor(count) as threads:
        barrier = threading.Barrier(count)

        def borrow() -> None:
            conn = pool.get()
            with suppress(threading.BrokenBarrierError):
                barrier.wait(5)
            pool.put(conn)

        for done in [threads.submit(borrow) for _ in range(count)]:
            done.result()


def timed(step: Callable[[], Any]) -> tuple[float, Exception | None]:
    """Seconds, and the error if there was one."""
    begun = time.perf_counter()
    try:
        step()
        return time.perf_counter() - begun, None
    except Exception as error:
        return time.perf_counter() - begun, error


def in_threads(count: int, step: Callable[[], None]) -> float:
    """Run `step` in so many threads at once; seconds until the last has ended."""
    threads = [threading.Thread(target=step) for _ in range(count)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


# The properties


@measures("1 warm stays warm")
def warm_stays_warm(kind: Any) -> Outcome:
    with private_server() as server:
        pool = kind(server.connect_kwargs, 1, 20)
        pids: set[int] = set()

        def work() -> None:
            for _ in range(500):
                conn = pool.get()
                pids.add(pid_of(conn))
                time.sleep(0.002)
                pool.put(conn)
                time.sleep(0.002)

        in_threads(8, work)
        return Outcome(len(pids) <= 8, f"{len(pids)} connects")


@measures("2 fair")
def fair(kind: Any) -> Outcome:
    with private_server() as server:
        pool = kind(server.connect_kwargs, 4, 4, timeout=30)
        turns: list[int] = []
        waits: list[float] = []
        errors: list[Exception] = []
        together = threading.Barrier(16)

        def work() -> None:
            own = 0
            together.wait()
            end = time.monotonic() + 6
            while time.monotonic() < end:
                begun = time.perf_counter()
                try:
                    conn = pool.get()
                except Exception as error:
                    errors.append(error)
                    time.sleep(0.001)
                    continue
                waits.append(time.perf_counter() - begun)
                own += 1
                time.sleep(0.002)
                pool.put(conn)
            turns.append(own)

        in_threads(16, work)
        ratio = max(waits) / statistics.median(waits)
        spread = (max(turns) - min(turns)) / max(1.0, statistics.mean(turns))
        figures = f"longest/median {ratio:.1f}, turns {min(turns)}-{max(turns)}"
        if errors:
            figures += f", {len(errors)} errors"
        return Outcome(ratio <= 3 and spread <= 0.02 and not errors, figures)


@measures("3 fast")
def fast(kind: Any) -> Outcome:
    with private_server() as server:
        pool, yardstick = kind(server.connect_kwargs, 1, 20), Psycopg2(server.connect_kwargs, 1, 20)
        ours, theirs = [], []
        for _ in range(400):
            ours.append(_seconds_per_turn(pool))
            theirs.append(_seconds_per_turn(yardstick))
        ratio = min(ours) / min(theirs)
        return Outcome(ratio <= 3.3, f"{min(ours) * 1e6:.1f} us, {ratio:.1f} x psycopg2")


def _seconds_per_turn(pool: Any, turns: int = 200) -> float:
    get, put = pool.pool.connect if isinstance(pool, SQLAlchemy) else pool.pool.getconn, pool.put
    if not isinstance(pool, SQLAlchemy):
        put = pool.pool.putconn
    begun = time.perf_counter()
    for _ in range(turns):
        conn = get()
        put(conn)
    return (time.perf_counter() - begun) / turns


def _kill_proof(kind: Any, connect_delay: float) -> Outcome:
    with private_server() as server, Proxy.before(server.tcp_kwargs) as proxy:
        pool = kind(proxy.through(server.tcp_kwargs), 8, 8)
        warm_up(pool, 8)
        proxy.connect_delay = connect_delay
        kill_all(server)
        results = [timed(lambda: request(pool)) for _ in range(30)]
        warm_up_quietly(pool)
        kill_all(server)

        def work() -> None:
            results.extend(timed(lambda: request(pool)) for _ in range(10))

        in_threads(8, work)
        failed = [error for _, error in results if error]
        slowest = max(seconds for seconds, _ in results)
        return Outcome(
            not failed and slowest <= 0.1, f"{len(failed)} of {len(results)} fail, slowest {ms(slowest)}"
        )


def warm_up_quietly(pool: Any) -> None:
    with suppress(Exception):
        warm_up(pool, 8)


@measures("4 kill-proof")
def kill_proof(kind: Any) -> Outcome:
    return _kill_proof(kind, 0.0)


@measures("4 kill-proof, 50 ms a connect")
def kill_proof_delayed(kind: Any) -> Outcome:
    return _kill_proof(kind, 0.05)


def _outage(kind: Any, seconds: float, connect_delay: float = 0.0) -> Outcome:
    with private_server() as server, Proxy.before(server.tcp_kwargs) as proxy:
        way = proxy.through(server.tcp_kwargs) if connect_delay else server.connect_kwargs
        pool = kind(way, 4, 8, timeout=5)
        warm_up(pool, 4)
        proxy.connect_delay = connect_delay
        with Load(pool, per_second=50) as load:
            time.sleep(0.5)
            down_at = time.monotonic()
            server.stop()
            time.sleep(max(0.0, seconds - (time.monotonic() - down_at)))
            server.start()
            ready_at = time.monotonic()
            load.wait_for_success(ready_at, 30)
            time.sleep(1)
        return _judge_outage(load, down_at, ready_at)


def _judge_outage(load: "Load", down_at: float, ready_at: float) -> Outcome:
    first = load.first_success_after(ready_at)
    later = [error for sent, _, error in load.results if error and sent > first]
    # In the first second of the outage callers wait; but one may have its query on the wire.
    not_kept = [
        each for each in load.results if each[2] and down_at < each[0] < down_at + 1 and each[1] < 0.5
    ]
    # From half a second after the grace on; the server's last moments of starting are left out.
    refused = [each for each in load.results if each[2] and down_at + 2.5 < each[0] < ready_at - 0.1]
    slowest = max((took for _, took, _ in refused), default=0.0)
    named = {type(error).__name__ for _, _, error in refused}
    prompt = len(named) == 1 and slowest < 0.05
    holds = first - ready_at <= 0.25 and not later and len(not_kept) <= 2 and prompt
    told = f"first success {ms(max(0.0, first - ready_at))}, {len(later)} later failures, {len(not_kept)} not kept"
    return Outcome(
        holds, f"{told}, {len(refused)} refused ({'/'.join(sorted(named)) or '-'}) in at most {ms(slowest)}"
    )


class Load:
    """So many requests a second, each on a thread of its own, results kept as (sent, seconds, error)."""

    def __init__(self, pool: Any, per_second: float) -> None:
        self.results: list[tuple[float, float, Exception | None]] = []
        self._pool = pool
        self._gap = 1 / per_second
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Load":
        self._clock = threading.Thread(target=self._send_all)
        self._clock.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._clock.join()
        for thread in self._threads:
            thread.join(20)

    def _send_all(self) -> None:
        while not self._stop.wait(self._gap):
            thread = threading.Thread(target=self._send, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _send(self) -> None:
        sent = time.monotonic()
        self.results.append((sent, *timed(lambda: request(self._pool))))

    def first_success_after(self, moment: float) -> float:
        ends = [sent + took for sent, took, error in self.results if error is None and sent + took > moment]
        return min(ends, default=float("inf"))

    def wait_for_success(self, moment: float, patience: float) -> None:
        while self.first_success_after(moment) == float("inf") and time.monotonic() < moment + patience:
            time.sleep(0.005)


@measures("5 outage of 5 s")
def outage_short(kind: Any) -> Outcome:
    return _outage(kind, 5)


@measures("5 outage of 21 s")
def outage_long(kind: Any) -> Outcome:
    return _outage(kind, 21)


@measures("5 outage of 5 s, 50 ms a connect")
def outage_delayed(kind: Any) -> Outcome:
    return _outage(kind, 5, 0.05)


@measures("5 restart within the grace")
def restart(kind: Any) -> Outcome:
    with private_server() as server:
        pool = kind(server.connect_kwargs, 4, 8)
        warm_up(pool, 4)
        with Load(pool, per_second=50) as load:
            time.sleep(0.5)
            server.restart()
            time.sleep(1.5)
        failed = [error for _, _, error in load.results if error]
        refused = [error for error in failed if isinstance(error, PoolError)]
        on_the_wire = len(failed) - len(refused)
        holds = not refused and on_the_wire <= 2
        return Outcome(
            holds, f"{len(refused)} refused, {on_the_wire} cut on the wire, of {len(load.results)}"
        )


@measures("6 timeout contract")
def timeout_contract(kind: Any) -> Outcome:
    with private_server() as server:
        pool = kind(server.connect_kwargs, 2, 4, timeout=1.0, query_timeout=2.0)
        warm_up(pool, 2)
        conns = [pool.get(), pool.get()]
        ask(conns[0])  # in a transaction: giving it back takes a round trip
        server.freeze()
        thaw = threading.Timer(12, server.thaw)
        thaw.start()
        with ThreadPoolExecutor(5) as threads:
            putting = threads.submit(timed, lambda: pool.put(conns[0]))
            asking = threads.submit(timed, lambda: _ask_and_give_back(pool, conns[1]))
            getting = [threads.submit(timed, pool.get) for _ in range(3)]
            (put, _), (query, _) = putting.result(), asking.result()
            get = max(each.result()[0] for each in getting)
        thaw.join()
        back, _ = timed(lambda: _until_it_works(pool))
        holds = put <= 0.01 and query <= 2.3 and get <= 1.1 and back <= 0.25
        return Outcome(
            holds, f"put {ms(put)}, query {ms(query)}, get {ms(get)}, works again after {ms(back)}"
        )


def _ask_and_give_back(pool: Any, conn: Any) -> None:
    try:
        ask(conn)
    finally:
        pool.put(conn)


def _until_it_works(pool: Any) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(Exception):
            request(pool)
            return
    raise TimeoutError


@measures("7 fork-safe")
def fork_safe(kind: Any) -> Outcome:
    with private_server() as server:
        pool = kind(server.connect_kwargs, 2, 4)
        warm_up(pool, 2)
        stop = threading.Event()

        def keep_busy() -> None:
            while not stop.is_set():
                with suppress(Exception):
                    pool.put(pool.get())

        busy = threading.Thread(target=keep_busy, daemon=True)
        busy.start()
        context = multiprocessing.get_context("fork")
        counts = context.Array("i", 4)
        children = [context.Process(target=_child_requests, args=(pool, number, counts)) for number in (1, 2)]
        for child in children:
            child.start()
        stop.set()
        busy.join(5)
        _count_requests(pool, 0, counts)
        for child in children:
            child.join(15)
        hung = [child for child in children if child.is_alive()]
        for child in hung:
            child.kill()
            child.join()
        done, wrong, errors, _ = counts
        lost = _lost_sessions(pool)
        holds = (done, wrong, errors, lost) == (600, 0, 0, 0) and not hung
        return Outcome(
            holds,
            f"{wrong} wrong rows, {errors} errors, {len(hung)} hung, {lost} sessions of the parent lost",
        )


def _child_requests(pool: Any, number: int, counts: Any) -> None:
    _count_requests(pool, number, counts)
    os._exit(0)


def _count_requests(pool: Any, number: int, counts: Any) -> None:
    for turn in range(200):
        expected = number * 1000 + turn
        try:
            right = request(pool, f"SELECT {expected}") == expected
            with counts.get_lock():
                counts[0] += right
                counts[1] += not right
        except Exception:
            with counts.get_lock():
                counts[2] += 1


def _lost_sessions(pool: Any) -> int:
    return sum(timed(lambda: request(pool))[1] is not None for _ in range(4))


@measures("8 no I/O under the lock")
def no_io_under_lock(kind: Any) -> Outcome:
    with private_server() as server, Proxy.before(server.tcp_kwargs) as proxy:
        pool = kind(proxy.through(server.tcp_kwargs), 3, 8)
        held = [pool.get() for _ in range(3)]
        proxy.connect_delay = 3.0
        begun = proxy.accepted
        hanging = threading.Thread(target=lambda: pool.put(pool.get()))
        hanging.start()
        while proxy.accepted == begun:
            time.sleep(0.001)
        times = [timed(lambda: pool.put(held.pop()))[0] for _ in range(2)]
        for _ in range(50):
            times.append(timed(lambda: held.append(pool.get()))[0])
            times.append(timed(lambda: pool.put(held.pop()))[0])
        return Outcome(max(times) <= 0.001, f"slowest of {len(times)} {ms(max(times))}")


class LeakLog(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@measures("9 slots are never lost")
def slots_never_lost(kind: Any) -> Outcome:
    log = LeakLog()
    logging.getLogger("swagger_server.pool").addHandler(log)
    with private_server() as server:
        pool = kind(server.connect_kwargs, 1, 4, timeout=1.0)
        failed = 0
        for _ in range(100):
            failed += timed(lambda: _die_in_transaction(server, pool))[1] is not None
        after_kills = _capacity(pool, 4)
        for _ in range(100):
            failed += timed(lambda: _borrow_and_drop(pool))[1] is not None
        after_drops = _capacity(pool, 4)
        reports = [text for text in log.messages if "_borrow_and_drop" in text]
        holds = (after_kills, after_drops, failed) == (4, 4, 0) and len(reports) == 100
        return Outcome(
            holds,
            f"capacity {after_kills} and {after_drops} of 4, {failed} of 200 failed, {len(reports)} leaks told",
        )


def _die_in_transaction(server: PrivateServer, pool: Any) -> None:
    conn = pool.get()
    pid = ask(conn, "SELECT pg_backend_pid()")
    server.database().execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with suppress(Exception):
        ask(conn)
    with suppress(psycopg2.InterfaceError):
        pool.put(conn)


def _borrow_and_drop(pool: Any) -> None:
    raw = pool.get()
    if isinstance(pool, SQLAlchemy):
        raw = raw.dbapi_connection  # keep the fairy from giving it back by itself
    ask(raw)


def _capacity(pool: Any, limit: int) -> int:
    held = []
    with suppress(Exception):
        while len(held) < limit:
            held.append(pool.get())
    for conn in held:
        pool.put(conn)
    return len(held)


def _spike(kind: Any, connect_delay: float) -> Outcome:
    with private_server() as server, Proxy.before(server.tcp_kwargs) as proxy:
        pool = kind(proxy.through(server.tcp_kwargs), 5, 50, timeout=30)
        warm_up(pool, 5)
        proxy.connect_delay = connect_delay
        before = proxy.accepted
        errors: list[Exception] = []
        barrier = threading.Barrier(51)

        def work() -> None:
            barrier.wait()
            try:
                conn = pool.get()
                time.sleep(0.002)
                pool.put(conn)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(50)]
        for thread in threads:
            thread.start()
        barrier.wait()
        begun = time.perf_counter()
        for thread in threads:
            thread.join()
        took, new = time.perf_counter() - begun, proxy.accepted - before
        return Outcome(
            took <= 0.04 and new <= 1 and not errors, f"done in {ms(took)}, {new} new, {len(errors)} fail"
        )


@measures("10 spike")
def spike(kind: Any) -> Outcome:
    return _spike(kind, 0.15)


@measures("10 spike, 50 ms more a connect")
def spike_delayed(kind: Any) -> Outcome:
    return _spike(kind, 0.2)


@measures("10 role limited to 3")
def role_limit(kind: Any) -> Outcome:
    with private_server() as server:
        server.database().execute("CREATE ROLE few LOGIN CONNECTION LIMIT 3")
        pool = kind({**server.connect_kwargs, "user": "few"}, 1, 8, timeout=10)
        results: list[tuple[float, Exception | None]] = []

        def work() -> None:
            results.extend(timed(lambda: request(pool, "SELECT pg_sleep(0.002)::text")) for _ in range(50))

        in_threads(8, work)
        failed = [error for _, error in results if error]
        return Outcome(not failed, f"{len(results) - len(failed)} of {len(results)} succeed")


_LEFTOVERS = {
    "search_path": ("SET search_path = left_behind", "SELECT current_setting('search_path') = 'left_behind'"),
    "timeout": ("SET statement_timeout = 12345", "SELECT current_setting('statement_timeout') = '12345ms'"),
    "lock": (
        "SELECT pg_advisory_lock(42)::text",
        "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'",
    ),
    "table": (
        "CREATE TEMP TABLE left_behind (n int)",
        "SELECT to_regclass('pg_temp.left_behind') IS NOT NULL",
    ),
}


@measures("11 clean hand-over")
def clean_hand_over(kind: Any) -> Outcome:
    with private_server() as server:
        pool = kind(server.connect_kwargs, 1, 1)
        found = []
        for name, (leave, look) in _LEFTOVERS.items():
            conn = pool.get()
            first = pid_of(conn)
            with conn.cursor() as cursor:
                cursor.execute(leave)
            conn.commit()
            pool.put(conn)
            conn = pool.get()
            found += [name] if ask(conn, look) or pid_of(conn) != first else []
            conn.commit()
            pool.put(conn)
        return Outcome(not found, f"left: {', '.join(found) or 'nothing'}")


@measures("12 visible")
def visible(kind: Any) -> Outcome:
    if kind is not Ours:
        return Outcome(False, "no histogram")
    with private_server() as server:
        pool = ConnectionPool(1, 1, options=PoolOptions(timeout=0.2), **server.connect_kwargs)
        conn = pool.getconn()
        try:
            pool.getconn()
            message = ""
        except PoolTimeout as error:
            message = str(error)
        _own_read_only(conn)
        pool.putconn(conn)
        kept = pid_of(conn)
        server.database().execute("ALTER SYSTEM SET default_transaction_read_only = on")
        server.database().execute("SELECT pg_reload_conf()")
        conn = pool.getconn()
        same = pid_of(conn) == kept
        _write_until_refused(conn)
        pool.putconn(conn)
        evicted = pid_of(pool.getconn()) != kept
        stats = pool.stats()
        told = all(word in message for word in ("total", "in use", "idle", "waiting"))
        counted = (stats.exhausted, stats.unavailable) == (1, 0) and sum(
            n for _, n in stats.wait_histogram
        ) >= 1
        holds = told and same and evicted and counted and 0.2 <= stats.longest_wait < 0.3
        return Outcome(holds, f"evicted {stats.demoted}, longest wait {ms(stats.longest_wait)}, histogram")


def _own_read_only(conn: Any) -> None:
    with conn.cursor() as cursor, suppress(psycopg2.errors.ReadOnlySqlTransaction):
        cursor.execute("SET TRANSACTION READ ONLY; CREATE TABLE refused (n int)")
    conn.rollback()


def _write_until_refused(conn: Any) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with conn.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS wanted (n int)")
            conn.commit()
        except psycopg2.errors.ReadOnlySqlTransaction:
            conn.rollback()
            return


@measures("drain, PoolFull, leak_after")
def extras(kind: Any) -> Outcome:
    if kind is not Ours:
        return Outcome(False, "-")
    with private_server() as server:
        log = LeakLog()
        logging.getLogger("swagger_server.pool").addHandler(log)
        options = PoolOptions(timeout=0.3, max_waiting=1, leak_after=0.2)
        pool = ConnectionPool(2, 2, options=options, **server.connect_kwargs)
        held = [pool.getconn(), pool.getconn()]
        old = {pid_of(conn) for conn in held}
        waiting = threading.Thread(target=lambda: timed(pool.getconn))
        waiting.start()
        while not pool.stats().waiting:
            time.sleep(0.001)
        _, error = timed(pool.getconn)
        waiting.join()
        pool.drain()
        for conn in held:
            pool.putconn(conn)
        held = [pool.getconn(), pool.getconn()]
        new = {pid_of(conn) for conn in held}
        reports = sum("has been held" in text for text in log.messages)
        holds = isinstance(error, PoolFull) and not old & new and reports == 2
        return Outcome(
            holds, f"{type(error).__name__}, {len(new - old)} of 2 replaced, {reports} of 2 reported"
        )


_UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
from psycogreen.gevent import patch_psycopg; patch_psycopg()
import gevent, json, sys, time
sys.path.insert(0, sys.argv[2])
from benchmarks.pool import Ours, request, timed
pool = Ours(json.loads(sys.argv[1]), 1, 4)
results = []
def work():
    for _ in range(20):
        results.append(timed(lambda: request(pool, "SELECT pg_sleep(0.005)::text"))[1])
begun = time.perf_counter()
gevent.joinall([gevent.spawn(work) for _ in range(16)])
took = time.perf_counter() - begun
conn = pool.get()
killer = pool.get()
with killer.cursor() as cursor:
    cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                   "AND backend_type = 'client backend'")
killer.commit(); pool.put(killer); pool.put(conn)
results += [timed(lambda: request(pool))[1] for _ in range(30)]
print(json.dumps([len(results), sum(error is not None for error in results), took]))
"""


@measures("under gevent")
def under_gevent(kind: Any) -> Outcome:
    if kind is not Ours:
        return Outcome(False, "-")
    with private_server() as server:
        root = str(Path(__file__).resolve().parents[1])
        arguments = [sys.executable, "-c", _UNDER_GEVENT, json.dumps(server.connect_kwargs), root]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        if done.returncode:
            return Outcome(False, done.stderr.strip().splitlines()[-1])
        total, failed, took = json.loads(done.stdout)
        return Outcome(not failed, f"{failed} of {total} fail, 320 x 5 ms on 4 in {ms(took)}")


# Running and printing


def run_cell(name: str, kind: str) -> Outcome:
    """One property of one pool, in a process of its own."""
    command = [sys.executable, __file__, "--cell", name, kind]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CELL_LIMIT)
    except subprocess.TimeoutExpired:
        return Outcome(False, f"hangs (> {CELL_LIMIT:.0f} s)")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Outcome(False, f"broke: {reason[:60]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def run_here(name: str, kind: str) -> None:
    outcome = PROPERTIES[name](POOLS[kind])
    print(json.dumps(asdict(outcome)), flush=True)
    os._exit(0)  # threads of pools that hang must not keep the process


def print_row(name: str, outcomes: list[Outcome]) -> None:
    print(
        f"| {name} |",
        " | ".join(f"{'yes' if each.holds else 'NO'}: {each.figures}" for each in outcomes),
        "|",
    )


def _is_meant(name: str, part: str) -> bool:
    return name.split()[0] == part if part.isdigit() else part in name


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("properties", nargs="*", help="numbers, or parts of names; all when none is given")
    parser.add_argument("--ours", action="store_true", help="leave the other pools out")
    parser.add_argument("--runs", type=int, default=1, help="how often to measure each cell (default 1)")
    parser.add_argument("--cell", nargs=2, metavar=("PROPERTY", "POOL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        run_here(*arguments.cell)
    kinds = [Ours.name] if arguments.ours else list(POOLS)
    chosen = [
        name
        for name in PROPERTIES
        if not arguments.properties or any(p in name for p in arguments.properties)
    ]
    print("| property |", " | ".join(kinds), "|")
    print("|---|" + "---|" * len(kinds))
    missed = 0
    for name in chosen:
        for _ in range(arguments.runs):
            outcomes = [run_cell(name, kind) for kind in kinds]
            missed += not outcomes[0].holds
            print_row(name, outcomes)
            sys.stdout.flush()
    print(f"\nours misses {missed} of {len(chosen) * arguments.runs}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
