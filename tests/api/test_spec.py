"""The spec itself: valid, complete, with examples that hold."""

from collections.abc import Iterator
from typing import Any

from openapi_spec_validator import validate

from tests.api.contract import Contract

CONTRACT = Contract()


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in CONTRACT.spec["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_the_spec_is_valid() -> None:
    validate(CONTRACT.spec)


def test_every_operation_announces_every_answer() -> None:
    for path, operation in _operations():
        parameters = {CONTRACT.resolved(each)["name"] for each in operation.get("parameters", ())}
        expected = {"400", "429", "500", "503", "504"}.union(
            # What is made while it is sent has no tag, and comes in whatever form is asked for.
            {"406"} if _is_streamed(operation) else {"304"} if path.startswith("get ") else (),
            {"404"} if "{" in path else (),
            {"401", "403"} if "security" in operation else (),
            {"409", "413", "415"} if "requestBody" in operation else (),
            {"412", "428"} if "If-Match" in parameters else (),
            {"422"} if "Idempotency-Key" in parameters else (),
        )
        good = {status for status in operation["responses"] if status < "300"}
        assert len(good) == 1, path
        assert set(operation["responses"]) == good | expected, path


def _is_streamed(operation: dict[str, Any]) -> bool:
    return len(operation["responses"].get("200", {}).get("content", {})) > 1


def test_every_parameter_is_bounded_and_described() -> None:
    for name, parameter in CONTRACT.spec["components"]["parameters"].items():
        schema = parameter["schema"]
        assert parameter["description"], name
        bounds = {
            "string": bool({"pattern", "enum"} & set(schema)) or {"minLength", "maxLength"} <= set(schema),
            "integer": {"minimum", "maximum"} <= set(schema),
            "number": {"minimum", "maximum"} <= set(schema),
            "boolean": True,
        }
        assert bounds[schema["type"]], name


def test_answers_may_not_grow_members_unannounced() -> None:
    for name, schema in CONTRACT.spec["components"]["schemas"].items():
        if schema["type"] == "object" and not name.endswith("Problem"):
            assert schema["additionalProperties"] is False, name
            if not name.endswith(("Input", "Patch")):
                assert set(schema["required"]) == set(schema["properties"]), name


def test_every_operation_names_a_function() -> None:
    names = [operation["operationId"] for _, operation in _operations()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("swagger_server.controllers.") for name in names)
