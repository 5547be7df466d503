"""Flask's part of a request that is routed already: its contexts, hooks, error handlers and response.

Owns what Flask.wsgi_app does, without matching the address again, which was done on the way here. Must
not know Connexion.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from blinker import Signal
from flask import Flask, request_finished, request_started, request_tearing_down
from flask import Response as FlaskResponse
from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, _cv_request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down
from flask.wrappers import Request as FlaskRequest
from werkzeug.routing import MapAdapter, Rule

from swagger_server.serving.messages import Headers, Response
from swagger_server.serving.translate import Environ
from swagger_server.serving.whole_answer import WholeAnswer

_PLAIN = (FlaskResponse, WholeAnswer)
"""Classes whose instances are what they look like."""

_BODILESS = (204, 304)
_WHOLE_UP_TO = 1_048_576
"""Bytes up to which an answer of known length is passed on as one piece; a larger file is streamed."""


class _Hooks(NamedTuple):
    """The functions that Flask would look for at every request, in the order in which it calls them."""

    before: tuple[Callable[[], Any], ...]
    after: tuple[Callable[[Any], Any], ...]
    teardown: tuple[Callable[[Any], Any], ...]
    app_teardown: tuple[Callable[[Any], Any], ...]
    has_session: bool


class FlaskSide:
    """Runs views of `app` that somebody else has found."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        # At the first request all hooks are there: Flask refuses later ones.
        self._hooks_of = functools.cache(self._find_hooks)

    def run(
        self,
        make_environ: Callable[[], Environ],
        rule: Rule,
        view_args: dict[str, Any],
        view: Callable[[], Any],
    ) -> Response:
        """What `view` answers inside the app's contexts and between its hooks; raises what it leaves unhandled.

        As in Flask, `view_args` are those of the URL `rule`; here they are not handed to the view. `make_environ` is
        called once somebody asks for Flask's request.
        """
        app = self._app
        hooks = self._hooks_of(rule.endpoint)
        context = _RoutedContext(app, make_environ, rule, view_args, hooks)
        error: BaseException | None = None
        try:
            try:
                context.push()
                answer = self._finish(self._dispatch(hooks, view), context, hooks)
            except Exception as exc:
                error = exc
                answer = app.handle_exception(exc)
            return _simple(answer) or as_response(answer, context.request.environ)
        except BaseException as exc:
            error = error or exc
            raise
        finally:
            context.pop(None if error is not None and app.should_ignore_error(error) else error)

    def _dispatch(self, hooks: _Hooks, view: Callable[[], Any]) -> Any:
        app = self._app
        app._got_first_request = True
        try:
            _tell(request_started, app)
            for before in hooks.before:
                answer = before()
                if answer is not None:
                    return answer
            return view()
        except Exception as exc:
            return app.handle_user_exception(exc)

    def _finish(self, answer: Any, context: "_RoutedContext", hooks: _Hooks) -> FlaskResponse:
        app = self._app
        response = answer if type(answer) in _PLAIN else app.make_response(answer)
        for function in context._after_request_functions:
            response = app.ensure_sync(function)(response)
        for after in hooks.after:
            response = after(response)
        context.save_session(response)
        _tell(request_finished, app, response=response)
        return response

    def _find_hooks(self, endpoint: str) -> _Hooks:
        app = self._app
        inner = endpoint.rpartition(".")[0]  # Connexion's blueprints are not nested
        names = (inner, None) if inner else (None,)

        def functions(registered: Any, order: Iterable[Any], step: int) -> tuple[Any, ...]:
            return tuple(app.ensure_sync(each) for name in order for each in registered.get(name, [])[::step])

        return _Hooks(
            before=functions(app.before_request_funcs, reversed(names), 1),
            after=functions(app.after_request_funcs, names, -1),
            teardown=functions(app.teardown_request_funcs, names, -1),
            app_teardown=tuple(map(app.ensure_sync, reversed(app.teardown_appcontext_funcs))),
            has_session=app.secret_key is not None
            or type(app.session_interface) is not SecureCookieSessionInterface,
        )


def _tell(signal: Signal, app: Flask, **values: Any) -> None:
    """Send a signal, if anybody listens: sending costs as much where nobody does."""
    if signal.receivers:
        signal.send(app, _async_wrapper=app.ensure_sync, **values)


def _call_all(functions: Iterable[Callable[[Any], Any]], exc: BaseException | None) -> None:
    """Call teardown functions; one that raises does not keep those after it from giving back what they hold."""
    remaining = iter(functions)
    try:
        for function in remaining:
            function(exc)
    except BaseException:
        _call_all(remaining, exc)
        raise


class _AppContext(AppContext):
    """Flask's app context of a request, for an app without a SERVER_NAME."""

    def __init__(self, app: Flask) -> None:
        # Not the base class's: it would look for the URL adapter that there is only with a SERVER_NAME.
        self.app = app
        self.url_adapter = None
        self.g = app.app_ctx_globals_class()
        self._cv_tokens = []

    def push(self) -> None:
        self._cv_tokens.append(_cv_app.set(self))
        _tell(appcontext_pushed, self.app)

    def end(self, teardown: Iterable[Callable[[Any], Any]], exc: BaseException | None) -> None:
        """As `pop`, with the functions that are to be called already found."""
        try:
            _call_all(teardown, exc)
            _tell(appcontext_tearing_down, self.app, exc=exc)
        finally:
            _cv_app.reset(self._cv_tokens.pop())
        _tell(appcontext_popped, self.app)


class _RoutedContext(RequestContext):
    """Flask's request context with the result of the routing put in; what is seldom wanted is made when it is."""

    def __init__(
        self,
        app: Flask,
        make_environ: Callable[[], Environ],
        rule: Rule,
        view_args: dict[str, Any],
        hooks: _Hooks,
    ) -> None:
        # Not the base class's: it would make the request and the URL adapter at once.
        self.app = app
        self.flashes = None
        self._make_environ = make_environ
        self._routed = (rule, view_args)
        self._request: FlaskRequest | None = None
        self._session = None
        self._after_request_functions = []
        self._cv_tokens = []
        self._hooks = hooks
        self._adapter: MapAdapter | None = None

    @property
    def request(self) -> FlaskRequest:  # type: ignore[override]
        """Flask's request, made at the first look."""
        if self._request is None:
            request: FlaskRequest = self.app.request_class(self._make_environ())
            request.json_module = self.app.json
            request.url_rule, request.view_args = self._routed
            self._request = request
        return self._request

    @property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """For url_for."""
        if self._adapter is None:
            self._adapter = self.app.create_url_adapter(self.request)
        return self._adapter

    @property
    def session(self) -> SessionMixin:
        """Without a secret key there is only one that cannot be written to."""
        if self._session is None:
            self._session = self.app.session_interface.make_null_session(self.app)
        return super().session

    def push(self) -> None:
        """Also for a second time, by stream_with_context."""
        app_context = None
        current = _cv_app.get(None)
        if current is None or current.app is not self.app:
            app_context = _AppContext(self.app)
            app_context.push()
        self._cv_tokens.append((_cv_request.set(self), app_context))
        if self._hooks.has_session and self._session is None:
            interface = self.app.session_interface
            self._session = interface.open_session(self.app, self.request)
            if self._session is None:
                self._session = interface.make_null_session(self.app)

    def save_session(self, response: FlaskResponse) -> None:
        """Unless there is none."""
        if self._session is None:
            return
        interface = self.app.session_interface
        if not interface.is_null_session(self._session):
            interface.save_session(self.app, self._session, response)

    def pop(self, exc: BaseException | None = None) -> None:
        """Tear down, when it is the last of several."""
        if len(self._cv_tokens) != 1 or self._cv_tokens[0][1] is None:
            super().pop(exc)
            return
        try:
            _call_all(self._hooks.teardown, exc)
            _tell(request_tearing_down, self.app, exc=exc)
            if self._request is not None:
                self._request.close()
        finally:
            token, app_context = self._cv_tokens.pop()
            _cv_request.reset(token)
            if self._request is not None:
                self._request.environ["werkzeug.request"] = None
            cast(_AppContext, app_context).end(self._hooks.app_teardown, exc)

    def copy(self) -> RequestContext:
        return RequestContext(self.app, self.request.environ, self.request, self._session)


def as_response(answer: Any, environ: Environ) -> Response:
    """A WSGI application's answer: whole where its length is known and fits, else a stream."""
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


def _simple(answer: Any) -> Response | None:
    """An answer in one piece that Werkzeug would send as it is; None for any other."""
    if type(answer) not in _PLAIN:
        return None
    pieces, status = answer.response, answer.status_code
    if type(pieces) is not list or len(pieces) != 1 or status < 200 or status in _BODILESS:
        return None
    headers = Headers(answer.headers)
    # Werkzeug completes addresses, and leaves the length as it is said.
    if "location" in headers or "content-location" in headers:
        return None
    body = pieces[0] if isinstance(pieces[0], bytes) else pieces[0].encode()
    length, said = str(len(body)), headers.get("content-length")
    if said is None:
        headers.set("content-length", length)
    elif said != length:
        return None
    if answer._on_close:
        answer.close()
    return Response(status, headers, [body])


def _size(headers: list[tuple[str, str]]) -> int | None:
    """The Content-Length, which Flask sets on every answer that it has whole."""
    return next((int(value) for name, value in headers if name.lower() == "content-length"), None)
