"""What every ASGI peer carries around its app: CORS by Starlette, and a request id without a task of its own."""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

CORS: dict[str, Any] = {
    "allow_origins": ["*"],
    "allow_methods": ["GET", "HEAD", "POST"],
    "allow_headers": ["*"],
    "expose_headers": ["Link", "X-Request-ID"],
    "max_age": 600,
}


class RequestId:
    """Sends the client's X-Request-ID back, or one that is made here; handlers find it in the scope."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number = _offered(scope) or uuid.uuid4().hex.encode()
        scope["request_id"] = number

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", number)]
            await send(message)

        await self.app(scope, receive, send_with_id)


def _offered(scope: Message) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return bytes(value[:128])
    return None


def add_to(app: FastAPI) -> None:
    """Put both around a FastAPI app."""
    app.add_middleware(CORSMiddleware, **CORS)
    app.add_middleware(RequestId)
