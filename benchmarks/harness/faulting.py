"""The faults of the soak: what is done to a database, its replica, the way to it and the workers, and when it is over.

Owns how each is made and what is known of it afterwards. Whether it excuses a failed request is `attribution`'s.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.harness.activity import OVER_TCP
from tests.support.process import Gunicorn, has_died, wait_until
from tests.support.proxy import Proxy
from tests.support.servers import PrivateServer, ReplicatedServer

LONGEST = 60.0  # seconds until a fault has to be over

_LONGEST_STOP = 0.8  # seconds between its end and its start; a restart is to take less than two

SESSIONS = "all sessions killed"
RESTART = "server restarted"
WORKER = "worker killed"
CUT = "connections cut"
REPLICA = "replica paused"


@dataclass(frozen=True)
class Stage:
    """What the faults happen to: the service reaches the primary by way of the proxy."""

    primary: ReplicatedServer
    replica: ReplicatedServer
    proxy: Proxy
    service: Gunicorn
    workers: int


@dataclass
class Fault:
    """One fault; times are time.monotonic()'s."""

    kind: str
    begun: float = field(default_factory=time.monotonic)
    over: float = float("inf")
    note: str = ""
    ports: frozenset[int] = frozenset()
    """The clients' ports of the connections that a killed worker had when it died."""
    died: float = 0.0
    """When its connections had ended."""

    @property
    def seconds(self) -> float:
        return self.over - self.begun


Make = Callable[[Stage, random.Random, Fault], None]
"""Makes a fault, and returns when it is over."""


def kill_sessions(stage: Stage, _random: random.Random, fault: Fault) -> None:
    """End all of the service's sessions, in both servers."""
    killed = 0
    for server in (stage.primary, stage.replica):
        ended = end_sessions(server)
        killed += len(ended)
        _wait_until_ended(server, ended)
    fault.note = f"{killed} sessions"


Session = tuple[int, str]
"""A backend's pid and when it began: pids are used again."""


def end_sessions(server: PrivateServer, where: str = OVER_TCP) -> set[Session]:
    """End the sessions that `where` picks; which they were. Does not wait for their end."""
    sql = f"SELECT pid, backend_start::text, pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}"
    return {(pid, begun) for pid, begun, _ in server.database().execute(sql)}


def _sessions(server: PrivateServer) -> set[Session]:
    sql = f"SELECT pid, backend_start::text FROM pg_stat_activity WHERE {OVER_TCP}"
    return {(pid, begun) for pid, begun in server.database().execute(sql)}


def _wait_until_ended(server: PrivateServer, sessions: set[Session]) -> None:
    wait_until(lambda: not sessions & _sessions(server), LONGEST, lambda: f"left: {_sessions(server)}")


def restart(stage: Stage, chosen: random.Random, fault: Fault) -> None:
    """Stop the primary, as an administrator does or as a crash does, and start it again, within the grace if it can."""
    mode = chosen.choice(("fast", "immediate"))
    stage.primary.stop(mode)
    time.sleep(chosen.uniform(0.0, _LONGEST_STOP))
    stage.primary.start()
    fault.note = mode


def kill_worker(stage: Stage, chosen: random.Random, fault: Fault) -> None:
    """SIGKILL to a worker, but not the oldest, whose memory is looked at; over when another one works in its place.

    It stands still for the moment in which its connections are noted: so they are those that it had when it died.
    """
    before = stage.service.workers()
    victim = chosen.choice(sorted(before, key=_age)[:-1])
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: _is_stopped(victim), LONGEST)
    fault.ports = _client_ports(victim)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: has_died(victim), LONGEST)
    fault.died = time.monotonic()
    wait_until(lambda: _is_replaced(stage, set(before), victim), LONGEST, lambda: stage.service.log()[-2000:])
    fault.note = f"of {len(fault.ports)} connections"


def _age(pid: int) -> float:
    return -psutil.Process(pid).create_time()


def _is_stopped(pid: int) -> bool:
    """Every thread of it: a signal takes a moment to reach those that run."""
    return all(
        (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def _client_ports(pid: int) -> frozenset[int]:
    connections = psutil.Process(pid).net_connections("tcp")
    return frozenset(each.raddr.port for each in connections if each.raddr)


def _is_replaced(stage: Stage, before: set[int], victim: int) -> bool:
    now = set(stage.service.workers())
    return (
        victim not in now and len(now) == stage.workers and all(_serves(stage, pid) for pid in now - before)
    )


def _serves(stage: Stage, pid: int) -> bool:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    ((count,),) = stage.primary.database().execute(sql, (f"swagger_server worker {pid}",))
    return bool(count)


def cut(stage: Stage, chosen: random.Random, fault: Fault) -> None:
    """Break off the connections to the primary, in half of the cases after some silence."""
    silent = chosen.choice((0.0, chosen.uniform(0.1, 1.0)))
    if silent:
        stage.proxy.swallow()
        time.sleep(silent)
        stage.proxy.pass_on()
        fault.note = f"after {silent:.1f} s of silence"
    sessions = _sessions(stage.primary)
    stage.proxy.cut()
    _wait_until_ended(stage.primary, sessions)


def pause_replica(stage: Stage, chosen: random.Random, _fault: Fault) -> None:
    """Have the replica stand still for some seconds, and catch up."""
    stage.replica.pause_replay()
    try:
        time.sleep(chosen.uniform(1.0, 4.0))
    finally:
        stage.replica.resume_replay()
    stage.replica.wait_for(stage.primary)


KINDS: dict[str, Make] = {
    SESSIONS: kill_sessions,
    RESTART: restart,
    WORKER: kill_worker,
    CUT: cut,
    REPLICA: pause_replica,
}


def draw_kinds(chosen: random.Random) -> Iterator[str]:
    """Kinds of faults without end, in random order, but each as often as the others."""
    while True:
        yield from chosen.sample(sorted(KINDS), len(KINDS))


def make(kind: str, stage: Stage, chosen: random.Random, made: list[Fault]) -> Fault:
    """Make a fault, noted in `made` from its beginning, and wait until it is over."""
    fault = Fault(kind)
    made.append(fault)
    KINDS[kind](stage, chosen, fault)
    fault.over = time.monotonic()
    return fault
