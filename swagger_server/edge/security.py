"""Which operations ask who is calling: read from the specs when the application is built."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})

_CONTROLLERS = ("x-openapi-router-controller", "x-swagger-router-controller")
"""Where a spec may name the module that the operationIds are in."""


def secured_operations(specs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The operationIds, with their module, of the operations that have a security requirement."""
    return frozenset(
        _full_id(path, operation)
        for spec in specs
        for path, operation in _operations(spec)
        if operation.get("security", spec.get("security"))
    )


def _operations(spec: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for path in spec["paths"].values():
        yield from ((path, operation) for method, operation in path.items() if method in _METHODS)


def _full_id(path: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    places = (place.get(key) for place in (operation, path) for key in _CONTROLLERS)
    module = next((name for name in places if name), None)
    name = str(operation.get("operationId"))
    return name if module is None else f"{module}.{name}"
