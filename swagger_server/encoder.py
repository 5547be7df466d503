"""Values as JSON: compact, exact, in one place.

Decimals keep their digits (1.10 stays 1.10), dates and times are ISO 8601, UUIDs are their text, and
NaN and infinity, which JSON lacks, are refused. What PostgreSQL has encoded already is passed on.
"""

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any

import simplejson
from connexion.jsonifier import Jsonifier
from flask import Flask, Response
from flask.json.provider import JSONProvider

from swagger_server.serving import JSON_DEPTH, WholeAnswer, strict_json

JSON = "application/json"


def dumps(value: Any) -> str:
    """`value` as compact JSON; TypeError for what has no JSON form, ValueError for NaN and infinity."""
    text: str = simplejson.dumps(
        value, default=_encode, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text


def _encode(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer. str and bytes are JSON already and travel as they are; the rest is encoded."""
    if not isinstance(body, str | bytes):
        body = dumps(body)
    return WholeAnswer(body.encode() if isinstance(body, str) else body, status, JSON, headers)


class ConnexionJsonifier(Jsonifier):  # type: ignore[misc]  # Connexion has no types
    """What Connexion encodes the controllers' plain values with."""

    def dumps(self, data: Any, **_options: Any) -> str:
        """As the module's `dumps`."""
        return dumps(data)


class FlaskJson(JSONProvider):
    """What `flask.jsonify` encodes and `request.json` decodes with."""

    def __init__(self, app: Flask, depth: int = JSON_DEPTH) -> None:
        """`depth` is that of `loads`: the most levels of arrays and objects; 0: as many as are safe."""
        super().__init__(app)
        self._depth = depth

    def dumps(self, obj: Any, **_options: Any) -> str:
        """As the module's `dumps`."""
        return dumps(obj)

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        """JSON as Python's values; ValueError where it is none, or has what `strict_json` refuses."""
        text = s if isinstance(s, str) else s.decode(json.detect_encoding(s))
        return strict_json.loads(text, self._depth)
