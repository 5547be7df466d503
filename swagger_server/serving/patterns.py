"""The keyword `pattern`: regular expressions of ECMA 262, as JSON Schema has them, run by Python's `re`.

Owns where the two differ and it lets through what nobody wants: `$` is the end of the text, where Python's also
matches before a line feed that comes last. Elsewhere a pattern is taken as Python takes it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jsonschema import ValidationError

_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[a-zA-Z]*m|\$", re.DOTALL)
"""A `$`, or what hides or changes one: an escape, a class of characters, the flag for lines."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, to be searched for; raises what `re.compile` raises."""
    pieces = _PIECE.findall(pattern)
    if "$" not in pieces or any(piece.startswith("(?") for piece in pieces):
        return re.compile(pattern)
    return re.compile(_PIECE.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern))


def pattern_errors(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
    """The keyword, as jsonschema's validators call it."""
    if validator.is_type(value, "string") and compile_pattern(pattern).search(value) is None:
        yield ValidationError(f"{value!r} does not match {pattern!r}")
