"""What a Connexion app answers to an exception: its error handlers, and Connexion's own for the rest."""

from collections.abc import Callable, Iterable
from typing import Any

from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from connexion.middleware.exceptions import ExceptionMiddleware
from starlette.exceptions import HTTPException

from swagger_server.serving.event_loop import finish, on_callers_thread
from swagger_server.serving.exchange import Exchange
from swagger_server.serving.messages import Request, Response
from swagger_server.serving.stepping import run_now
from swagger_server.serving.translate import Scope

ErrorHandler = Callable[[ConnexionRequest, Exception], Any]


class ErrorHandlers:
    """Connexion's middleware for exceptions, apart from the stack and on the calling thread."""

    def __init__(self, registered: Iterable[tuple[Any, ErrorHandler]]) -> None:
        self._middleware = ExceptionMiddleware(_raise_error)
        for kind, handler in on_this_thread(registered):
            self._middleware.add_exception_handler(kind, handler)

    def answer(self, request: Request, error: Exception) -> Response:
        """The answer to a request that raised `error`; raises what an error handler raises."""
        exchange = Exchange(request)
        exchange.error = error
        run_now(exchange.run(self._middleware))
        return exchange.response()


async def _raise_error(scope: Scope, _receive: Any, _send: Any) -> None:
    error = Exchange.of(scope).error
    assert error is not None
    raise error


def on_this_thread(registered: Iterable[tuple[Any, ErrorHandler]]) -> list[tuple[Any, ErrorHandler]]:
    """An app's error handlers, and Connexion's own for what the app leaves to it, all as coroutines.

    A synchronous one Connexion would hand to another thread; an asynchronous one gets an event loop.
    """
    handlers = {**_CONNEXION_ERROR_HANDLERS, **dict(registered)}
    return [(kind, _as_coroutine(handler)) for kind, handler in handlers.items()]


_CONNEXION_ERROR_HANDLERS: dict[Any, ErrorHandler] = {
    HTTPException: ExceptionMiddleware.http_exception.__wrapped__,
    ProblemException: ExceptionMiddleware.problem_handler,
    Exception: ExceptionMiddleware.common_error_handler,
}


def _as_coroutine(handler: ErrorHandler) -> ErrorHandler:
    async def call(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
        return await finish(await on_callers_thread(lambda: handler(request, exc)))

    return call
