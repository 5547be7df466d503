"""The results as pictures: bars for the comparison, curves for the growth.

A picture brings its own background, so that it reads alike on a white page and on a black one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.harness import svg
from benchmarks.harness.growth import Step, steps
from benchmarks.harness.results import Results, median
from benchmarks.harness.services import FLOOR, PGBENCH, PREPARED

_OURS, _OURS_TOO, _OTHERS, _LIMITS = "#c2410c", "#f0a982", "#7b8794", "#cbd2d9"
_COLUMNS, _GAP = 2, 32
_PANEL = (svg.WIDTH - 2 * svg.MARGIN - _GAP * (_COLUMNS - 1)) / _COLUMNS
_TITLE, _BAR, _STEP = 26, 15, 21
_LABEL, _VALUE = 250, 52


@dataclass(frozen=True)
class _Panel:
    title: str
    bars: list[tuple[str, float, str]]
    """Label, value and colour of each."""

    @property
    def height(self) -> float:
        return _TITLE + len(self.bars) * _STEP + _GAP


def comparison(results: Results) -> str:
    """Requests per second of all services, a panel for each workload, at the most connections measured."""
    connections = max(sample.connections for sample in results.samples)
    panels = [
        _Panel(results.workloads[workload], list(_bars(results, workload, connections)))
        for workload, number in results.tables()
        if number == connections
    ]
    shapes, bottom = _placed(panels)
    legend = "Orange: this service (its default worker in the strong one). Light grey: what checks nothing."
    title = f"Requests per second · {connections} connections, 2 workers"
    return svg.page(title, legend, shapes, bottom, _small_print(results))


def _bars(results: Results, workload: str, connections: int) -> Iterator[tuple[str, float, str]]:
    samples = results.of(workload, connections)
    for service, title in results.services.items():
        value = median(samples, service, lambda s: s.per_second)
        if value:
            yield title, value, _colour(results, service)


def _colour(results: Results, service: str) -> str:
    if service in results.ours:
        return _OURS if service == results.ours[0] else _OURS_TOO
    return _LIMITS if service in (FLOOR, PGBENCH, PREPARED) else _OTHERS


def _placed(panels: Sequence[_Panel]) -> tuple[list[str], float]:
    """The shapes of all panels, in rows, and where they end."""
    shapes: list[str] = []
    top: float = svg.HEAD
    for first in range(0, len(panels), _COLUMNS):
        row = panels[first : first + _COLUMNS]
        for column, panel in enumerate(row):
            shapes += _drawn(panel, svg.MARGIN + column * (_PANEL + _GAP), top)
        top += max(panel.height for panel in row)
    return shapes, top


def _drawn(panel: _Panel, left: float, top: float) -> Iterator[str]:
    yield svg.text(left, top + 12, panel.title, size=14, extra='font-weight="600"')
    longest = max((value for _, value, _ in panel.bars), default=1.0)
    room = _PANEL - _LABEL - _VALUE
    for number, (label, value, colour) in enumerate(panel.bars):
        y = top + _TITLE + number * _STEP
        width = value / longest * room
        yield svg.text(left + _LABEL - 8, y + 12, label, extra='text-anchor="end"')
        yield svg.bar(left + _LABEL, y, width, _BAR, colour)
        yield svg.text(left + _LABEL + width + 6, y + 12, f"{value:,.0f}", colour=svg.FAINT)


_PLOT = 240
_AXIS = 60


def growth(results: Results) -> str:
    """Throughput and waiting times of our service from few connections to many."""
    found = steps(results)
    shapes = [
        *_plot(svg.MARGIN, "Requests per second", found, [(lambda s: s.per_second, _OURS, False)]),
        *_plot(
            svg.MARGIN + _PANEL + _GAP,
            "Milliseconds: p99, p50, and (dashed) connections / throughput",
            found,
            [
                (lambda s: s.p99_ms, _OURS, False),
                (lambda s: s.p50_ms, _OURS_TOO, False),
                (lambda s: s.queue_ms, _OTHERS, True),
            ],
        ),
    ]
    (service,), (workload,) = results.services.values(), results.workloads.values()
    legend = f"{service}, 2 workers. {workload}. The connections double from step to step."
    bottom = svg.HEAD + _TITLE + _PLOT + 44
    return svg.page("As the connections grow", legend, shapes, bottom, _small_print(results))


_Curve = tuple[Callable[[Step], float], str, bool]


def _plot(left: float, title: str, found: Sequence[Step], curves: Sequence[_Curve]) -> Iterator[str]:
    top, bottom = svg.HEAD + _TITLE, svg.HEAD + _TITLE + _PLOT
    highest = _round_up(max(value(step) for value, _, _ in curves for step in found))
    yield svg.text(left, svg.HEAD + 12, title, size=14, extra='font-weight="600"')
    for quarter in range(5):
        y = bottom - quarter / 4 * _PLOT
        yield svg.line(left + _AXIS, y, left + _PANEL, y)
        yield svg.text(
            left + _AXIS - 8, y + 4, f"{highest * quarter / 4:,.0f}", size=11, extra='text-anchor="end"'
        )
    xs = [
        left + _AXIS + 20 + number * (_PANEL - _AXIS - 40) / max(1, len(found) - 1)
        for number in range(len(found))
    ]
    for x, step in zip(xs, found, strict=True):
        yield svg.text(x, bottom + 18, str(step.connections), size=11, extra='text-anchor="middle"')
    for value, colour, dashed in curves:
        points = [
            (x, bottom - value(step) / highest * (bottom - top)) for x, step in zip(xs, found, strict=True)
        ]
        yield svg.curve(points, colour, dashed=dashed)


def _round_up(value: float) -> float:
    """To a number that four lines divide well."""
    unit: float = 10 ** math.floor(math.log10(value or 1))
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= value)


def _small_print(results: Results) -> list[str]:
    return [results.conditions() + ".", results.software() + "."]
