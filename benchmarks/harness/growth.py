"""How our service does as its users grow in number: throughput, and the wait that the queue alone does not explain."""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.harness.database import running_server
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.load import Sample, measure
from benchmarks.harness.results import Results, begin, median
from benchmarks.harness.services import SERVICES, Fleet
from benchmarks.harness.workloads import all_workloads

CONNECTIONS = (16, 32, 64, 128, 256, 512)
_WORKLOAD = "lookup"
_WARM_UP = 1.0  # seconds
_LEAST_OF_BEST = 0.9
_MOST_OF_QUEUE = 4.0


@dataclass(frozen=True)
class Step:
    """Medians at one number of connections. `queue_ms` is the mean wait that their number alone makes."""

    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float

    @property
    def queue_ms(self) -> float:
        return self.connections / self.per_second * 1000 if self.per_second else 0.0


def grow(name: str, rounds: int, seconds: float) -> Results:
    """Measure the service `name` with the point lookup, at each number of connections in each round."""
    service = next(service for service in SERVICES if service.name == name)
    if not service.commands:
        raise BenchmarkError(f"{name} is no service whose users could grow in number.")
    with running_server() as server, Fleet(server.environment()) as fleet:
        workload = all_workloads(server)[_WORKLOAD]
        results = begin([service], [workload], seconds, server)
        measure(service, fleet, server, workload, connections=CONNECTIONS[0], seconds=_WARM_UP, round_=0)
        for round_ in range(1, rounds + 1):
            # Not always from few to many, which would show as growth what the machine does in that time.
            for connections in random.sample(CONNECTIONS, len(CONNECTIONS)):
                sample = measure(
                    service, fleet, server, workload, connections=connections, seconds=seconds, round_=round_
                )
                print(
                    f"round {round_}, {connections}: {sample.per_second:,.0f}/s {sample.fault}",
                    file=sys.stderr,
                )
                results.samples.append(sample)
        return results


def steps(results: Results) -> list[Step]:
    """The medians, from few connections to many."""
    (name,) = results.services
    return [
        _step(connections, results.of(workload, connections), name)
        for workload, connections in results.tables()
    ]


def _step(connections: int, samples: Sequence[Sample], name: str) -> Step:
    return Step(
        connections,
        median(samples, name, lambda s: s.per_second),
        median(samples, name, lambda s: s.p50_ms),
        median(samples, name, lambda s: s.p99_ms),
    )


def table(results: Results) -> str:
    """The steps as Markdown, with what is asked of them."""
    rows = "\n".join(
        f"| {s.connections} | {s.per_second:,.0f} | {s.p50_ms:.1f} | {s.p99_ms:.1f} | {s.queue_ms:.1f} |"
        for s in steps(results)
    )
    head = "| connections | requests/s | p50 ms | p99 ms | connections / throughput, ms |\n|---:|---:|---:|---:|---:|"
    (title,) = results.services.values()
    return f"{results.conditions()}.\n\n### {title}: as the connections grow\n\n{head}\n{rows}\n"


def misses(results: Results) -> Iterator[str]:
    """What is not as it should be: throughput below 90 % of the best, or a p99 above four times the queue's wait."""
    found = steps(results)
    best = max(step.per_second for step in found)
    for step in found:
        if step.per_second < _LEAST_OF_BEST * best:
            yield f"{step.connections} connections: {step.per_second / best:.0%} of the best throughput, not 90 %"
    last = found[-1]
    if last.p99_ms > _MOST_OF_QUEUE * last.queue_ms:
        yield f"{last.connections} connections: p99 is {last.p99_ms / last.queue_ms:.1f} x the queue's wait, not 4 x"
