"""Where the handler answers other than Connexion's own stack, on purpose. All else must be the same."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swagger_server.serving import JSON_DEPTH, strict_json
from tests.serving.comparing import comparable
from tests.serving.gallery.record import described
from tests.serving.sides import Answer, Call, Side

UNCHECKED_FORMATS = ("date", "uuid")
"""Formats that OpenAPI names and Connexion by itself does not check: JSON Schema's draft 4 lacks them."""

WRONG_FORMATS = (
    Call("GET", "/gallery/path/format/not-a-uuid/x"),
    Call("GET", "/strict/path/format/6ba7b810/x"),
    *(
        Call(
            "POST",
            "/gallery/body/formats",
            (("Content-Type", "application/json"),),
            json.dumps(body).encode(),
        )
        for body in ({"day": "2024-02-30"}, {"day": "yesterday"}, {"id": "5"})
    ),
)

LINE_ENDS = (
    Call("GET", "/gallery/query/scalars?code=ABC%0A"),
    Call(
        "POST",
        "/gallery/body/person",
        (("Content-Type", "application/json"),),
        json.dumps({"name": "Ada", "address": {"city": "London", "zip": "12345\n"}}).encode(),
    ),
)
"""Values that end in a line feed, which to Python a pattern's `$` may stand before."""

_JSON_BY_DEFAULT = ("/body", "/several", "/secured/async")
"""Where the spec wants JSON, or names it first."""

Expected = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """For the calls that `applies` picks, `expected` is made of the reference's answer."""

    reason: str
    example: Call
    applies: Callable[[Call, Answer], bool]
    expected: Callable[[Call, Answer, Side], Expected]


def _bad_request(call: Call, reference: Answer, side: Side) -> Expected:
    problem = {"type": "about:blank", "title": "Bad Request", "detail": "in our own words", "status": 400}
    return {
        "status": 400,
        "headers": [("content-type", "application/problem+json")],
        "body": described(problem),
        "broken": False,
        "events": [],
    }


def _is_json(call: Call) -> bool:
    """Whether the body is taken for JSON, as it also is where nothing is said and the spec wants JSON."""
    kinds = [value.lower() for name, value in call.headers if name == "Content-Type"]
    if kinds:
        return "json" in kinds[0]
    return bool(call.body) and any(path in call.path for path in _JSON_BY_DEFAULT)


def _is_unreadable(call: Call, reference: Answer) -> bool:
    return _is_json(call) and reference.status == 500 and not reference.events


def _has_constant(call: Call, _reference: Answer) -> bool:
    return _is_json(call) and any(word in call.body for word in (b"NaN", b"Infinity"))


def _is_read_in_several_ways(call: Call, _reference: Answer) -> bool:
    """Whether it is JSON to Python alone; what that is, tests/serving/test_strict_json.py says."""
    if not _is_json(call):
        return False
    try:
        text = call.body.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    try:
        strict_json.loads(text, JSON_DEPTH)
    except strict_json.Refused:
        return True
    return False


def _comes_in_chunks(call: Call, _reference: Answer) -> bool:
    return call.chunked and bool(call.body)


def _as_if_not_chunked(call: Call, _reference: Answer, side: Side) -> Expected:
    return comparable(side(dataclasses.replace(call, chunked=False)))


def _is_refused_stream(call: Call, reference: Answer) -> bool:
    return reference.status == 500 and "stream" in call.target and ("stream begins", {}) in reference.events


def _unread(call: Call, reference: Answer, side: Side) -> Expected:
    names = [name for name, _values in reference.events]
    before, after = _split_at(names.index("stream begins"), reference.events)
    kept = [event for event in after if event[0] == "stream closed"]
    return comparable(dataclasses.replace(reference, events=before + kept))


def _split_at(begin: int, events: list[Any]) -> tuple[list[Any], list[Any]]:
    """Before and after the stream, whose making may have pushed Flask's context again."""
    again = ("signal", {"name": described("appcontext_pushed"), "carries": described([])})
    begin -= events[begin - 1] == again
    return events[:begin], events[begin:]


_JSON = (("Content-Type", "application/json"),)

DIFFERENCES = (
    Difference(
        "A body that cannot be read as JSON is the client's mistake.",
        Call("POST", "/gallery/body/person", _JSON, b'{"name": "\xff"}'),
        _is_unreadable,
        _bad_request,
    ),
    Difference(
        "NaN and infinity are not JSON, so a body with them is refused.",
        Call("POST", "/gallery/body/person", _JSON, b'{"name": "Ada", "weight": NaN}'),
        _has_constant,
        _bad_request,
    ),
    Difference(
        "What readers of JSON differ in is refused.",
        Call("POST", "/gallery/body/person", _JSON, b'{"name": "Ada", "name": "Bob"}'),
        _is_read_in_several_ways,
        _bad_request,
    ),
    Difference(
        "Dates and UUIDs that are none are refused, as the spec asks.",
        WRONG_FORMATS[-1],
        lambda call, _reference: call in WRONG_FORMATS,
        _bad_request,
    ),
    Difference(
        "The end of a pattern is the end of the text.",
        LINE_ENDS[-1],
        lambda call, _reference: call in LINE_ENDS,
        _bad_request,
    ),
    Difference(
        "A body that comes in chunks is a body.",
        Call("POST", "/gallery/body/person", _JSON, b'{"name": "Ada"}', chunked=True),
        _comes_in_chunks,
        _as_if_not_chunked,
    ),
    Difference(
        "A stream with headers that the spec does not allow is closed unread: nobody will see it.",
        Call("GET", "/strict/answer/json/stream"),
        _is_refused_stream,
        _unread,
    ),
)

INDISTINCT_IN_WSGI: dict[str, Callable[[Call], bool]] = {
    "Headers that come twice are one, joined with a comma.": lambda call: (
        sum(name == "Cookie" for name, _ in call.headers) > 1
    ),
    "A Content-Type that is empty is like one that is absent.": lambda call: (
        ("Content-Type", "") in call.headers
    ),
}
"""What a WSGI application is not told, so that only the ASGI way can answer the same."""


def expected_of(call: Call, reference: Answer, side: Side) -> Expected:
    """What the handler has to answer; `side` asks the reference, where another request tells what it should be."""
    difference = next((one for one in DIFFERENCES if one.applies(call, reference)), None)
    return comparable(reference) if difference is None else difference.expected(call, reference, side)
