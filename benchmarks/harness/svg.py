"""Shapes as SVG text, and the page around them. Knows nothing of what is shown."""

import textwrap
from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 1040
MARGIN = 24
HEAD = 84
INK, FAINT, PAPER, GRID = "#1f2933", "#616e7c", "#ffffff", "#e4e7eb"

_SMALL_PRINT = 160  # characters on a line
_LINE = 15


def text(x: float, y: float, words: str, *, size: int = 12, colour: str = INK, extra: str = "") -> str:
    """Words that begin at a point, or end or centre there by `extra`."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" {extra}>{escape(words)}</text>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled box."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" rx="2" fill="{colour}"/>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str = GRID) -> str:
    """A thin straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def curve(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    """A line through points; a solid one marks each."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    drawn = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
    marks = (
        [] if dashed else [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    )
    return drawn + "".join(marks)


def page(title: str, legend: str, shapes: Iterable[str], bottom: float, small_print: Sequence[str]) -> str:
    """The whole picture: a title, what the colours mean, the shapes, which end at `bottom`, and the conditions."""
    lines = [part for words in small_print for part in textwrap.wrap(words, _SMALL_PRINT)]
    height = round(bottom + MARGIN + _LINE * len(lines))
    foot = [
        text(MARGIN, bottom + 10 + _LINE * number, words, size=11, colour=FAINT)
        for number, words in enumerate(lines)
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f"font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">",
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        text(MARGIN, 38, title, size=20, extra='font-weight="600"'),
        text(MARGIN, 60, legend, size=12, colour=FAINT),
        *shapes,
        *foot,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
