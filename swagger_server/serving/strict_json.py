"""JSON that means the same to everybody who reads it (RFC 8259, and I-JSON, RFC 7493).

What parsers differ in is refused, not guessed: a name that an object has twice, NaN and infinity, numbers beyond a
double's range, which others take for infinity, and half of a surrogate pair, which is no character. So are arrays and
objects within each other without end.
"""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

MOST_LEVELS = 500
"""Of arrays and objects, where there is no other bound: so deep, Python reads, walks and writes them wherever it is in
its own stack. Of a deeper value, one part of a program would take what another fails at."""

_MOST_DIGITS = 309
"""The largest double has so many."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")

_LONGEST_SHOWN = 40


class Refused(ValueError):
    """A text that is no JSON, or that not everybody reads alike; says why."""


def loads(text: str, depth: int) -> Any:
    """The value of a text, of at most `depth` levels of arrays and objects (0: `MOST_LEVELS`)."""
    depth = depth or MOST_LEVELS
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise Refused("it is nested too deeply") from None
    except Refused:
        raise
    except ValueError as exc:
        raise Refused(str(exc)) from None
    if _SURROGATE.search(text) and not _has_utf8(value):
        raise Refused("a text has half of a surrogate pair")
    # Nothing is deeper than it has opening brackets, in texts or not.
    if text.count("[") + text.count("{") > depth and _is_deeper(value, depth):
        raise Refused(f"it has more than {depth} levels of arrays and objects")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Refused(f"an object has the name {_shown(_twice(pairs))} more than once")
    return made


def _twice(pairs: list[tuple[str, Any]]) -> str:
    ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
    return name


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Refused(f"the number {_cut(text)} is too large")
    return value


def _int(text: str) -> int:
    # Before int(), which refuses thousands of digits with a hint for programmers.
    if len(text) >= _MOST_DIGITS and math.isinf(float(text)):
        raise Refused(f"the number {_cut(text)} is too large")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise Refused(f"{name} is no JSON number")


def _has_utf8(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether there are more levels; looks at one after the other, not into each."""
    level = [value]
    for _ in range(depth):
        level = [
            item
            for each in level
            if isinstance(each, list | dict)
            for item in (each if isinstance(each, list) else each.values())
        ]
        if not level:
            return False
    return any(isinstance(each, list | dict) for each in level)


def _shown(name: str) -> str:
    return json.dumps(_cut(name))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_refuse_constant
)
