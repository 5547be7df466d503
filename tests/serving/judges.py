"""Schemas and values for tests, and Connexion's own verdict on them."""

from typing import Any

from connexion.json_schema import Draft4RequestValidator
from hypothesis import strategies as st
from jsonschema import Draft4Validator, ValidationError

Schema = dict[str, Any]


def verdict_of_connexion(schema: Schema, value: Any, *, parameter: bool = False) -> bool:
    """What Connexion says of a body or a parameter: it makes a validator for each request."""
    kind = Draft4Validator if parameter else Draft4RequestValidator
    try:
        kind(schema, format_checker=Draft4Validator.FORMAT_CHECKER).validate(value)
    except ValidationError:
        return False
    return True


def is_beyond_connexion(schema: Schema, value: Any) -> bool:
    """Whether jsonschema fails at the value before it has told all faults: infinity is no multiple of anything."""
    validator = Draft4RequestValidator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)
    try:
        list(validator.iter_errors(value))
    except OverflowError:
        return True
    return False


NAMES = ["a", "b", "c c", "$ref"]

NUMBERS = [0, 1, -1, 2, 3, 1.0, 0.5, -0.0, 0.1, 0.3, 7.5, 2**53, 2**53 + 1, 2**70, 1e300, float("inf")]

TEXTS = [
    "",
    "a",
    "A",
    "ab\n",
    "abc",
    "é",
    "👍🏽",
    "٣",
    "2024-02-29",
    "2023-02-29",
    "1",
    "null",
    "\ud800",
    "a@b",
    "127.0.0.1",
    "2024-02-29T12:30:00Z",
    "6c84fb90-12c4-11e1-840d-7b25c5ee775a",
]

SCALARS = st.sampled_from([None, True, False, *NUMBERS, *TEXTS])

VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "d"]), inner, max_size=3)
    ),
    max_leaves=6,
)

_PATTERNS = [r"^a", r"^abc?$", r"^ab$", r"\d", r"^\w+$", r"\bA", r"(?i)A", r"[^\s]", r"^.$", r"a\Z"]

_FORMATS = ["date", "date-time", "uuid", "email", "ipv4", "ipv6", "int32", "password", "uri", "regex"]

_SMALL = st.integers(0, 3)

_ANNOTATIONS = {"description": st.just("a note"), "readOnly": st.booleans(), "x-note": st.just(1)}

_NULLABLE = {"nullable": st.booleans(), "x-nullable": st.sampled_from([True, False, 1])}

_LIMITS = {
    "minimum": st.sampled_from(NUMBERS),
    "maximum": st.sampled_from(NUMBERS),
    "exclusiveMinimum": st.booleans(),
    "exclusiveMaximum": st.booleans(),
    "multipleOf": st.sampled_from([1, 2, 3, 0.1, 2.5]),
}

_LENGTHS = {
    "minLength": _SMALL,
    "maxLength": _SMALL,
    "pattern": st.sampled_from(_PATTERNS),
    "format": st.sampled_from(_FORMATS),
}

_TYPES = ["string", "integer", "number", "boolean", "array", "object"]

SCALAR_SCHEMAS: st.SearchStrategy[Schema] = st.one_of(
    st.fixed_dictionaries({"type": st.just("string")}, optional={**_LENGTHS, **_NULLABLE}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])}, optional={**_LIMITS, **_NULLABLE}
    ),
    st.fixed_dictionaries({"type": st.sampled_from(_TYPES)}, optional=_NULLABLE),
    st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=3)}, optional=_NULLABLE),
    st.fixed_dictionaries({}, optional={**_LIMITS, **_LENGTHS, **_ANNOTATIONS}),
)


def _containers(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    several = st.lists(inner, min_size=1, max_size=3)
    members = {
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        "required": st.lists(st.sampled_from([*NAMES, "d"]), min_size=1, max_size=2, unique=True),
        "additionalProperties": st.booleans() | inner,
        "minProperties": _SMALL,
        "maxProperties": _SMALL,
    }
    items = {"items": inner, "minItems": _SMALL, "maxItems": _SMALL, "uniqueItems": st.booleans()}
    combined = {"allOf": several, "anyOf": several, "oneOf": several, "not": inner}
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("object")}, optional={**members, **_NULLABLE}),
        st.fixed_dictionaries({"type": st.just("array")}, optional={**items, **_NULLABLE}),
        st.fixed_dictionaries({}, optional={**members, **items, **combined}),
    )


SCHEMAS: st.SearchStrategy[Schema] = st.recursive(SCALAR_SCHEMAS, _containers, max_leaves=5)
"""Schemas of what OpenAPI 3.0 allows, most keywords at places where they can matter."""
