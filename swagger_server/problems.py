"""Every error as one shape: application/problem+json (RFC 9457), with the request id.

Owns the table from exception or SQLSTATE to status and text. An answer never carries SQL, names from
the schema or a stack trace: those go to the log, under the same request id.
"""

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import psycopg2
import werkzeug.exceptions
from connexion.exceptions import ProblemException
from psycopg2.extensions import QueryCanceledError
from psycopg2.pool import PoolError
from starlette.exceptions import HTTPException

from swagger_server import db, encoder, request_id
from swagger_server.serving import (
    BodyIncomplete,
    BodyStalled,
    BodyTooLarge,
    NoRoomForBody,
    NoTurn,
    OutOfTime,
    Response,
    ServerBusy,
)

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """An error answer. `extra` become further members of the body."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or _phrase(status)
        self.headers = dict(headers or {})
        self.extra = extra


class BadRequest(Problem):
    """400: the request asks for something that cannot be understood."""

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(400, detail, **extra)


class NotFound(Problem):
    """404: there is nothing under that key."""

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(404, detail, **extra)


_UNAVAILABLE = (503, "The database is not available at the moment. Please try again shortly.")
_NOT_SET_UP = (503, "The database lacks what this service needs: it has not been set up.")
_CONFLICT = (409, "The request conflicts with data that is stored already.")
_INVALID = (400, "The database refused a value of the request.")

SQLSTATES: Mapping[str, tuple[int, str]] = {
    "08": _UNAVAILABLE,
    "22": _INVALID,
    "23502": _INVALID,
    "23503": (409, "The request refers to something that does not exist, or that is still referred to."),
    "23505": _CONFLICT,
    "23P01": _CONFLICT,
    "23514": _INVALID,
    "40001": (409, "Another request changed the same data at the same time. Please try again."),
    "40P01": (409, "Another request changed the same data at the same time. Please try again."),
    "3F000": _NOT_SET_UP,
    "42501": (403, "This is not allowed."),
    "42P01": _NOT_SET_UP,
    "53": _UNAVAILABLE,
    "57014": (504, "The database took too long to answer."),
    "57P0": _UNAVAILABLE,
}
"""SQLSTATE, or the beginning of one, to status and text; the longest beginning counts.

Source of the codes: PostgreSQL's documentation, appendix A.
"""

_INTERNAL = (500, "The server could not answer this request. The error has been logged.")


def describe(exc: Exception, *, method: str = "GET", retry_after: int = 1) -> Problem:
    """The problem that an exception is to the client. `retry_after` (seconds) goes with every 503 and 429."""
    problem = _describe(exc, method)
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        problem.headers.setdefault("Retry-After", str(retry_after))
    return problem


def _describe(exc: Exception, method: str) -> Problem:
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, PoolError):
        return Problem(503, "All database connections are busy or unavailable. Please try again shortly.")
    if isinstance(exc, psycopg2.Error):
        return _describe_database_error(exc, method)
    if isinstance(exc, ProblemException):
        return _describe_problem(exc)
    if isinstance(exc, HTTPException):
        return _describe_http(exc.status_code, exc.detail, exc.headers)
    if isinstance(exc, werkzeug.exceptions.HTTPException):
        # One that carries a response, abort(response), has no code of its own.
        code = exc.code or getattr(exc.response, "status_code", None)
        return _describe_http(code, exc.description, _headers(exc))
    if isinstance(exc, BodyIncomplete):
        return Problem(400, str(exc))
    if isinstance(exc, BodyStalled):
        return Problem(408, str(exc))
    if isinstance(exc, BodyTooLarge):
        return Problem(413, str(exc))
    if isinstance(exc, NoRoomForBody):
        return Problem(503, f"{exc} Please try again shortly.")
    if isinstance(exc, NoTurn):
        return Problem(429 if exc.is_callers else 503, f"{exc} Please try again shortly.")
    if isinstance(exc, OutOfTime):
        return Problem(504, str(exc))
    if isinstance(exc, ServerBusy):
        return Problem(503, "The server is busy. Please try again shortly.")
    return Problem(*_INTERNAL)


_LONGEST = 300
"""Characters of a validator's text that are passed on."""

_OWN_MEMBERS = frozenset({"status", "title", "detail", "request_id"})


def _describe_problem(exc: ProblemException) -> Problem:
    """Connexion's problem with all its members; of a validator's dump of schema and value the first line."""
    detail = str(exc.detail or _phrase(exc.status))
    if exc.status == HTTPStatus.BAD_REQUEST:
        first = detail.split("\n", 1)[0]
        detail = first if len(first) <= _LONGEST else f"{first[: _LONGEST - 1]}…"
    problem = Problem(exc.status, detail, title=exc.title, headers=exc.headers)
    named = {"type": exc.type, "instance": exc.instance}
    members = {**(exc.ext or {}), **{name: value for name, value in named.items() if value}}
    problem.extra = {name: value for name, value in members.items() if name not in _OWN_MEMBERS}
    return problem


def _describe_http(status: int | None, detail: str | None, headers: Mapping[str, str] | None) -> Problem:
    status = status or HTTPStatus.INTERNAL_SERVER_ERROR.value
    text = _HTTP_TEXTS.get(status, detail or _phrase(status))
    return Problem(status, text, headers=headers)


def _headers(exc: werkzeug.exceptions.HTTPException) -> dict[str, str]:
    """WWW-Authenticate, Retry-After and the like; not those of the HTML body that is not sent."""
    return {name: value for name, value in exc.get_headers() if name.lower() != "content-type"}


_HTTP_TEXTS = {
    404: "There is nothing at this address.",
    405: "This address does not answer that method.",
    500: _INTERNAL[1],
}


def _describe_database_error(exc: psycopg2.Error, method: str) -> Problem:
    sqlstate = exc.pgcode
    if sqlstate == "25006":
        # On a write, a primary that became a standby; on a read, a controller that writes in a GET.
        return Problem(*(_INTERNAL if method in ("GET", "HEAD") else _UNAVAILABLE))
    if sqlstate is None:
        return Problem(*_describe_client_side_error(exc))
    beginnings = (sqlstate[:length] for length in (5, 4, 2))
    return Problem(*next((SQLSTATES[b] for b in beginnings if b in SQLSTATES), _INTERNAL))


def _describe_client_side_error(exc: psycopg2.Error) -> tuple[int, str]:
    """Errors that psycopg2 or our own code raised, without the server's word."""
    if isinstance(exc, QueryCanceledError):
        return SQLSTATES["57014"]
    if isinstance(exc, psycopg2.DataError):
        return _INVALID
    return _UNAVAILABLE if db.is_lost(exc) else _INTERNAL


_SAFE = "!$&'()*+,/:;=@"
"""Characters of a path that stand for themselves (RFC 3986), and its slashes."""


def answer(problem: Problem, path: str) -> Response:
    """The problem as an answer to a request for `path`."""
    body = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(path, safe=_SAFE, errors="replace"),
        "request_id": request_id.current.get(),
        **problem.extra,
    }
    headers = [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"), *problem.headers.items()]
    return Response(problem.status, headers, [_utf8(encoder.dumps(body))])


def _utf8(json: str) -> bytes:
    # A lone surrogate has no UTF-8, but JSON has an escape for it, which is Python's as well.
    return json.encode("utf-8", "backslashreplace")


_INNERMOST = 12
"""Frames of a stack that are logged: those above are the same ways through the middleware every time."""


def report(exc: Exception, problem: Problem, remedy: str | None = None) -> None:
    """Log what the client is not told: the stack of a 500, the cause of any other 5xx, in one record; and of what the
    database refused why, without the row's values.

    `remedy` is what is to be done about a table that is missing.
    """
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error(_stack(exc))
    elif SQLSTATES.get(getattr(exc, "pgcode", None) or "") is _NOT_SET_UP:
        # As after a migration that nobody has run; or else there is a wrong name in a statement, which the stack shows.
        log.error("the database lacks a table; %s\n%s", remedy or _REMEDY, _stack(exc))
    elif problem.status > HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s: %s", type(exc).__name__, str(exc).strip())
    elif isinstance(exc, psycopg2.Error):
        # Which constraint, or which permission: without it nobody could tell a client's mistake from a controller's.
        log.info("%s%s", type(exc).__name__, _told_without_values(exc))


def _told_without_values(exc: psycopg2.Error) -> str:
    """The server's message, unless it has the value in it that it could not read (class 22)."""
    said = exc.diag.message_primary
    return f": {said}" if said and not (exc.pgcode or "").startswith("22") else ""


_REMEDY = "are all migrations applied?"


def _stack(exc: Exception) -> str:
    return "".join(traceback.format_exception(exc, limit=-_INNERMOST))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
