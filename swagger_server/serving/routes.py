"""Which operation a request is for, among those that are compiled.

A request that this table does not know for certain goes Connexion's own way. So nothing is decided here that
Connexion's router and Flask's might decide otherwise: of two templates that one address can fit, neither is in
the table, and neither is an address that something else answers.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

Match = Callable[[str], "re.Match[str] | None"]

_KINDS = {"int": re.compile(r"[+-]?[0-9]+"), "float": re.compile(r"[+-]?[0-9]*(\.[0-9]*)?")}
"""What fits a segment of a kind; anything but a slash fits the others."""

REST = "path"
"""The kind of a segment that takes in the following ones, too."""


class Segment(NamedTuple):
    """A part of a path: its `text`, or None for a parameter, alone or with text around it, of a `kind`."""

    text: str | None
    kind: str = ""


Template = tuple[Segment, ...]


class Route(NamedTuple, Generic[T]):
    """An operation's place: what fits its path, and the converters by the names of the path's parameters."""

    method: str
    template: Template
    match: Match
    converters: Mapping[str, Callable[[str], Any]]
    target: T


class Routes(Generic[T]):
    """Targets by method and path. `others` are the templates of what is answered by something else."""

    def __init__(self, routes: Iterable[Route[T]], others: Iterable[Template]) -> None:
        known = list(routes)
        claims = Counter((route.method, route.template) for route in known)
        templates = {route.template for route in known} | set(others)
        self._taken = {_path(template) for template in templates if _is_fixed(template)}
        self._fixed: dict[tuple[str, str], T] = {}
        self._open: dict[tuple[str, int], list[Route[T]]] = {}
        for route in known:
            rivals = templates - {route.template}
            if claims[route.method, route.template] == 1 and route.template not in others:
                self._add(route, rivals)

    def _add(self, route: Route[T], rivals: Iterable[Template]) -> None:
        if _is_fixed(route.template):
            self._fixed[route.method, _path(route.template)] = route.target
        elif not any(overlap(route.template, rival) for rival in rivals if not _is_fixed(rival)):
            self._open.setdefault((route.method, len(route.template)), []).append(route)

    def find(self, method: str, path: str) -> tuple[T, dict[str, Any]] | None:
        """The target and the values of the path's parameters, or None for what is not in the table."""
        target = self._fixed.get((method, path))
        if target is not None:
            return target, {}
        for route in self._open.get((method, path.count("/")), ()):
            found = route.match(path)
            if found is not None and "\n" not in path:  # which "$" in a pattern would overlook
                return None if path in self._taken else _converted(route, found)
        return None


def overlap(one: Template, other: Template) -> bool:
    """Whether an address can fit both templates."""
    for a, b in zip(one, other, strict=False):
        if REST in (a.kind, b.kind):
            return True
        if not _alike(a, b):
            return False
    return len(one) == len(other)


def _alike(a: Segment, b: Segment) -> bool:
    if a.text is not None and b.text is not None:
        return a.text == b.text
    if a.text is None and b.text is None:
        return True
    text, kind = (a.text, b.kind) if a.text is not None else (b.text, a.kind)
    return kind not in _KINDS or bool(_KINDS[kind].fullmatch(text or ""))


def _is_fixed(template: Template) -> bool:
    return all(segment.text is not None for segment in template)


def _path(template: Template) -> str:
    return "".join(f"/{segment.text}" for segment in template)


def _converted(route: Route[T], found: "re.Match[str]") -> tuple[T, dict[str, Any]] | None:
    try:
        return route.target, {name: convert(found[name]) for name, convert in route.converters.items()}
    except ValueError:
        return None  # "." is a number to the pattern, but to nobody else
