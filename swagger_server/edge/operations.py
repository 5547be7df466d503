"""The operations of a spec, by their paths and full operationIds."""

from collections.abc import Iterator, Mapping
from typing import Any

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})

_CONTROLLERS = ("x-openapi-router-controller", "x-swagger-router-controller")
"""Where a spec may name the module that the operationIds are in."""


def operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Path, method, full operationId, and what the spec says of the operation."""
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method, _full_id(item, operation), operation


def _full_id(item: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    places = (place.get(key) for place in (operation, item) for key in _CONTROLLERS)
    module = next((name for name in places if name), None)
    name = str(operation.get("operationId"))
    return name if module is None else f"{module}.{name}"
