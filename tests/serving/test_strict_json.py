"""JSON bodies that not everybody reads alike, or that are too deep: refused by compiled operations and by others."""

import json
from collections.abc import Callable
from typing import Any

import connexion
import flask
import pytest
from connexion.exceptions import BadRequestProblem

from swagger_server.encoder import FlaskJson
from swagger_server.serving import Request, Response, connexion_handler, strict_json, validators

DEPTH = 4
BODY = {"required": True, "content": {"application/json": {"schema": {"nullable": True}}}}
KINDS = ["compiled", "passed_through"]


def compiled(body: Any) -> Any:
    return {"body": body}


async def passed_through(body: Any) -> Any:
    return {"body": body}


def unchecked() -> Any:
    return {"body": flask.request.get_json()}


def operation(name: str, **more: Any) -> dict[str, Any]:
    return {"operationId": f"{__name__}.{name}", "responses": {"200": {"description": "It"}}, **more}


@pytest.fixture(scope="module")
def ask() -> Callable[[str, bytes], Response]:
    app = connexion.FlaskApp(__name__)
    app.app.json = FlaskJson(app.app, DEPTH)
    paths = {f"/{name}": {"post": operation(name, requestBody=BODY)} for name in KINDS}
    paths["/unchecked"] = {"post": operation("unchecked")}
    app.add_api(
        {"openapi": "3.0.3", "info": {"title": "It", "version": "1"}, "paths": paths},
        validator_map=validators(DEPTH),
    )
    handler = connexion_handler(app, raise_errors=True)

    def ask(path: str, body: bytes) -> Response:
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"host", b"it")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/{path}",
            "headers": headers,
            "query_string": b"",
            "http_version": "1.1",
        }
        return handler(Request(scope, body))

    return ask


@pytest.mark.parametrize("kind", [*KINDS, "unchecked"])
@pytest.mark.parametrize(
    "text",
    [
        "[[[[]]]]",
        '[{"a":[{"b":"[[[[[["}]}]',
        "1e308",
        "-0.0",
        "1e-999",
        "9" * 308,
        '"\\ud83d\\ude00"',
        '{"a":1,"A":2}',
    ],
)
def test_what_everybody_reads_alike_is_taken(ask: Any, kind: str, text: str):
    told = json.loads(b"".join(ask(kind, text.encode()).body))
    assert told == {"body": json.loads(text)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"b":2,"a":1}', 'an object has the name "a" more than once'),
        ('[{"x":{"":1,"":2}}]', 'an object has the name "" more than once'),
        ('{"\\u0061":1,"a":2}', 'an object has the name "a" more than once'),
        ("[NaN]", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ('{"\\ud800":1}', "a text has half of a surrogate pair"),
        ('["\\uDE00\\uD83D"]', "a text has half of a surrogate pair"),
        ("1e400", "the number 1e400 is too large"),
        ("-1e400", "the number -1e400 is too large"),
        ("9" * 5000, f"the number {'9' * 40}… is too large"),
        (f"-{'9' * 310}", f"the number -{'9' * 39}… is too large"),
        (f"{'9' * 400}.5", f"the number {'9' * 40}… is too large"),
        ("[[[[[]]]]]", "it has more than 4 levels of arrays and objects"),
        ('{"a":{"b":{"c":{"d":{"e":1}}}}}', "it has more than 4 levels of arrays and objects"),
        ("[" * 100_000, "it is nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_readers_differ_in_is_refused(ask: Any, kind: str, text: str, reason: str):
    with pytest.raises(BadRequestProblem) as refused:
        ask(kind, text.encode())
    assert refused.value.detail == f"The request body is not valid JSON: {reason}."


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "[NaN]", "1e400", "[[[[[]]]]]", "[" * 100_000])
def test_a_controller_that_reads_the_body_itself_is_told_the_same(ask: Any, text: str):
    with pytest.raises(Exception, match="400"):
        ask("unchecked", text.encode())


def test_without_a_bound_python_sets_it():
    assert strict_json.loads("[" * 300 + "]" * 300, 0)
    with pytest.raises(strict_json.Refused, match="too deeply"):
        strict_json.loads("[" * 200_000, 0)


def test_a_validator_of_somebodys_own_is_left_to_connexion():
    from swagger_server.serving.body import _depth_of
    from swagger_server.serving.validators import StrictJsonBody

    class Own(StrictJsonBody):
        pass

    assert [_depth_of(each) for each in (Own, StrictJsonBody, validators(7)["body"]["application/json"])] == [
        None,
        32,
        7,
    ]
