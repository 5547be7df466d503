"""An app whose security functions and middleware wait, for any worker; what they note is thrown away."""

import asyncio
import time
from pathlib import Path
from typing import Any

import anyio.to_thread
import connexion
from starlette.types import ASGIApp, Receive, Scope, Send

from swagger_server.serving import Application, Request, Response, connexion_handler
from tests.serving.gallery.record import recording


class Waits:
    """For a thread each of asyncio's and anyio's, and for a name's address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(time.sleep, 0.001)
        await anyio.to_thread.run_sync(time.sleep, 0.001)
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        await self.app(scope, receive, send)


def _app(*middleware: Any) -> connexion.FlaskApp:
    app = connexion.FlaskApp(__name__, specification_dir=Path(__file__).parent)
    app.add_api("openapi.yaml")
    for each in middleware:
        app.add_middleware(each)
    return app


_plain, _waiting = connexion_handler(_app()), connexion_handler(_app(Waits))


def _handler(request: Request) -> Response:
    if request.path == "/health/live":
        return Response(200, [("Content-Length", "0")], [b""])
    with recording():
        return (_waiting if request.header("x-wait") else _plain)(request)


application = Application(_handler, threads=8)
