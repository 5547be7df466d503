"""What a client may send has a bound: every list, every text, and how many items a page may have."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.api.contract import Contract

CONTRACT = Contract()

MOST_ITEMS = 100
"""Of a page."""

BOUNDED_FORMATS = {"uuid", "date", "date-time", "binary"}
"""A text of these is as long as it is, or, of the last, as MAX_BODY allows."""

_METHODS = {"get", "post", "put", "patch", "delete"}


def operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in spec["paths"].items():
        yield from ((f"{method} {path}", item[method]) for method in sorted(_METHODS & set(item)))


def body_schemas(contract: Contract) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, operation in operations(contract.spec):
        content = contract.resolved(operation.get("requestBody", {})).get("content", {})
        yield from ((f"{name} {kind}", media.get("schema", {})) for kind, media in content.items())


def unbounded(contract: Contract, schema: Any, where: str, above: tuple[int, ...] = ()) -> Iterator[str]:
    """The lists and texts in a schema that have no bound, by where they are."""
    schema = contract.resolved(schema)
    if id(schema) in above:
        return
    above = (*above, id(schema))
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield f"{where}: a list without maxItems"
    if schema.get("type") == "string" and not _is_bounded(schema):
        yield f"{where}: a text without maxLength"
    for name, inner in _parts(schema):
        yield from unbounded(contract, inner, f"{where}.{name}", above)


def _is_bounded(schema: Mapping[str, Any]) -> bool:
    return bool({"maxLength", "enum"} & set(schema)) or schema.get("format") in BOUNDED_FORMATS


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from schema.get("properties", {}).items()
    for keyword in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(keyword), Mapping):
            yield keyword, schema[keyword]
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from ((f"{keyword}{number}", each) for number, each in enumerate(schema.get(keyword, [])))


def test_every_list_and_text_in_a_body_has_a_bound():
    faults = [
        fault for where, schema in body_schemas(CONTRACT) for fault in unbounded(CONTRACT, schema, where)
    ]
    assert faults == []


@pytest.mark.parametrize("name", [name for name, _ in operations(CONTRACT.spec)])
def test_no_page_has_more_than_a_hundred_items(name: str):
    operation = dict(operations(CONTRACT.spec))[name]
    parameters = [CONTRACT.resolved(each) for each in operation.get("parameters", [])]
    limits = [each["schema"].get("maximum", float("inf")) for each in parameters if each["name"] == "limit"]
    assert all(limit <= MOST_ITEMS for limit in limits)


def test_the_checks_above_find_what_they_look_for():
    inner = {"type": "array", "items": {"type": "string"}, "maxItems": 3}
    schema = {
        "properties": {"tags": inner, "day": {"type": "string", "format": "date"}},
        "additionalProperties": {"oneOf": [{"type": "array"}, {"type": "string", "maxLength": 4}]},
    }
    assert list(unbounded(CONTRACT, schema, "it")) == [
        "it.tags.items: a text without maxLength",
        "it.additionalProperties.oneOf0: a list without maxItems",
    ]
