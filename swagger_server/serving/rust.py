"""A second opinion on large values, from jsonschema-rs: quick to say that one is valid, never trusted to refuse.

Owns which schemas both engines are certain to understand alike, and their translation. What the two differ in
is left out, or handed back to Python: regular expressions and formats are Python's own functions here too.
Infinity is no number to jsonschema-rs, so it may refuse what is valid, and must not do so below `not` or `oneOf`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jsonschema_rs

from swagger_server.serving.nodes import Schema
from swagger_server.serving.patterns import compile_pattern

Accepts = Callable[[Any], bool]


class _Uncertain(Exception):
    """The engines might differ here."""


def compile_filter(schema: Schema, *, formats: Any, nullable: bool) -> Accepts | None:
    """A function that is True only for valid values, or None if there can be no certain one.

    `formats` is jsonschema's format checker; `nullable` tells whether that keyword counts. The function raises
    ValueError for what it does not know as JSON, such as a lone surrogate.
    """
    translation = _Translation(formats, nullable)
    try:
        translated = translation.of(schema)
        validator = jsonschema_rs.Draft4Validator(
            translated, formats=translation.checks, validate_formats=True, ignore_unknown_formats=False
        )
    except (_Uncertain, ValueError):
        return None
    return validator.is_valid


_MOST_SCHEMAS = 2_000
"""Schemas within a schema, counted wherever they are used."""

_EXACT = 2**53
"""Integers up to here are the same as floats."""


class _Translation:
    """One schema's way to what jsonschema-rs is given: only keywords that are known here, no references."""

    def __init__(self, formats: Any, nullable: bool) -> None:
        self.checks: dict[str, Accepts] = {}
        self._formats = formats
        self._nullable = nullable
        self._above: list[int] = []
        self._schemas = 0
        self._must_be_exact = 0

    def of(self, schema: Schema) -> dict[str, Any]:
        # Recursion in Rust has no limit but the stack, and beyond that ends the process.
        self._schemas += 1
        if id(schema) in self._above or self._schemas > _MOST_SCHEMAS:
            raise _Uncertain
        self._above.append(id(schema))
        translated: dict[str, Any] = {}
        for keyword, translate in _KEYWORDS.items():
            if keyword in schema:
                translated.update(translate(self, schema, keyword))
        self._add_checks(translated, schema)
        self._above.pop()
        return translated

    def _allows_null(self, schema: Schema) -> bool:
        return self._nullable and bool(schema.get("x-nullable") is True or schema.get("nullable"))

    def type(self, schema: Schema, keyword: str) -> dict[str, Any]:  # noqa: ARG002
        names = _types(schema)
        if self._must_be_exact and "number" in names:
            raise _Uncertain
        return {"type": sorted(names | {"null"} if self._allows_null(schema) else names)}

    def enum(self, schema: Schema, keyword: str) -> dict[str, Any]:
        choices = list(schema[keyword])
        if self._allows_null(schema):
            choices.append(None)
        if not choices or not all(_is_plain(choice) for choice in choices):
            raise _Uncertain
        return {"enum": choices}

    def number(self, schema: Schema, keyword: str) -> dict[str, Any]:
        """A limit, for what has to be a number: anything else might be infinity."""
        limit = schema[keyword]
        if not _is_numeric(schema) or abs(limit) > _EXACT:
            raise _Uncertain
        exclusive = f"exclusive{keyword.capitalize()}"
        return {keyword: limit, exclusive: bool(schema.get(exclusive, False))}

    def multiple(self, schema: Schema, keyword: str) -> dict[str, Any]:
        limit = schema[keyword]
        if not _is_numeric(schema) or "number" in _types(schema) or limit.__class__ is not int or limit <= 0:
            raise _Uncertain
        return {keyword: limit}

    def count(self, schema: Schema, keyword: str) -> dict[str, Any]:
        if schema[keyword].__class__ is not int or schema[keyword] < 0:
            raise _Uncertain
        return {keyword: schema[keyword]}

    def unique(self, schema: Schema, keyword: str) -> dict[str, Any]:
        items = schema.get("items", {})
        if schema[keyword] is True and not (items.get("type") and _types(items) <= _COMPARABLE):
            raise _Uncertain
        return {keyword: bool(schema[keyword])}

    def required(self, schema: Schema, keyword: str) -> dict[str, Any]:
        return {keyword: sorted(set(schema[keyword]))} if schema[keyword] else {}

    def properties(self, schema: Schema, keyword: str) -> dict[str, Any]:
        return {keyword: {name: self.of(each) for name, each in schema[keyword].items()}}

    def schema(self, schema: Schema, keyword: str) -> dict[str, Any]:
        each = schema[keyword]
        return {keyword: each if isinstance(each, bool) else self.of(each)}

    def schemas(self, schema: Schema, keyword: str) -> dict[str, Any]:
        if not schema[keyword]:
            raise _Uncertain
        return {keyword: [self.of(each) for each in schema[keyword]]}

    def exact(self, schema: Schema, keyword: str) -> dict[str, Any]:
        """Keywords that accept what a schema within refuses."""
        self._must_be_exact += 1
        translated = self.schema(schema, keyword) if keyword == "not" else self.schemas(schema, keyword)
        self._must_be_exact -= 1
        return translated

    def _add_checks(self, translated: dict[str, Any], schema: Schema) -> None:
        """Patterns and formats, as formats of names that nobody else has."""
        names = []
        if "pattern" in schema:
            names.append(self._add(f"pattern {schema['pattern']}", _searching(schema["pattern"])))
        if schema.get("format") in self._formats.checkers:
            names.append(self._add(f"format {schema['format']}", self._conforming(schema["format"])))
        if names:
            translated["allOf"] = [*translated.get("allOf", ()), *({"format": name} for name in names)]

    def _add(self, name: str, check: Accepts) -> str:
        self.checks[name] = check
        return name

    def _conforming(self, name: str) -> Accepts:
        # Called for texts only, so a check that looks at something else must not be left to it.
        if self._formats.checkers[name][0].__module__ != "jsonschema._format":
            raise _Uncertain
        return lambda text: bool(self._formats.conforms(text, name))


_COMPARABLE = frozenset({"string", "integer", "boolean"})

_KEYWORDS: Mapping[str, Callable[[_Translation, Schema, str], dict[str, Any]]] = {
    "type": _Translation.type,
    "enum": _Translation.enum,
    "minimum": _Translation.number,
    "maximum": _Translation.number,
    "multipleOf": _Translation.multiple,
    "minLength": _Translation.count,
    "maxLength": _Translation.count,
    "minItems": _Translation.count,
    "maxItems": _Translation.count,
    "uniqueItems": _Translation.unique,
    "minProperties": _Translation.count,
    "maxProperties": _Translation.count,
    "required": _Translation.required,
    "properties": _Translation.properties,
    "additionalProperties": _Translation.schema,
    "items": _Translation.schema,
    "allOf": _Translation.schemas,
    "anyOf": _Translation.schemas,
    "oneOf": _Translation.exact,
    "not": _Translation.exact,
}


def _types(schema: Schema) -> set[str]:
    names = schema.get("type", [])
    return {names} if isinstance(names, str) else set(names)


def _is_numeric(schema: Schema) -> bool:
    return bool(_types(schema)) and _types(schema) <= {"integer", "number", "null"}


def _is_plain(choice: Any) -> bool:
    if choice.__class__ is int:
        return bool(abs(choice) <= _EXACT)
    return choice is None or choice.__class__ in (str, bool)


def _searching(pattern: str) -> Accepts:
    search = compile_pattern(pattern).search
    return lambda text: search(text) is not None
