"""The run: interleaved rounds of every service with every workload."""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.harness import agreement, pgbench
from benchmarks.harness.database import Server, running_server
from benchmarks.harness.load import Sample, measure
from benchmarks.harness.results import Results, begin
from benchmarks.harness.services import Fleet, Service
from benchmarks.harness.workloads import Workload, all_workloads

_WARM_UP = 1.0  # seconds


@dataclass(frozen=True)
class Plan:
    """What to measure. `seconds` is for each service, workload and number of connections in each round."""

    rounds: int
    seconds: float
    connections: Sequence[int]
    workloads: Sequence[str]
    services: Sequence[Service]


def run(plan: Plan) -> Results:
    """Start everything, compare the answers, measure, and stop everything. BenchmarkError ends it at once."""
    with running_server() as server, Fleet(server.environment()) as fleet:
        known = all_workloads(server)
        workloads = [known[name] for name in plan.workloads]
        _compare(fleet, plan.services, workloads)
        results = begin(plan.services, workloads, plan.seconds, server)
        for round_ in range(plan.rounds + 1):
            results.samples += _round(plan, fleet, server, workloads, round_)
        results.memory = {s.name: memory for s in plan.services if (memory := fleet.memory(s)) is not None}
        return results


def _compare(fleet: Fleet, services: Sequence[Service], workloads: Sequence[Workload]) -> None:
    for workload in workloads:
        _say(f"comparing the answers: {workload.title}")
        agreement.check(fleet, services, workload)


def _round(
    plan: Plan, fleet: Fleet, server: Server, workloads: Sequence[Workload], round_: int
) -> Iterator[Sample]:
    """One turn of everything. Round 0 warms up and yields nothing.

    The services' order is another one each time, since each leaves the database's caches and the machine's clock to
    the next.
    """
    seconds = plan.seconds if round_ else _WARM_UP
    for workload in workloads:
        for connections in plan.connections if round_ else plan.connections[:1]:
            for service in random.sample(plan.services, len(plan.services)):
                if workload.name not in service.lacks:
                    sample = _measure(service, fleet, server, workload, connections, seconds, round_)
                    if round_:
                        _tell(sample)
                        yield sample


def _measure(
    service: Service,
    fleet: Fleet,
    server: Server,
    workload: Workload,
    connections: int,
    seconds: float,
    round_: int,
) -> Sample:
    if service.commands:
        return measure(
            service, fleet, server, workload, connections=connections, seconds=seconds, round_=round_
        )
    return pgbench.measure(service, server, workload, connections=connections, seconds=seconds, round_=round_)


def _tell(sample: Sample) -> None:
    what = f"round {sample.round}, {sample.workload}, {sample.connections} connections, {sample.service}"
    _say(f"{what}: {sample.per_second:,.0f}/s" + (f" FAILED: {sample.fault}" if sample.fault else ""))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
