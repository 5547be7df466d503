"""Whether a spec is valid, told by jsonschema-rs in a hundredth of the time that Connexion's own check takes.

That check was a sixth of what a worker needs to start. As in `rust`, jsonschema-rs is only believed that something
is valid. What it refuses, or does not know, is checked by Connexion, which says what is wrong.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import jsonschema_rs
from connexion.json_schema import NullableTypeValidator
from connexion.spec import OpenAPISpecification
from jsonschema import Draft4Validator
from jsonschema.validators import extend

_Spec = Mapping[str, Any]

_DEEPEST = 100
"""Levels of a spec that is looked at here: recursion in Rust has no limit but the stack."""


@contextmanager
def quick_spec_check() -> Iterator[None]:
    """Within the block, a Connexion app refuses the same specs with the same words, but takes valid ones quickly."""

    def validate(cls: type[OpenAPISpecification], spec: dict[str, Any]) -> None:
        if not is_certainly_valid(spec):
            super(OpenAPISpecification, cls)._validate_spec(spec)

    # Connexion's own is inherited.
    OpenAPISpecification._validate_spec = classmethod(validate)
    try:
        yield
    finally:
        del OpenAPISpecification._validate_spec


def is_certainly_valid(spec: _Spec) -> bool:
    """Whether Connexion is certain to take it for a valid OpenAPI 3.0 spec; False where that is not known."""
    try:
        described = list(_with_default(spec, 0))
        return _check().is_valid(spec) and all(_takes_its_default(spec, each) for each in described)
    except Exception:  # whatever it is, Connexion's check says it in its own words
        return False


@cache
def _check() -> jsonschema_rs.Draft4Validator:
    return jsonschema_rs.Draft4Validator(OpenAPISpecification.openapi_schema, validate_formats=False)


def _with_default(value: Any, depth: int) -> Iterator[_Spec]:
    """Whatever has a default: schemas, and more than those. ValueError for what both engines might see otherwise."""
    if depth > _DEEPEST:
        raise ValueError(value)
    if value.__class__ is dict:
        if "default" in value:
            yield value
        for each in value.values():
            yield from _with_default(each, depth + 1)
    elif value.__class__ is list:
        for each in value:
            yield from _with_default(each, depth + 1)
    elif not _is_plain(value):
        raise ValueError(value)


def _is_plain(value: Any) -> bool:
    return (
        value is None
        or value.__class__ in (str, bool, int)
        or (value.__class__ is float and math.isfinite(value))
    )


def _takes_its_default(spec: _Spec, described: _Spec) -> bool:
    """As Connexion looks at the defaults of schemas."""
    defaults = extend(Draft4Validator, {"type": NullableTypeValidator})
    return bool(defaults(spec).evolve(schema=described).is_valid(described["default"]))
