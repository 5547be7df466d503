"""The service under faults for as long as you like: `gunicorn -w 4` at 200 requests/s, one fault every 10 seconds.

    python benchmarks/soak.py                             10 minutes, one line every 10 seconds, one table
    python benchmarks/soak.py --minutes 2 --seed 1234     a shorter one, with the faults of an earlier run

The faults, in random order: all sessions killed, the server restarted, a worker killed, the connections to the server
cut, the replica paused. No read may fail but those that a killed worker held, or that were refused while the server was
down for longer than OUTAGE_GRACE; no write that was acknowledged may be missing, no session be left behind, no worker
grow, the budget never be exceeded, and /metrics has to say what the clients counted. Needs requirements-dev.txt and
Linux. The exit status is 1 when any of it is missed.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import faulting, soak_report
from benchmarks.harness.activity import OVER_TCP, Sampler
from benchmarks.harness.errands import SEED, Errands
from benchmarks.harness.faulting import Fault, Stage
from benchmarks.harness.memory import Memory
from benchmarks.harness.open_loop import OpenLoop
from benchmarks.harness.soak_report import Evidence, Row
from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.exposition import Scrape
from tests.support.process import Gunicorn, start_gunicorn, wait_until
from tests.support.proxy import Proxy
from tests.support.servers import Database, PrivateServer, ReplicatedServer

WORKERS = 4
BUDGET = 8
MAX = 5
GRACE = 2.0  # seconds: OUTAGE_GRACE
PATIENT = 20.0  # seconds for a thread, a connection, a statement: a machine may be slow for a while
SLOT = 10.0  # seconds from one fault to the next
QUIET = 10.0  # seconds in which what the load has left is tidied up
ENDED = 5.0  # seconds in which a stopped service's sessions have ended


@contextmanager
def _databases() -> Iterator[tuple[ReplicatedServer, ReplicatedServer, Proxy]]:
    """A primary with the tables, a replica that follows it, and a proxy in front of the primary."""
    with ReplicatedServer() as primary:
        primary.database().execute(TABLES)
        primary.database().execute(SEED)
        with primary.standby() as replica, Proxy.before(primary.tcp_kwargs) as proxy:
            replica.wait_for(primary)
            yield primary, replica, proxy


@contextmanager
def _service(primary: ReplicatedServer, replica: ReplicatedServer, proxy: Proxy) -> Iterator[Gunicorn]:
    databases = {
        "default": Database(proxy.through(primary.tcp_kwargs)),
        "replica": Database(replica.tcp_kwargs),
    }
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        env = environment_for(
            databases,
            POSTGRES_REPLICA_READ_ONLY="yes",
            POOL_MAX=str(MAX),
            POOL_BUDGET=str(BUDGET),
            POOL_BUDGET_FOLDER=folder,
            POOL_OUTAGE_GRACE=str(GRACE),
            POOL_TIMEOUT=str(PATIENT),
            SERVER_STATEMENT_TIMEOUT=str(PATIENT),
            SERVER_DEADLINE=str(PATIENT),
            SERVER_LOG_LEVEL="WARNING",
        )
        with start_gunicorn("-w", str(WORKERS), env=env, app=LEDGER) as service:
            wait_until(lambda: len(service.workers()) == WORKERS)
            yield service


@contextmanager
def _samplers(**servers: PrivateServer) -> Iterator[dict[str, Sampler]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Sampler(server.database(), OVER_TCP, _all_to(name)))
            for name, server in servers.items()
        }


def _all_to(name: str) -> Callable[[Sequence[str]], dict[str, int]]:
    return lambda sessions: {name: len(sessions)}


def _make_faults(
    stage: Stage, evidence: Evidence, faults: list[Fault], slots: int, seed: int
) -> Iterator[Fault]:
    """One in each slot of ten seconds, but in none that the last one took; given out at the slot's end."""
    chosen, begun = random.Random(seed), evidence.load.begun
    kinds = faulting.draw_kinds(chosen)
    for slot in range(slots):
        due = begun + slot * SLOT + chosen.uniform(1.0, 4.0)
        if time.monotonic() > due:
            continue
        _sleep_until(due)
        fault = faulting.make(next(kinds), stage, chosen, faults)
        _sleep_until(begun + (slot + 1) * SLOT)
        yield fault


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.monotonic()))


def _progress(fault: Fault, evidence: Evidence, samplers: dict[str, Sampler], memory: Memory) -> str:
    excused, unexplained = evidence.explain()
    note = f" ({fault.note})" if fault.note else ""
    sessions = ", ".join(
        f"{name} {sampler.now.get(name, 0)}, at most {sampler.peak(name).count}"
        for name, sampler in samplers.items()
    )
    return (
        f"{time.monotonic() - evidence.load.begun:4.0f} s: {fault.kind}{note}, over in {fault.seconds:.1f} s;"
        f" {evidence.load.sent} sent, {sum(map(len, excused.values()))} failed with an excuse,"
        f" {len(unexplained)} without; sessions: {sessions}; memory {memory.total():.0f} MB"
    )


def _left_by_load(stage: Stage) -> Iterator[Row]:
    """Whether all sessions belong to a worker's pool and are idle, once there was time to tidy up."""
    deadline = time.monotonic() + QUIET
    while (left := list(_left(stage))) and time.monotonic() < deadline:
        time.sleep(0.1)
    yield (
        "sessions that are not idle in the pool of a worker, after the load",
        "; ".join(left) or "none",
        not left,
    )


def _left(stage: Stage) -> Iterator[str]:
    living = {f"swagger_server worker {pid}" for pid in stage.service.workers()}
    scrape = Scrape(stage.service)
    for pool, server in (("default", stage.primary), ("replica", stage.replica)):
        names = _session_names(server)
        yield from (f"{pool}: {name or 'without a name'}" for name in names if name not in living)
        known = scrape.value("swagger_server_pool_size", pool=pool)
        idle = scrape.value("swagger_server_pool_connections", pool=pool, state="idle")
        if not known == idle == len(names):
            yield f"{pool}: {len(names)} sessions, {known:.0f} in the pools, {idle:.0f} idle"


def _left_by_service(servers: Sequence[PrivateServer]) -> Iterator[Row]:
    deadline = time.monotonic() + ENDED
    while (
        left := [name for each in servers for name in _session_names(each)]
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    yield "sessions after the service has stopped", ", ".join(left) or "none", not left


def _session_names(server: PrivateServer) -> list[str]:
    sql = f"SELECT application_name FROM pg_stat_activity WHERE {OVER_TCP}"
    return [name for (name,) in server.database().execute(sql)]


def soak(minutes: float, rate: int, seed: int) -> Iterator[Row]:
    """What the table says; prints a line in each slot, and what nothing excuses."""
    slots = max(1, round(minutes * 60 / SLOT))
    faults: list[Fault] = []
    with _databases() as (primary, replica, proxy), _samplers(primary=primary, replica=replica) as samplers:
        with _service(primary, replica, proxy) as service:
            stage = Stage(primary, replica, proxy, service, WORKERS)
            load = OpenLoop(service.url, Errands(seed), rate, slots * SLOT)
            evidence = Evidence(load, faults, GRACE)
            with Memory(service.workers) as memory, load:
                for fault in _make_faults(stage, evidence, faults, slots, seed):
                    print(_progress(fault, evidence, samplers, memory), flush=True)
            yield from soak_report.faults(faults, is_every_kind_due=slots >= 2 * len(faulting.KINDS))
            yield from soak_report.requests(evidence)
            yield from soak_report.writes(load.errands.stored(primary.database()))
            yield from _left_by_load(stage)
            yield from soak_report.budget(samplers, BUDGET, load.begun)
            yield from soak_report.memory(memory)
            yield from soak_report.metrics(evidence, Scrape(service))
            log = service.log()
        yield from _left_by_service([primary, replica])
        yield "stacks in the service's log", str(log.count("Traceback")), "Traceback" not in log
    for line in soak_report.unexplained(evidence, log):
        print(line, file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="(default: 10)")
    parser.add_argument("--rate", type=int, default=200, help="requests per second (default: 200)")
    parser.add_argument(
        "--seed", type=int, help="of the faults and the requests (default: another each time)"
    )
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    print(f"--minutes {given.minutes:g} --rate {given.rate} --seed {seed}", flush=True)
    rows = list(soak(given.minutes, given.rate, seed))
    print("\n| | measured | |\n|---|---|---|")
    for what, value, held in rows:
        print(f"| {what} | {value} | {'held' if held else 'MISSED'} |")
    return 0 if all(held for *_, held in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
