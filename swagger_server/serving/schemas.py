"""Validators of requests, compiled once and called many times, with Connexion's verdicts.

Owns which engine judges a schema. Nearly every schema becomes a tree of Python checks; jsonschema-rs is asked
first about large values, and its word is taken if they are valid. A schema that needs more than the tree
understands goes to jsonschema itself, built once. Must not know where values come from.
"""

import re
from collections.abc import Iterator
from typing import Any

from connexion.json_schema import Draft4RequestValidator
from jsonschema import Draft4Validator, ValidationError

from swagger_server.serving.faults import Fault, Finding, Path, first_fault
from swagger_server.serving.nodes import Node, Schema, Uncovered, compile_node
from swagger_server.serving.rust import Accepts, compile_filter

__all__ = ["CompiledSchema", "Fault", "compile_schema"]


class CompiledSchema:
    """One schema. `engine` says who judges: "python", "rust" (and python for what it refuses) or "jsonschema"."""

    engine: str

    def fault(self, value: Any) -> Fault | None:
        """None if the value, as json.loads gives it, is valid; otherwise what to tell of it.

        Which of several faults that is, `first_fault` says. A value nested too deeply to be judged has a fault.
        """
        raise NotImplementedError


def compile_schema(schema: Schema, *, parameter: str = "") -> CompiledSchema:
    """The schema of a request's body, or of the parameter with that name.

    The verdicts are those of Connexion's Draft4RequestValidator, for a parameter (in which `nullable` is no
    keyword) those of Draft4Validator, both with the formats that Draft4Validator.FORMAT_CHECKER knows now. A
    schema that makes Connexion fail at every request, such as one of an unknown type, raises the same from `fault`.
    """
    kind = Draft4Validator if parameter else Draft4RequestValidator
    validator = kind(schema, format_checker=Draft4Validator.FORMAT_CHECKER)
    try:
        node = compile_node(schema, validator)
    except Uncovered:
        return _WithJsonschema(validator, parameter)
    if schema.get("type") in _SCALARS:
        return _WithPython(node, parameter)
    accepts = compile_filter(schema, formats=validator.format_checker, nullable=not parameter)
    return _WithPython(node, parameter) if accepts is None else _WithRust(accepts, node, parameter)


_SCALARS = ("string", "integer", "number", "boolean")
"""For these the tree is quicker than a call of jsonschema-rs."""


class _WithPython(CompiledSchema):
    engine = "python"

    def __init__(self, node: Node, parameter: str) -> None:
        self._accepts = node.accepts
        self._node = node
        self._parameter = parameter

    def fault(self, value: Any) -> Fault | None:
        try:
            if self._accepts(value):
                return None
            return first_fault(self._node.findings(value), self._parameter)
        except RecursionError:
            return _too_deep(self._parameter)


class _WithRust(_WithPython):
    engine = "rust"

    def __init__(self, accepts: Accepts, node: Node, parameter: str) -> None:
        super().__init__(node, parameter)
        self._surely_accepts = accepts

    def fault(self, value: Any) -> Fault | None:
        try:
            if self._surely_accepts(value):
                return None
        except ValueError:
            pass  # no JSON to Rust, as a lone surrogate is not
        return super().fault(value)


class _WithJsonschema(CompiledSchema):
    engine = "jsonschema"

    def __init__(self, validator: Any, parameter: str) -> None:
        self._validator = validator
        self._parameter = parameter

    def fault(self, value: Any) -> Fault | None:
        try:
            return first_fault(self._findings(value), self._parameter)
        except RecursionError:
            return _too_deep(self._parameter)

    def _findings(self, value: Any) -> Iterator[Finding]:
        for error in self._validator.iter_errors(value):
            yield from _findings(error)


def _findings(error: ValidationError) -> Iterator[Finding]:
    """jsonschema's error as the tree would tell it: one finding for each member that is missing or unknown."""
    path: Path = tuple(error.absolute_path)
    if error.validator == "required":
        members = [name for name in error.validator_value if name not in error.instance]
    elif error.validator == "additionalProperties":
        members = list(_unknown(error.instance, error.schema))
    else:
        yield Finding(path, str(error.validator), error.schema, error.instance)
        return
    for name in members:
        yield Finding((*path, name), error.validator, error.schema, error.instance.get(name))


def _unknown(value: dict[str, Any], schema: Schema) -> Iterator[str]:
    patterns = [re.compile(pattern) for pattern in schema.get("patternProperties", ())]
    for name in value:
        if name not in schema.get("properties", {}) and not any(pattern.search(name) for pattern in patterns):
            yield name


def _too_deep(parameter: str) -> Fault:
    return Fault("depth", (), f"{parameter or 'The request body'} is nested too deeply.")
