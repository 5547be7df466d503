"""Every way in which a controller may answer or fail. Each is a function of nothing, told by its name."""

import datetime
import decimal
import enum
import http
import io
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import connexion
import flask
import werkzeug.exceptions
from connexion.exceptions import (
    BadRequestProblem,
    OAuthProblem,
    OAuthScopeProblem,
    ProblemException,
    UnsupportedMediaTypeProblem,
)
from connexion.lifecycle import ConnexionResponse
from connexion.problem import problem
from starlette.exceptions import HTTPException

from tests.serving.gallery.record import note


class OwnError(Exception):
    """Has a synchronous handler."""


class OwnSpecialError(OwnError):
    """Has its parent's handler."""


class OwnAsyncError(Exception):
    """Has an asynchronous handler."""


class FlaskError(Exception):
    """Has a handler of Flask's."""


class Reason(enum.Enum):
    TEAPOT = 418


def _pieces(*, fail: bool = False) -> Iterator[str]:
    note("stream begins")
    yield "one "
    if fail:
        raise OwnError("in the middle")
    yield "two "
    note("stream ends")
    yield "three"


def _response(status: int = 200) -> flask.Response:
    answer = flask.Response(b'{"made": "by hand"}', status, content_type="application/json")
    answer.headers["X-Own"] = "yes"
    answer.set_cookie("first", "1", max_age=60, expires=0, httponly=True)  # else it says when it was made
    answer.set_cookie("second", "2", path="/gallery")
    return answer


def _sends(**kwargs: Any) -> flask.Response:
    return flask.send_file(
        io.BytesIO(b"0123456789" * 10), mimetype="application/octet-stream", download_name="ten.bin", **kwargs
    )


ANSWERS: dict[str, Callable[[], Any]] = {
    "dict": lambda: {"a": 1, "b": [1.5, None, True], "c": "ü"},
    "list": lambda: [1, "two", None],
    "str": lambda: "text ü",
    "empty-str": lambda: "",
    "bytes": lambda: b"bytes \xff",
    "ascii-bytes": lambda: b"bytes",
    "int": lambda: 7,
    "float": lambda: 1.5,
    "bool": lambda: False,
    "none": lambda: None,
    "no-content": lambda: connexion.NoContent,
    "no-content-204": lambda: (connexion.NoContent, 204),
    "none-204": lambda: (None, 204),
    "dict-204": lambda: ({"ignored": True}, 204),
    "tuple-1": lambda: ({"a": 1},),
    "tuple-status": lambda: ({"a": 1}, 202),
    "tuple-enum-status": lambda: ({"a": 1}, http.HTTPStatus.ACCEPTED),
    "tuple-own-enum-status": lambda: ({"a": 1}, Reason.TEAPOT),
    "tuple-headers": lambda: ({"a": 1}, {"X-Own": "yes"}),
    "tuple-3": lambda: ({"a": 1}, 201, {"Location": "/somewhere", "X-Own": "ü"}),
    "tuple-3-content-type": lambda: ({"a": 1}, 200, {"Content-Type": "application/json"}),
    "tuple-3-other-type": lambda: ("a,b", 200, {"Content-Type": "text/csv"}),
    "tuple-3-charset": lambda: ({"a": 1}, 200, {"Content-Type": "application/json; charset=utf-8"}),
    "text-with-type": lambda: ("typed", 200, {"Content-Type": "text/plain"}),
    "tuple-4": lambda: (1, 2, 3, 4),
    "tuple-empty": lambda: (),
    "status-304": lambda: (None, 304, {"ETag": '"x"'}),
    "status-404": lambda: ({"missing": True}, 404),
    "status-500": lambda: ({"broken": True}, 500),
    "decimal": lambda: {"price": decimal.Decimal("1.25")},
    "date": lambda: {"day": datetime.date(2024, 2, 29), "time": datetime.datetime(2024, 2, 29, 12, 30)},
    "aware": lambda: {"time": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)},
    "uuid": lambda: {"id": uuid.UUID(int=5)},
    "nested": lambda: {"deep": {"deeper": [{"deepest": {"x": 1}}]}},
    "big-int": lambda: {"n": 2**80, "x": 1e300},
    "nan": lambda: [float("nan")],
    "not-json": lambda: {"x": object()},
    "set": lambda: {1},
    "non-str-keys": lambda: {1: "one", None: "none"},
    "large": lambda: {"text": "x" * 300_000},
    "generator": _pieces,
    "generator-status": lambda: (_pieces(), 206),
    "flask-response": _response,
    "flask-response-status": lambda: (_response(), 203),
    "flask-response-3": lambda: (_response(), 202, {"X-More": "more"}),
    "make-response": lambda: flask.make_response({"made": True}, 201),
    "jsonify": lambda: flask.jsonify(a=1, b=[1, 2], when=datetime.date(2024, 1, 1)),
    "stream": lambda: flask.Response(_pieces(), content_type="text/plain"),
    "stream-with-context": lambda: flask.Response(
        flask.stream_with_context(_pieces()), content_type="text/plain; charset=utf-8"
    ),
    "stream-empty": lambda: flask.Response(iter(()), content_type="text/plain"),
    "stream-closing": lambda: _closing(),
    "send-file": _sends,
    "send-attachment": lambda: _sends(as_attachment=True, etag="the-file"),
    "send-conditional": lambda: _sends(conditional=True, etag="the-file"),
    "large-response": lambda: flask.Response(b"x" * 2_000_000, content_type="application/octet-stream"),
    "connexion-response": lambda: ConnexionResponse(
        status_code=201, mimetype="application/json", body='{"a": 1}', headers={"X-Own": "yes"}
    ),
    "connexion-response-type": lambda: ConnexionResponse(content_type="text/html", body="<p>"),
    "connexion-response-empty": lambda: ConnexionResponse(204),
    "problem": lambda: problem(
        409,
        "Conflict",
        "There is one.",
        type="https://errors.example/one",
        headers={"X-Own": "p"},
        ext={"n": 1},
    ),
    "redirect": lambda: flask.redirect("/gallery/no-slash"),
    "redirect-303": lambda: flask.redirect("https://elsewhere.example/a?b=c", 303),
    "person": lambda: ({"name": "Ada", "age": 36}, 200, {"X-Needed": "here"}),
    "person-null": lambda: ({"name": "Ada", "age": None}, 200, {"X-Needed": "here"}),
    "person-wrong": lambda: ({"name": 5}, 200, {"X-Needed": "here"}),
    "person-extra": lambda: ({"name": "Ada", "unknown": 1}, 200, {"X-Needed": "here"}),
    "person-secret": lambda: ({"name": "Ada", "secret": "told"}, 200, {"X-Needed": "here"}),
    "person-no-header": lambda: {"name": "Ada"},
    "person-other": lambda: ({"reason": "why not"}, 404),
    "person-other-wrong": lambda: ({"because": "why not"}, 404),
    "person-stream": lambda: flask.Response(
        iter([b'{"name": ', b'"Ada"}']), content_type="application/json", headers={"X-Needed": "here"}
    ),
    "person-text": lambda: flask.Response("text", content_type="text/plain", headers={"X-Needed": "here"}),
    "person-empty": lambda: flask.Response("", content_type="application/json", headers={"X-Needed": "here"}),
    "person-not-json": lambda: flask.Response(
        "{", content_type="application/json", headers={"X-Needed": "here"}
    ),
}


def _closing() -> flask.Response:
    answer = flask.Response(_pieces(), content_type="text/plain")
    answer.call_on_close(lambda: note("stream closed"))
    return answer


def _answer(kind: str) -> Any:
    note("answer", kind=kind)
    return ANSWERS[kind]()


def as_json(kind):
    return _answer(kind)


as_text = as_bytes = as_one_of_several = as_undescribed = as_vendor = as_person = as_json


def _raises(exc: BaseException) -> None:
    raise exc


RAISED: dict[str, Callable[[], Any]] = {
    "value-error": lambda: _raises(ValueError("a secret of the controller")),
    "key-error": lambda: {}["missing"],
    "own": lambda: _raises(OwnError("own")),
    "own-special": lambda: _raises(OwnSpecialError("special")),
    "own-async": lambda: _raises(OwnAsyncError("async")),
    "flask-own": lambda: _raises(FlaskError("flask")),
    "problem": lambda: _raises(
        ProblemException(
            status=402,
            title="Out of credit",
            detail="The balance is 30.",
            type="https://errors.example/credit",
            instance="/accounts/1",
            headers={"X-Balance": "30"},
            ext={"balance": 30},
        )
    ),
    "problem-500": lambda: _raises(ProblemException(status=503, title="Later")),
    "bad-request": lambda: _raises(BadRequestProblem("not like this")),
    "oauth": lambda: _raises(OAuthProblem(detail="who are you")),
    "oauth-scope": lambda: _raises(OAuthScopeProblem(required_scopes=["a"], token_scopes=["b"])),
    "media-type": lambda: _raises(UnsupportedMediaTypeProblem(detail="no")),
    "starlette": lambda: _raises(HTTPException(409, "starlette's", headers={"X-Own": "s"})),
    "teapot": lambda: _raises(HTTPException(418)),
    "not-found": lambda: _raises(werkzeug.exceptions.NotFound("no such thing")),
    "conflict": lambda: _raises(werkzeug.exceptions.Conflict()),
    "too-many": lambda: _raises(werkzeug.exceptions.TooManyRequests(retry_after=30)),
    "unauthorized": lambda: _raises(werkzeug.exceptions.Unauthorized()),
    "method-not-allowed": lambda: _raises(werkzeug.exceptions.MethodNotAllowed(["PUT"])),
    "unavailable": lambda: _raises(werkzeug.exceptions.ServiceUnavailable(retry_after=5)),
    "bad-key": lambda: flask.request.form["missing"],
    "bad-json": lambda: flask.request.get_json(),
    "abort-404": lambda: flask.abort(404),
    "abort-described": lambda: flask.abort(403, "because"),
    "abort-response": lambda: flask.abort(flask.Response("no tea", 418, {"X-Pot": "short"})),
    "abort-redirect": lambda: flask.abort(flask.redirect("/elsewhere")),
    "abort-599": lambda: flask.abort(511, "network"),
    "problem-after-write": lambda: (_response(), _raises(OwnError("after"))),
    "assertion": lambda: _raises(AssertionError("no")),
    "recursion": lambda: _raises(RecursionError("deep")),
    "unicode": lambda: b"\xff".decode(),
}


def raising(kind):
    note("raise", kind=kind)
    return RAISED[kind]()


raising_post = raising
