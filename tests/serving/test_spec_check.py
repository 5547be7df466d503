"""The quick check of a spec takes only what Connexion takes, and what is refused is refused in its words."""

import copy
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import connexion
import pytest
from connexion.exceptions import InvalidSpecification
from connexion.spec import OpenAPISpecification, Specification

from swagger_server.paths import SPEC
from swagger_server.serving import quick_spec_check
from swagger_server.serving.spec_check import is_certainly_valid
from swagger_server.spec_file import read_spec

TESTS = Path(__file__).parents[1]

SMALL: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Small", "version": "1", "license": {"name": "MIT"}},
    "servers": [{"url": "/{base}", "variables": {"base": {"default": "v1", "enum": ["v1"]}}}],
    "tags": [{"name": "one"}],
    "paths": {
        "/things/{id}": {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
            ],
            "get": {
                "operationId": "tests.get",
                "tags": ["one"],
                "parameters": [
                    {"$ref": "#/components/parameters/Limit"},
                    {
                        "name": "X-A",
                        "in": "header",
                        "schema": {"type": "string", "nullable": True, "default": None},
                    },
                ],
                "responses": {
                    "200": {
                        "description": "one",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    },
                    "default": {"$ref": "#/components/responses/Fault"},
                },
                "security": [{"key": []}],
            },
            "put": {
                "operationId": "tests.put",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
                },
                "responses": {"204": {"description": "done"}},
            },
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "maxLength": 5, "pattern": "^a", "default": "ab"},
                    "size": {"oneOf": [{"type": "number", "default": 1.5}, {"type": "array", "items": {}}]},
                },
            }
        },
        "parameters": {
            "Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 20}}
        },
        "responses": {"Fault": {"description": "a fault"}},
        "securitySchemes": {"key": {"type": "apiKey", "name": "X-Key", "in": "header"}},
    },
}


def passes_connexion(spec: dict[str, Any]) -> bool:
    """Whether Connexion's own check takes it."""
    try:
        OpenAPISpecification._validate_spec(spec)
    except InvalidSpecification:
        return False
    return True


def says(spec: dict[str, Any]) -> str | None:
    """What Connexion says against a spec; None where it takes it."""
    try:
        Specification.load(copy.deepcopy(spec))
    except InvalidSpecification as exc:
        return str(exc)
    return None


def says_quickly(spec: dict[str, Any]) -> str | None:
    with quick_spec_check():
        return says(spec)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value within."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    spec = copy.deepcopy(SMALL)
    parent: Any = spec
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return spec


def without(parent: Any, key: Any) -> None:
    del parent[key]


def replaced_by(value: Any) -> Callable[[Any, Any], None]:
    def change(parent: Any, key: Any) -> None:
        parent[key] = value

    return change


def with_something_else(parent: Any, key: Any) -> None:
    if isinstance(parent[key], dict):
        parent[key]["unheard-of"] = 1
    else:
        parent[key] = [parent[key]]


@pytest.mark.parametrize(
    "path",
    [SPEC, TESTS / "second_spec" / "openapi.yaml", TESTS / "security" / "spec.yaml"],
    ids=["places", "second", "security"],
)
def test_specs_of_services_are_taken_quickly(path: Path):
    spec = read_spec(path)
    assert isinstance(spec, dict)
    assert is_certainly_valid(spec)
    assert says(spec) is None


@pytest.mark.parametrize(
    "change",
    [without, replaced_by(1.0), with_something_else],
    ids=["gone", "a float", "something more"],
)
def test_nothing_is_taken_that_connexion_refuses(change: Callable[[Any, Any], None]):
    refused = 0
    for path in places(SMALL):
        spec = changed(path, change)
        if not passes_connexion(spec):
            refused += 1
            assert not is_certainly_valid(spec), path
    assert refused > 10


@pytest.mark.parametrize(
    "path",
    [
        ("info", "title"),
        ("paths",),
        ("paths", "/things/{id}", "get", "responses"),
        ("paths", "/things/{id}", "parameters", 0, "in"),
        ("components", "securitySchemes", "key", "type"),
    ],
)
def test_what_is_refused_is_refused_in_the_words_of_connexion(path: tuple[Any, ...]):
    spec = changed(path, without)
    assert says(spec)
    assert says_quickly(spec) == says(spec)


@pytest.mark.parametrize("default", ["abcdef", "b", 5, None])
def test_a_default_that_its_schema_refuses_is_refused(default: Any):
    name = ("components", "schemas", "Thing", "properties", "name", "default")
    spec = changed(name, replaced_by(default))
    assert says(spec) is not None
    assert says_quickly(spec) == says(spec)


@pytest.mark.parametrize(
    "example",
    [datetime.date(2024, 2, 29), float("nan"), {"type": "string", "default": 5}],
    ids=["date", "nan", "like a wrong schema"],
)
def test_what_is_not_certain_is_taken_as_connexion_takes_it(example: Any):
    spec = copy.deepcopy(SMALL)
    spec["components"]["schemas"]["Thing"]["example"] = [example]
    assert not is_certainly_valid(spec)
    assert says_quickly(spec) is says(spec) is None


def test_a_spec_without_end_is_not_looked_at():
    spec = copy.deepcopy(SMALL)
    endless: list[Any] = []
    endless.append(endless)
    spec["components"]["schemas"]["Thing"]["example"] = endless
    assert not is_certainly_valid(spec)


def test_outside_of_the_block_connexion_checks_by_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("swagger_server.serving.spec_check.is_certainly_valid", lambda _spec: True)
    invalid = changed(("info", "title"), without)
    with quick_spec_check():
        connexion.FlaskApp(__name__).middleware.add_api(copy.deepcopy(invalid))
    with pytest.raises(InvalidSpecification):
        connexion.FlaskApp(__name__).middleware.add_api(copy.deepcopy(invalid))
