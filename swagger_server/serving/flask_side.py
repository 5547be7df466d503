"""Flask's part of a request that is routed already: its contexts, hooks, error handlers and response.

Owns what Flask.wsgi_app does, without matching the address again, which was done on the way here. Must
not know Connexion.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, request_started
from flask import Response as FlaskResponse
from flask.ctx import RequestContext
from flask.wrappers import Request as FlaskRequest
from werkzeug.routing import MapAdapter, Rule

from swagger_server.serving.messages import Environ, Response

_BODILESS = (204, 304)
_WHOLE_UP_TO = 1_048_576
"""Bytes up to which an answer of known length is passed on as one piece; a larger file is streamed."""


class FlaskSide:
    """Runs views of `app` that somebody else has found."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def run(
        self, environ: Environ, rule: Rule, view_args: dict[str, Any], view: Callable[[], Any]
    ) -> Response:
        """What `view` answers inside the app's contexts and between its hooks; raises what it leaves unhandled.

        As in Flask, `view_args` are those of the URL `rule`; here they are not handed to the view.
        """
        context = _RoutedContext(self._app, environ, rule, view_args)
        error: BaseException | None = None
        try:
            context.push()
            response = self._dispatch(view)
            return as_response(response, environ)
        except Exception as exc:
            error = exc
            response = self._app.handle_exception(exc)
            return as_response(response, environ)
        except BaseException:
            error = sys.exc_info()[1]
            raise
        finally:
            ignored = error is not None and self._app.should_ignore_error(error)
            context.pop(None if ignored else error)

    def _dispatch(self, view: Callable[[], Any]) -> Any:
        app = self._app
        app._got_first_request = True
        try:
            request_started.send(app, _async_wrapper=app.ensure_sync)
            answer = app.preprocess_request()
            if answer is None:
                answer = view()
        except Exception as exc:
            answer = app.handle_user_exception(exc)
        return app.finalize_request(answer)


class _RoutedContext(RequestContext):
    """Flask's request context with the result of the routing put in; the URL adapter is made when wanted."""

    def __init__(self, app: Flask, environ: Environ, rule: Rule, view_args: dict[str, Any]) -> None:
        # Not the base class's: it would make the adapter at once.
        request: FlaskRequest = app.request_class(environ)
        request.json_module = app.json
        request.url_rule, request.view_args = rule, view_args
        self.app = app
        self.request = request
        self.flashes = None
        self._session = None
        self._after_request_functions = []
        self._cv_tokens = []
        self._adapter: MapAdapter | None = None
        self._is_pushing = False

    @property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """For url_for; None while the context is pushed, or Flask would match the URL."""
        if self._adapter is None and not self._is_pushing:
            self._adapter = self.app.create_url_adapter(self.request)
        return self._adapter

    def push(self) -> None:
        self._is_pushing = True
        super().push()
        self._is_pushing = False

    def copy(self) -> RequestContext:
        return RequestContext(self.app, self.request.environ, self.request, self._session)


def as_response(answer: Any, environ: Environ) -> Response:
    """A WSGI application's answer: whole where its length is known and fits, else a stream."""
    if type(answer) is FlaskResponse and _is_simple(answer):
        return _whole(answer)
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        started[:] = [(int(status.split(" ", 1)[0]), headers)]

    body: Iterable[bytes] = answer(environ, start_response)
    status, headers = started[0]
    close = getattr(body, "close", lambda: None)
    size = _size(headers)
    if status not in _BODILESS and (size is None or size > _WHOLE_UP_TO):
        return Response(status, headers, body, close)
    try:
        return Response(status, headers, [b"".join(body)])
    finally:
        close()


def _is_simple(answer: FlaskResponse) -> bool:
    """Whether Werkzeug would send the answer as it is: a body in one piece, no address to complete."""
    headers = answer.headers
    return (
        200 <= answer.status_code not in _BODILESS
        and isinstance(answer.response, list)
        and len(answer.response) == 1
        and not ("location" in headers or "content-location" in headers or "content-length" in headers)
    )


def _whole(answer: FlaskResponse) -> Response:
    (body,) = answer.response
    body = body.encode() if isinstance(body, str) else body
    response = Response(answer.status_code, answer.headers, [body])
    response.set_header("content-length", str(len(body)))
    answer.close()
    return response


def _size(headers: list[tuple[str, str]]) -> int | None:
    """The Content-Length, which Flask sets on every answer that it has whole."""
    return next((int(value) for name, value in headers if name.lower() == "content-length"), None)
