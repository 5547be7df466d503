"""The results as Markdown: a table for each workload and number of connections, one of memory, and the conditions."""

from collections.abc import Iterator, Sequence

from benchmarks.harness.load import Sample
from benchmarks.harness.results import Results, median, median_ratio
from benchmarks.harness.services import FLOOR, TUNED

_HEAD = (
    "| | requests/s | × tuned | p50 ms | p99 ms | app CPU µs | × floor | database CPU µs |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|"
)
_LEGEND = (
    "CPU is user and system time for each request: of the workers, and of the database. × tuned compares requests/s "
    f"with {TUNED}, × floor the workers' CPU with {FLOOR}: medians of the rounds' own ratios."
)


def report(results: Results) -> str:
    """All of it."""
    parts = [f"{results.conditions()}.\n\n{results.software()}.\n\n{_LEGEND}"]
    for workload, connections in results.tables():
        title = f"### {results.workloads[workload]} · {connections} connections"
        rows = "\n".join(_rows(results, results.of(workload, connections)))
        parts.append(f"{title}\n\n{_HEAD}\n{rows}")
    return "\n\n".join([*parts, *_memory(results)]) + "\n"


def faults(results: Results) -> list[str]:
    """What went wrong; none of it may."""
    return [
        f"round {s.round}, {s.workload}, {s.connections} connections, {s.service}: {s.fault}"
        for s in results.samples
        if s.fault
    ]


def _rows(results: Results, samples: Sequence[Sample]) -> Iterator[str]:
    for service, title in results.services.items():
        own = [s for s in samples if s.service == service]
        wrong = [s.fault for s in own if s.fault]
        if wrong:
            yield f"| {title} | **FAILED** in {len(wrong)} of {len(own)}: {wrong[0]} | | | | | | |"
        elif own:
            yield f"| {title} | " + " | ".join(_cells(samples, service)) + " |"


def _cells(samples: Sequence[Sample], service: str) -> Iterator[str]:
    yield f"{median(samples, service, lambda s: s.per_second):,.0f}"
    yield _ratio(median_ratio(samples, service, TUNED, lambda s: s.per_second))
    yield _milliseconds(median(samples, service, lambda s: s.p50_ms))
    yield _milliseconds(median(samples, service, lambda s: s.p99_ms))
    yield _microseconds(median(samples, service, lambda s: s.app_us))
    yield _ratio(median_ratio(samples, service, FLOOR, lambda s: s.app_us))
    yield _microseconds(median(samples, service, lambda s: s.database_us))


def _ratio(value: float | None) -> str:
    return f"{value:.2f}" if value else ""


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value else ""


def _microseconds(value: float) -> str:
    return f"{value:,.0f}" if value else ""


def _memory(results: Results) -> Iterator[str]:
    if results.memory:
        rows = "\n".join(
            f"| {results.services[service]} | {rss:.0f} | {uss:.0f} |"
            for service, (rss, uss) in results.memory.items()
        )
        yield f"### Memory of the largest worker at the end, MB\n\n| | RSS | USS |\n|---|---:|---:|\n{rows}"
