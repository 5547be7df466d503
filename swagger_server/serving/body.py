"""A JSON body as one operation wants it, checked before the controller sees it."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import flask
from connexion.exceptions import BadRequestProblem
from connexion.operations import OpenAPIOperation
from connexion.utils import is_json_mimetype, is_null, is_nullable
from connexion.validators import JSONRequestBodyValidator

from swagger_server.serving.messages import Request
from swagger_server.serving.schemas import CompiledSchema, compile_schema
from swagger_server.serving.validators import JSON_DEPTH, StrictJsonBody, parse_json

_ENCODING = "utf-8"


@dataclass(frozen=True, slots=True)
class JsonBody:
    """The body of an operation that takes JSON and nothing else."""

    content_types: frozenset[str]
    """How the header may be written; anything else is Connexion's to understand."""
    schema: CompiledSchema
    depth: int
    """Levels of arrays and objects that it may have; 0: no bound."""
    may_be_null: bool
    """As the body's definition says."""
    is_nullable: bool
    """As the schema says."""
    default: Any

    def takes(self, request: Request) -> bool:
        """Whether this is a body to be checked here: there is one, and it says that it is of this type."""
        return bool(request.body) and request.header("content-type") in self.content_types

    def check(self, raw: bytes) -> None:
        """BadRequestProblem for what is not JSON, or not what the schema asks for."""
        value = parse_json(raw, _ENCODING, self.depth)
        if value is None:
            if self.may_be_null:
                return
            raise BadRequestProblem("Request body must not be empty")
        fault = self.schema.fault(value)
        if fault is not None:
            raise BadRequestProblem(detail=fault.text)

    def for_controller(self) -> Any:
        """The value as the Flask request's JSON decoder makes it, or the default for null."""
        value = flask.request.get_json(silent=True)
        if self.is_nullable and is_null(value):
            return None
        return deepcopy(self.default) if value is None else value


def compile_body(operation: OpenAPIOperation, validators: Mapping[str, Any]) -> JsonBody | None:
    """The body of `operation`, or None where it takes none, or another than JSON, or checks it in its own way."""
    if len(operation.consumes) != 1 or not is_json_mimetype(operation.consumes[0]):
        return None
    kind = operation.consumes[0]
    schema = operation.body_schema(kind)
    depth = _depth_of(validators[kind])
    if not schema or depth is None:
        return None
    charsets = ("", "; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8")
    return JsonBody(
        frozenset(kind + charset for charset in charsets),
        compile_schema(schema),
        depth,
        bool(is_nullable(operation.body_definition(kind))),
        bool(is_nullable(schema)),
        schema.get("default", {}),
    )


def _depth_of(validator: Any) -> int | None:
    """How deep a body may be by its validator; None for one that somebody has made to his own liking."""
    if validator is JSONRequestBodyValidator:
        return JSON_DEPTH
    is_ours = isinstance(validator, type) and issubclass(validator, StrictJsonBody)
    return vars(validator).get("depth") if is_ours else None
