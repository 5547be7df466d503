"""The examples in the spec: asked as its parameters show, the service answers what it shows."""

from typing import Any

import pytest

from tests.api.contract import Api, Contract

# They depend on the moment, or on where the service runs.
PASSING = {"next", "utc_offset", "loaded_at", "version"}
CONTRACT = Contract()


@pytest.mark.parametrize("path", CONTRACT.open_paths())
def test_an_example_can_be_tried_out(api: Api, path: str) -> None:
    operation = CONTRACT.spec["paths"][path]["get"]
    shown = operation["responses"]["200"]["content"]["application/json"]["example"]
    query: dict[str, Any] = {}
    for parameter in map(CONTRACT.resolved, operation.get("parameters", [])):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        elif "example" in parameter:
            query[parameter["name"]] = parameter["example"]
    assert _missing(shown, api.get(path, **query), path) == []


def _missing(shown: Any, answered: Any, where: str) -> list[str]:
    """Where the answer differs from what is shown; it may have more items than are shown."""
    if isinstance(shown, dict) and isinstance(answered, dict):
        members = [name for name in shown if name not in PASSING]
        return [
            gap for name in members for gap in _missing(shown[name], answered.get(name), f"{where}.{name}")
        ]
    if isinstance(shown, list) and isinstance(answered, list):
        lost = [item for item in shown if all(_missing(item, other, where) for other in answered)]
        return [f"{where}: {item} is not in {answered}" for item in lost]
    return [] if shown == answered else [f"{where}: {shown!r} is shown, {answered!r} answered"]
