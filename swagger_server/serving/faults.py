"""What is wrong with a value, in one line of our own.

Owns the wording and the choice among several faults. Must not know how a fault was found: the text is
made from the keyword, the place and the value alone, so it is the same whichever engine refused it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring
from typing import Any, NamedTuple

Path = tuple[str | int, ...]

_LONGEST_VALUE = 60
_LONGEST_PLACE = 120
_LONGEST_LIMIT = 100
"""Characters that are shown of a value, of the way to it and of what it must be."""

_MOST = 100
"""Faults that are compared with each other: a body of a megabyte can have very many."""


class Finding(NamedTuple):
    """A keyword of a schema that a value does not meet. For a member that is missing or unknown, `path` leads to it."""

    path: Path
    keyword: str
    schema: Mapping[str, Any]
    value: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a value was refused: the schema's keyword, the keys and indexes that lead there, and one line of text."""

    keyword: str
    path: Path
    text: str


def first_fault(findings: Iterable[Finding], name: str = "") -> Fault | None:
    """The fault to tell of, None if there is none; `name` is what the whole value is called.

    The rule: the shortest path first, then the first in alphabetical (for indexes, numerical) order, then the
    keyword by `_WORDS`' order, so that the type is told of before a limit. Of more than a hundred
    faults, the first hundred that were found are compared.
    """
    chosen = min(_first_of(findings), key=_order, default=None)
    if chosen is None:
        return None
    return Fault(chosen.keyword, chosen.path, f"{_place(name, chosen.path)} {_complaint(chosen)}")


def _first_of(findings: Iterable[Finding]) -> list[Finding]:
    first: list[Finding] = []
    try:
        for finding in islice(findings, _MOST):
            first.append(finding)  # what was found before an error must not be lost
    except Exception:
        # Infinity has no multiples, for one: that matters only if nothing else is wrong with it.
        if not first:
            raise
    return first


def _order(finding: Finding) -> tuple[Any, ...]:
    # Keys and indexes are never compared with each other: what has the same path so far is the same value.
    return len(finding.path), finding.path, _RANKS.get(finding.keyword, len(_RANKS))


def _place(name: str, path: Path) -> str:
    if not path:
        return name or "The request body"
    text = name
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _SIMPLE_NAME.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{shown(key)}]"
    return text if len(text) <= _LONGEST_PLACE else f"…{text[1 - _LONGEST_PLACE :]}"


_SIMPLE_NAME = re.compile(r"[A-Za-z_$@][\w$@-]{0,59}", re.ASCII)


def _complaint(finding: Finding) -> str:
    if finding.keyword in _COMPLAINTS:
        return _COMPLAINTS[finding.keyword]
    words = _WORDS.get(finding.keyword, _other)
    return f"is {shown(finding.value)}: must {words(finding.schema.get(finding.keyword), finding.schema)}"


_COMPLAINTS = {
    "required": "is required",
    "additionalProperties": "is not allowed",
    "additionalItems": "is not allowed",
}
"""Keywords whose fault is told without the value."""


def shown(value: Any, longest: int = _LONGEST_VALUE) -> str:
    """The value as JSON of at most `longest` characters, nothing in it unprintable."""
    if isinstance(value, str):
        return printable(encode_basestring(value[: longest + 1]), longest)
    if isinstance(value, (dict, list)):
        return printable(_beginning(value, longest), longest)
    return printable(_NAMES.get(str(value), str(value)), longest)


_NAMES = {"None": "null", "True": "true", "False": "false"}


def _beginning(value: Any, longest: int) -> str:
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += piece
        if len(text) > longest:
            break
    return text


def printable(text: str, longest: int) -> str:
    """At most `longest` characters of the text, its unprintable ones as JSON escapes them."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if char > "\x7f" else f"\\u{ord(char):04x}"


def _other(limit: Any, schema: Mapping[str, Any]) -> str:  # noqa: ARG001
    return "have the form that is described"


def _type(limit: Any, schema: Mapping[str, Any]) -> str:  # noqa: ARG001
    types = [limit] if isinstance(limit, str) else limit
    return f"be {' or '.join(_TYPES.get(name, str(name)) for name in types)}"


_TYPES = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def _enum(limit: Any, schema: Mapping[str, Any]) -> str:  # noqa: ARG001
    choices = ""
    for choice in limit:
        longer = f"{choices}, {shown(choice)}" if choices else shown(choice)
        if len(longer) > _LONGEST_LIMIT:
            return f"be one of {choices}, …"
        choices = longer
    return f"be one of {choices}" if len(limit) > 1 else f"be {choices}"


def _format(limit: Any, schema: Mapping[str, Any]) -> str:  # noqa: ARG001
    return f"be {_FORMATS.get(limit, f'of the format {limit}')}"


_FORMATS = {
    "date": "a date, as in 2024-02-29",
    "date-time": "a date and time with an offset, as in 2024-02-29T12:30:00Z",
    "email": "an e-mail address",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "regex": "a regular expression",
    "uri": "a URI",
    "uuid": "a UUID",
}


def _minimum(limit: Any, schema: Mapping[str, Any]) -> str:
    return f"be {'more than' if schema.get('exclusiveMinimum') else 'at least'} {shown(limit)}"


def _maximum(limit: Any, schema: Mapping[str, Any]) -> str:
    return f"be {'less than' if schema.get('exclusiveMaximum') else 'at most'} {shown(limit)}"


def _not(limit: Any, schema: Mapping[str, Any]) -> str:  # noqa: ARG001
    """What is excluded may say by its description what it is."""
    description = limit.get("description") if isinstance(limit, Mapping) else None
    if not isinstance(description, str):
        return "not have the form that is excluded"
    return f"not have {printable(description, _LONGEST_LIMIT)}"


def _count(bound: str, singular: str) -> Callable[[Any, Mapping[str, Any]], str]:
    def words(limit: Any, schema: Mapping[str, Any]) -> str:  # noqa: ARG001
        return f"have {bound} {limit} {singular if limit == 1 else f'{singular}s'}"

    return words


_WORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "type": _type,
    "enum": _enum,
    "minLength": _count("at least", "character"),
    "maxLength": _count("at most", "character"),
    "format": _format,
    "pattern": lambda limit, _: f"match {printable(limit, _LONGEST_LIMIT)}",
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": lambda limit, _: f"be a multiple of {shown(limit)}",
    "minItems": _count("at least", "item"),
    "maxItems": _count("at most", "item"),
    "uniqueItems": lambda *_: "have no item twice",
    "minProperties": _count("at least", "member"),
    "maxProperties": _count("at most", "member"),
    "anyOf": lambda *_: "have one of the forms that are described",
    "oneOf": lambda *_: "have exactly one of the forms that are described",
    "not": _not,
}

_RANKS = {keyword: rank for rank, keyword in enumerate(_WORDS)}
