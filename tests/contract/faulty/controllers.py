"""What the faulty service does instead of what its spec announces."""

from typing import Any

from flask import Response

from swagger_server.encoder import json_response
from swagger_server.pool import PoolTimeout
from swagger_server.problems import BadRequest

THING: dict[str, Any] = {"id": 1}

WRONG_HEADERS = {
    "etag-without-quotes": {"ETag": "v1"},
    "a-date-that-is-none": {"Last-Modified": "yesterday"},
    "a-lifetime-that-is-no-number": {"Cache-Control": "max-age=soon"},
    "a-location-with-a-space": {"Location": "/v1/no where"},
}


def sound() -> Response:
    return json_response(THING)


def sound_too() -> Response:
    return json_response(THING)


def surplus() -> Response:
    return json_response({**THING, "secret": "that nobody was to see"})


def mistyped() -> Response:
    return json_response({"id": "one"})


def unannounced() -> Response:
    return json_response(THING, 202)


def foreign() -> Response:
    return Response("id=1", content_type="text/plain; charset=utf-8")


def miscounted() -> Response:
    return json_response(THING, headers={"X-Count": "many"})


def strict() -> Response:
    raise BadRequest("Not today.")


def crash() -> Response:
    raise RuntimeError("planted")


def make() -> Response:
    return json_response(THING, 201)


def alive(id_: int) -> Response:
    return json_response({"id": id_})


def end(id_: int) -> Response:
    return Response(status=204)


def busy() -> Response:
    raise PoolTimeout("planted")


def wrong_header(name: str) -> Response:
    return json_response(THING, headers=WRONG_HEADERS.get(name, {}))


def believe(_key: str, required_scopes: object = None) -> dict[str, str]:
    return {"sub": "anybody"}
