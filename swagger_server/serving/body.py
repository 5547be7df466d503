"""A request's body as one operation wants it: JSON, checked before the controller sees it, or a file for it to read."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import flask
from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem, UnsupportedMediaTypeProblem
from connexion.operations import OpenAPIOperation
from connexion.utils import is_json_mimetype, is_null, is_nullable, split_content_type
from connexion.validators import JSONRequestBodyValidator
from werkzeug.exceptions import BadRequest

from swagger_server.serving.large_bodies import is_spooled
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
    """Levels of arrays and objects that it may have; 0: as many as are safe."""
    may_be_null: bool
    """As the body's definition says."""
    is_nullable: bool
    """As the schema says."""
    default: Any

    def takes(self, request: Request) -> bool:
        """Whether this is a body to be checked here: there is one, and it says that it is of this type."""
        return bool(request.body) and request.header("content-type") in self.content_types

    def check(self, request: Request) -> None:
        """BadRequestProblem for what is not JSON, or not what the schema asks for."""
        value = parse_json(request.body, _ENCODING, self.depth)
        if value is None:
            if self.may_be_null:
                return
            raise BadRequestProblem("Request body must not be empty")
        fault = self.schema.fault(value)
        if fault is not None:
            raise BadRequestProblem(detail=fault.text)

    def for_controller(self) -> Any:
        """The value as the Flask request's JSON decoder makes it, or the default for null.

        BadRequestProblem for what that decoder does not take: an app may have one of its own.
        """
        try:
            value = flask.request.get_json(silent=not flask.request.is_json)
        except BadRequest as exc:
            raise BadRequestProblem(detail="The request body is not JSON that is taken here.") from exc
        if self.is_nullable and is_null(value):
            return None
        return deepcopy(self.default) if value is None else value


@dataclass(frozen=True, slots=True)
class SpooledBody:
    """A body that the controller reads itself, from `flask.request.stream`, which can be sought in.

    Nothing of it is checked but that it is there, where it is required, and of a type that the operation takes.
    """

    content_types: Mapping[str, None]
    is_required: bool

    def takes(self, request: Request) -> bool:  # noqa: ARG002
        """Any request is answered here."""
        return True

    def check_type(self, request: Request) -> None:
        """UnsupportedMediaTypeProblem for another type; what says nothing of its type is taken."""
        kind, _ = split_content_type(request.header("content-type"))
        expected = list(self.content_types)
        if expected and kind is not None and kind.strip().lower() not in self.content_types:
            raise UnsupportedMediaTypeProblem(detail=f"Invalid Content-type ({kind}), expected {expected}")

    def check(self, request: Request) -> None:
        """As `check_type`; BadRequestProblem where there is no body, and one is required."""
        self.check_type(request)
        if self.is_required and request.spool is None and not request.body:
            raise BadRequestProblem("RequestBody is required")


def compile_body(operation: OpenAPIOperation, validators: Mapping[str, Any]) -> JsonBody | SpooledBody | None:
    """The body of `operation`, or None where it takes none, or another than JSON, or checks it in its own way."""
    if is_spooled(operation._operation):
        types = MediaTypeDict((kind.lower(), None) for kind in operation.consumes)
        return SpooledBody(types, bool(operation.request_body.get("required")))
    if not _is_all_json(operation, validators):
        return None
    kind = operation.consumes[0]
    definition = _definition(operation, kind)
    schema = definition.get("schema")
    depth = _depth_of(validators[kind])
    if not schema or depth is None:
        return None
    charsets = ("", "; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8")
    return JsonBody(
        frozenset(each + charset for each in operation.consumes for charset in charsets),
        compile_schema(schema),
        depth,
        bool(is_nullable(definition)),
        bool(is_nullable(schema)),
        schema.get("default", {}),
    )


def _depth_of(validator: Any) -> int | None:
    """How deep a body may be by its validator; None for one that somebody has made to his own liking."""
    if validator is JSONRequestBodyValidator:
        return JSON_DEPTH
    is_ours = isinstance(validator, type) and issubclass(validator, StrictJsonBody)
    return vars(validator).get("depth") if is_ours else None


def _is_all_json(operation: OpenAPIOperation, validators: Mapping[str, Any]) -> bool:
    """Whether the body is JSON by whatever name it comes, and checked alike, by some validator."""
    kinds = operation.consumes
    return bool(kinds) and all(
        is_json_mimetype(kind)
        and validators.get(kind) is not None
        and validators.get(kind) is validators.get(kinds[0])
        and _definition(operation, kind).get("schema") == _definition(operation, kinds[0]).get("schema")
        for kind in kinds
    )


def _definition(operation: OpenAPIOperation, kind: str) -> dict[str, Any]:
    """As Connexion's body_definition, which warns of bodies that come by several names."""
    content = MediaTypeDict(operation.request_body.get("content", {}))
    definition: dict[str, Any] = operation.with_definitions(content.get(kind, {}))
    return definition
