"""Which reads a spec's own writes may change: found when the application is built."""

from collections.abc import Iterable, Mapping
from typing import Any

from swagger_server.edge.operations import operations

_WRITES = frozenset({"put", "post", "delete", "patch"})

_Segments = tuple[str, ...]


def changing(specs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The operationIds of the reads of a path that the spec also writes to, or of one above or below it."""
    return frozenset(name for spec in specs for name in _of_one(spec))


def _of_one(spec: Mapping[str, Any]) -> Iterable[str]:
    known = [(_segments(path), method, name) for path, method, name, _ in operations(spec)]
    written = [segments for segments, method, _ in known if method in _WRITES]
    return (
        name
        for segments, method, name in known
        if method == "get" and any(_in_line(segments, other) for other in written)
    )


def _segments(path: str) -> _Segments:
    return tuple(path.strip("/").split("/"))


def _in_line(one: _Segments, other: _Segments) -> bool:
    """Whether one path can be the other, or lead there: a parameter stands for any segment."""
    return all(a == b or "{" in a or "{" in b for a, b in zip(one, other, strict=False))
