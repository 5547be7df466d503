"""Schemas as trees of small checks, built once and run many times.

Owns draft 4 as jsonschema understands it, for the keywords that OpenAPI has. A schema with anything else, or
with a keyword that is not written as it should be, raises Uncovered. What can matter for a verdict and is no
simple comparison is left to jsonschema's own functions. Must not know how faults are worded.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from jsonschema import Draft4Validator

from swagger_server.serving.faults import Finding, Path
from swagger_server.serving.patterns import compile_pattern

Schema = Mapping[str, Any]
Accepts = Callable[[Any], bool]


class Uncovered(Exception):
    """The schema says something that is not certainly understood as jsonschema does."""


class _Rule(Protocol):
    def accepts(self, value: Any) -> bool: ...

    def findings(self, value: Any, path: Path) -> Iterator[Finding]: ...


class Node:
    """A schema. Its rules are filled in after it was made, since it can contain itself."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._checks: list[Accepts] = []

    def add(self, rule: _Rule) -> None:
        self._rules.append(rule)
        self._checks.append(rule.accepts)

    def accepts(self, value: Any) -> bool:
        """Whether the value, as json.loads gives it, is valid."""
        for accepts in self._checks:  # noqa: SIM110  # all() of a generator takes three times as long
            if not accepts(value):
                return False
        return True

    def findings(self, value: Any, path: Path = ()) -> Iterator[Finding]:
        """Every keyword that the value does not meet."""
        for rule in self._rules:
            yield from rule.findings(value, path)


class _Assertion:
    """A keyword that looks at the value as a whole."""

    def __init__(self, keyword: str, schema: Schema, accepts: Accepts) -> None:
        self.accepts = accepts
        self._keyword = keyword
        self._schema = schema

    def findings(self, value: Any, path: Path) -> Iterator[Finding]:
        if not self.accepts(value):
            yield Finding(path, self._keyword, self._schema, value)


class _Required:
    def __init__(self, names: list[str], schema: Schema) -> None:
        self._names = names
        self._schema = schema

    def accepts(self, value: Any) -> bool:
        return not isinstance(value, dict) or all(name in value for name in self._names)

    def findings(self, value: Any, path: Path) -> Iterator[Finding]:
        if isinstance(value, dict):
            for name in self._names:
                if name not in value:
                    yield Finding((*path, name), "required", self._schema, None)


class _Properties:
    def __init__(self, members: list[tuple[str, Node]]) -> None:
        self._members = members

    def accepts(self, value: Any) -> bool:
        if isinstance(value, dict):
            for name, node in self._members:
                if name in value and not node.accepts(value[name]):
                    return False
        return True

    def findings(self, value: Any, path: Path) -> Iterator[Finding]:
        if isinstance(value, dict):
            for name, node in self._members:
                if name in value:
                    yield from node.findings(value[name], (*path, name))


class _NoOthers:
    """`additionalProperties: false`."""

    def __init__(self, known: frozenset[str], schema: Schema) -> None:
        self._known = known
        self._schema = schema

    def accepts(self, value: Any) -> bool:
        return not isinstance(value, dict) or self._known.issuperset(value)

    def findings(self, value: Any, path: Path) -> Iterator[Finding]:
        if isinstance(value, dict):
            for name in value:
                if name not in self._known:
                    yield Finding((*path, name), "additionalProperties", self._schema, value[name])


class _Others:
    """`additionalProperties` with a schema."""

    def __init__(self, known: frozenset[str], node: Node) -> None:
        self._known = known
        self._node = node

    def accepts(self, value: Any) -> bool:
        return not isinstance(value, dict) or all(
            name in self._known or self._node.accepts(member) for name, member in value.items()
        )

    def findings(self, value: Any, path: Path) -> Iterator[Finding]:
        if isinstance(value, dict):
            for name, member in value.items():
                if name not in self._known:
                    yield from self._node.findings(member, (*path, name))


class _Items:
    def __init__(self, node: Node) -> None:
        self._node = node

    def accepts(self, value: Any) -> bool:
        if isinstance(value, list):
            accepts = self._node.accepts
            for item in value:
                if not accepts(item):
                    return False
        return True

    def findings(self, value: Any, path: Path) -> Iterator[Finding]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._node.findings(item, (*path, index))


def compile_node(schema: Any, validator: Any) -> Node:
    """The schema as a tree with the verdicts of `validator`, an instance of a jsonschema class.

    Raises Uncovered. Formats are checked as the validator's format checker knows them now.
    """
    return _Compiler(validator).node(schema)


class _Compiler:
    def __init__(self, validator: Any) -> None:
        self._validator = validator
        self._keywords: Mapping[str, Any] = validator.VALIDATORS
        # Connexion's validators have keywords of their own for what may be null.
        self._knows_nullable = self._keywords["type"] is not Draft4Validator.VALIDATORS["type"]
        self._nodes: dict[int, Node] = {}

    def node(self, schema: Any) -> Node:
        """One node for each dict: what Connexion made of recursive references contains itself."""
        if not isinstance(schema, dict):
            raise Uncovered(f"a schema that is {schema!r}")
        if id(schema) not in self._nodes:
            node = self._nodes[id(schema)] = Node()
            self._fill(node, schema)
        return self._nodes[id(schema)]

    def _fill(self, node: Node, schema: Schema) -> None:
        if not _UNCOVERED.isdisjoint(schema):
            raise Uncovered(f"a schema with {sorted(_UNCOVERED.intersection(schema))}")
        for keyword in _ORDER:
            if keyword in schema:
                rule = self._rule(keyword, schema[keyword], schema)
                if rule is not None:
                    node.add(rule)

    def _rule(self, keyword: str, limit: Any, schema: Schema) -> _Rule | None:
        if keyword in _STRUCTURES:
            return _STRUCTURES[keyword](self, limit, schema)
        accepts = _SIMPLE[keyword](self, limit, schema) if keyword in _SIMPLE else None
        return _Assertion(keyword, schema, accepts or self._as_jsonschema(keyword, limit, schema))

    def _as_jsonschema(self, keyword: str, limit: Any, schema: Schema) -> Accepts:
        errors, validator = self._keywords[keyword], self._validator

        def accepts(value: Any) -> bool:
            return next(errors(validator, limit, value, schema), None) is None

        return accepts

    # Keywords with schemas in them

    def _required(self, limit: Any, schema: Schema) -> _Rule:
        return _Required(_expect_list(limit, str), schema)

    def _properties(self, limit: Any, schema: Schema) -> _Rule:  # noqa: ARG002
        return _Properties([(name, self.node(each)) for name, each in _expect(limit, dict).items()])

    def _others(self, limit: Any, schema: Schema) -> _Rule | None:
        if limit is True:
            return None
        known = frozenset(_expect(schema.get("properties", {}), dict))
        return _NoOthers(known, schema) if limit is False else _Others(known, self.node(limit))

    def _items(self, limit: Any, schema: Schema) -> _Rule:  # noqa: ARG002
        return _Items(self.node(limit))

    def _all_of(self, limit: Any, schema: Schema) -> _Rule:  # noqa: ARG002
        merged = Node()
        for each in _expect_list(limit, dict):
            merged.add(self.node(each))
        return merged

    def _any_of(self, limit: Any, schema: Schema) -> _Rule:
        nodes = [self.node(each) for each in _expect_list(limit, dict)]
        return _Assertion("anyOf", schema, lambda value: any(node.accepts(value) for node in nodes))

    def _one_of(self, limit: Any, schema: Schema) -> _Rule:
        nodes = [self.node(each) for each in _expect_list(limit, dict)]
        return _Assertion("oneOf", schema, lambda value: sum(node.accepts(value) for node in nodes) == 1)

    def _not(self, limit: Any, schema: Schema) -> _Rule:
        node = self.node(limit)
        return _Assertion("not", schema, lambda value: not node.accepts(value))

    # Keywords that are simple comparisons; None leaves an unusual one to jsonschema

    def _is_nullable(self, schema: Schema) -> bool:
        return self._knows_nullable and bool(schema.get("x-nullable") is True or schema.get("nullable"))

    def _type(self, limit: Any, schema: Schema) -> Accepts:
        names = [limit] if isinstance(limit, str) else _expect_list(limit, str)
        if not _TYPES.keys() >= set(names):
            raise Uncovered(f"the type {limit!r}")
        types = frozenset().union(*(_TYPES[name] for name in names))
        if self._is_nullable(schema):
            types |= _TYPES["null"]
        if len(types) == 1:
            (only,) = types
            return lambda value: value.__class__ is only
        return lambda value: value.__class__ in types

    def _enum(self, limit: Any, schema: Schema) -> Accepts | None:
        choices = [*_expect(limit, list), None] if self._is_nullable(schema) else _expect(limit, list)
        if not all(choice.__class__ in _ALIKE for choice in choices):
            return None
        # By class, since True is 1 to Python.
        alike = {
            kind: frozenset(choice for choice in choices if choice.__class__ in kinds)
            for kind, kinds in _ALIKE.items()
        }
        return lambda value: value.__class__ in alike and value in alike[value.__class__]

    def _minimum(self, limit: Any, schema: Schema) -> Accepts:
        _expect_number(limit)
        if schema.get("exclusiveMinimum", False):
            return lambda value: value.__class__ not in _NUMBERS or not value <= limit
        return lambda value: value.__class__ not in _NUMBERS or not value < limit

    def _maximum(self, limit: Any, schema: Schema) -> Accepts:
        _expect_number(limit)
        if schema.get("exclusiveMaximum", False):
            return lambda value: value.__class__ not in _NUMBERS or not value >= limit
        return lambda value: value.__class__ not in _NUMBERS or not value > limit

    def _at_least(self, of: type[Any], limit: Any) -> Accepts:
        _expect_number(limit)
        return lambda value: value.__class__ is not of or len(value) >= limit

    def _at_most(self, of: type[Any], limit: Any) -> Accepts:
        _expect_number(limit)
        return lambda value: value.__class__ is not of or len(value) <= limit

    def _pattern(self, limit: Any, schema: Schema) -> Accepts:  # noqa: ARG002
        search = _compiled(limit).search
        return lambda value: value.__class__ is not str or search(value) is not None

    def _format(self, limit: Any, schema: Schema) -> Accepts:  # noqa: ARG002
        checker = self._validator.format_checker
        if checker is None or _expect(limit, str) not in checker.checkers:
            return lambda _: True
        return functools.partial(checker.conforms, format=limit)


_NUMBERS = frozenset({int, float})

_ALIKE: Mapping[type, frozenset[type]] = {
    **dict.fromkeys(_NUMBERS, _NUMBERS),
    **{kind: frozenset({kind}) for kind in (str, bool, type(None))},
}
"""The classes of scalars, and those whose values can be equal to theirs."""

_TYPES: Mapping[str, frozenset[type]] = {
    "array": frozenset({list}),
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "null": frozenset({type(None)}),
    "number": _NUMBERS,
    "object": frozenset({dict}),
    "string": frozenset({str}),
}
"""Draft 4: no float is an integer, and no boolean a number."""

_SIMPLE: Mapping[str, Callable[[_Compiler, Any, Schema], Accepts | None]] = {
    "type": _Compiler._type,
    "enum": _Compiler._enum,
    "minimum": _Compiler._minimum,
    "maximum": _Compiler._maximum,
    "minLength": lambda compiler, limit, _: compiler._at_least(str, limit),
    "maxLength": lambda compiler, limit, _: compiler._at_most(str, limit),
    "minItems": lambda compiler, limit, _: compiler._at_least(list, limit),
    "maxItems": lambda compiler, limit, _: compiler._at_most(list, limit),
    "minProperties": lambda compiler, limit, _: compiler._at_least(dict, limit),
    "maxProperties": lambda compiler, limit, _: compiler._at_most(dict, limit),
    "pattern": _Compiler._pattern,
    "format": _Compiler._format,
}

_STRUCTURES: Mapping[str, Callable[[_Compiler, Any, Schema], _Rule | None]] = {
    "required": _Compiler._required,
    "additionalProperties": _Compiler._others,
    "properties": _Compiler._properties,
    "items": _Compiler._items,
    "allOf": _Compiler._all_of,
    "anyOf": _Compiler._any_of,
    "oneOf": _Compiler._one_of,
    "not": _Compiler._not,
}

_ORDER = [*_SIMPLE, "multipleOf", "uniqueItems", *_STRUCTURES]
"""The cheap ones first: most refusals come from there."""

_UNCOVERED = frozenset(Draft4Validator.VALIDATORS) - frozenset(_ORDER) | {"id", "$ref"}


def _expect(limit: Any, kind: type) -> Any:
    if not isinstance(limit, kind):
        raise Uncovered(f"{limit!r} where a {kind.__name__} is expected")
    return limit


def _expect_list(limit: Any, of: type) -> list[Any]:
    return [_expect(each, of) for each in _expect(limit, list)]


def _expect_number(limit: Any) -> None:
    if limit.__class__ not in _NUMBERS:
        raise Uncovered(f"the limit {limit!r}")


def _compiled(pattern: Any) -> re.Pattern[str]:
    try:
        return compile_pattern(_expect(pattern, str))
    except (re.error, OverflowError, RecursionError):
        raise Uncovered(f"the pattern {pattern!r}") from None
