"""What a soak has shown, line by line: what was measured, its value, and whether it is as it has to be."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness import counting
from benchmarks.harness.activity import Sampler
from benchmarks.harness.attribution import HELD, explain
from benchmarks.harness.errands import Stored
from benchmarks.harness.faulting import KINDS, RESTART, Fault
from benchmarks.harness.memory import Memory
from benchmarks.harness.open_loop import OpenLoop, Outcome
from tests.support.exposition import Scrape

Row = tuple[str, str, bool]
"""What, its value, and whether that is as it has to be."""

_SHOWN = 10


@dataclass(frozen=True)
class Evidence:
    """The requests and the faults. `grace` is OUTAGE_GRACE, in seconds."""

    load: OpenLoop
    faults: Sequence[Fault]
    grace: float

    def explain(self) -> tuple[dict[str, list[Outcome]], list[Outcome]]:
        """The failed requests so far, by what excuses them, and those that nothing does."""
        failed = [each for each in list(self.load.outcomes) if not each.is_right]
        return explain(failed, self.faults, self.grace)


def faults(made: Sequence[Fault], *, is_every_kind_due: bool) -> Iterator[Row]:
    """How many of each kind."""
    count = Counter(fault.kind for fault in made)
    value = ", ".join(f"{kind} {count[kind]}" for kind in KINDS)
    yield f"{len(made)} faults", value, not is_every_kind_due or count.keys() == KINDS.keys()
    away = [fault.seconds for fault in made if fault.kind == RESTART]
    if away:
        yield "the server was away for", f"{min(away):.1f} s to {max(away):.1f} s", True


def requests(evidence: Evidence) -> Iterator[Row]:
    """Whether all were sent, how long they waited, and what became of reads and writes."""
    load = evidence.load
    late = max((each.sent - each.due for each in load.outcomes), default=0.0)
    all_sent = load.sent == len(load.outcomes) == load.wanted
    yield "requests sent, and how late at most", f"{load.sent:,}, {late * 1000:.0f} ms", all_sent
    yield "time to the answer: median, 99 %, longest", _waits(load.outcomes), True
    yield from _failed("reads", True, evidence)
    yield from _failed("writes", False, evidence)


def _waits(outcomes: Sequence[Outcome]) -> str:
    """From when each was to be sent."""
    waits = sorted(each.ended - each.due for each in outcomes)
    return ", ".join(f"{waits[int(part * (len(waits) - 1))] * 1000:.0f} ms" for part in (0.5, 0.99, 1.0))


def _failed(title: str, are_reads: bool, evidence: Evidence) -> Iterator[Row]:
    excused, unexplained = evidence.explain()
    count = sum(each.errand.is_read is are_reads for each in evidence.load.outcomes)
    failed = sum(each.errand.is_read is are_reads for each in unexplained)
    yield f"{title}, and those that failed without an excuse", f"{count:,}, {failed}", not failed
    for why, which in excused.items():
        if number := sum(each.errand.is_read is are_reads for each in which):
            yield f"{title} {why}", str(number), True


def writes(stored: Stored) -> Iterator[Row]:
    """What the database has of them."""
    yield "acknowledged writes lost", str(len(stored.lost)), not stored.lost
    yield "writes stored twice", str(len(stored.doubled)), not stored.doubled
    yield "writes stored whose client was told otherwise, or nothing", str(stored.unasked), True


def budget(samplers: Mapping[str, Sampler], size: int, begun: float) -> Iterator[Row]:
    """The most sessions in a sample."""
    for name, sampler in samplers.items():
        peak = sampler.peak(name)
        value = f"{peak.count}, {peak.at - begun:.1f} s, {sampler.samples:,} samples"
        yield f"most sessions in the {name} (budget {size}), and when", value, peak.count <= size


def memory(seen: Memory) -> Iterator[Row]:
    """Of each worker that lived long enough."""
    for growth in seen.growths():
        yield (
            f"memory of a worker {growth.warm.age:.0f} s and {growth.last.age:.0f} s old",
            f"{growth.warm.rss:.1f} MB, {growth.last.rss:.1f} MB",
            growth.is_flat,
        )


def metrics(evidence: Evidence, scrape: Scrape) -> Iterator[Row]:
    """The service's own numbers, beside those of the clients."""
    held = evidence.explain()[0][HELD]
    counted = counting.answered(evidence.load.outcomes)
    more, wrong = counting.differences(scrape.answers(), counted, held)
    yield (
        f"answers by /metrics, and arrived (killed workers held {len(held)} requests)",
        "; ".join([f"{counted.total() + more:,}, {counted.total():,}", *wrong]),
        not wrong,
    )
    leaked = scrape.value("swagger_server_pool_losses_total", cause="leaked")
    yield "connections dropped by a request, by /metrics", f"{leaked:.0f}", not leaked


def unexplained(evidence: Evidence, log: str) -> Iterator[str]:
    """The first of the failures that nothing excuses, with what the service's log says of them, and the faults."""
    begun, failed = evidence.load.begun, evidence.explain()[1]
    for each in failed[:_SHOWN]:
        request = f"{each.errand.method} {each.errand.path}: {each.status} {each.told[:300]}"
        yield f"{each.sent - begun:.3f} s to {each.ended - begun:.3f} s: {request}"
        request_id = each.told.partition('"request_id":"')[2].partition('"')[0]
        yield from (f"    {line}" for line in log.splitlines() if request_id and request_id in line)
    for fault in evidence.faults if failed else ():
        yield f"{fault.begun - begun:.3f} s to {fault.over - begun:.3f} s: {fault.kind} ({fault.note})"
