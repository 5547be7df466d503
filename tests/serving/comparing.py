"""When two answers are the same: by status, JSON value or bytes, every header, and what happened meanwhile.

Not compared: the length of a JSON text (it may be written with other white space), the `detail` of a
refusal by the spec (its words are this project's own), and the time of day in a signed cookie.
"""

import json
import re
from typing import Any

from tests.serving.gallery.record import described
from tests.serving.sides import Answer, Call

_JSON = re.compile(r"application/([\w.+-]+\+)?json")
_TIMED = re.compile(r"^(session=[^.;]*)[^;]*")
_RESPONSE_REFUSED = "Response body does not conform to specification."
_BODILESS = (204, 304)


def comparable(answer: Answer) -> dict[str, Any]:
    """All of the answer that has to be the same, in a form that is compared by == and read in a diff."""
    return {
        "status": answer.status,
        "headers": sorted(_headers(answer)),
        "body": _body(answer),
        "broken": answer.broken,
        "events": answer.events,
    }


def assert_length_is_right(call: Call, answer: Answer) -> None:
    """The body has the length that its header tells."""
    length = answer.header("content-length")
    if length is not None and call.method != "HEAD" and answer.status not in _BODILESS:
        assert int(length) == len(answer.body)


def _headers(answer: Answer) -> list[tuple[str, str]]:
    # The date is that of the second in which the answer was made.
    kept = [(name, value) for name, value in answer.headers if name not in ("content-length", "date")]
    return [(name, _TIMED.sub(r"\1", value) if name == "set-cookie" else value) for name, value in kept]


def _body(answer: Answer) -> Any:
    content_type = answer.header("content-type") or ""
    if not _JSON.match(content_type):
        return answer.body
    try:
        value = json.loads(answer.body, parse_constant=str)
    except ValueError:
        return answer.body
    if content_type.startswith("application/problem+json"):
        _leave_words_out(value, answer)
    return described(value)


def _leave_words_out(problem: dict[str, Any], answer: Answer) -> None:
    detail = problem.get("detail") or ""
    if answer.status == 400 and not _reached_flask(answer):
        assert detail
        problem["detail"] = "in our own words"
    elif detail.startswith(_RESPONSE_REFUSED):
        problem["detail"] = _RESPONSE_REFUSED


def _reached_flask(answer: Answer) -> bool:
    return any(name == "signal" for name, _values in answer.events)
