"""An application without Flask or Connexion, for the tests of the worker: what it answers is in the path."""

import sys
import threading
import time
from collections.abc import Iterator

from swagger_server.serving import Application, Request, Response

TEXT = [("Content-Type", "text/plain")]
LARGE = b"0123456789" * 100_000


def handler(request: Request) -> Response:
    match request.path:
        case "/large":
            return _whole(LARGE)
        case "/full-304":
            return Response(304, TEXT, [b"nobody expects a body"])
        case "/short":
            return Response(200, [*TEXT, ("Content-Length", "2")], [b"longer than that"])
        case "/control":
            return Response(200, [*TEXT, ("Content-Length", "2"), ("X-Value", "a\x08b")], [b"ab"])
        case "/headers":
            return _whole(
                "\n".join(f"{k.decode()}: {v.decode()}" for k, v in request.scope["headers"]).encode()
            )
        case "/body":
            return _whole(request.body)
        case "/empty":
            return Response(204, [], [])
        case "/stream":
            return Response(200, TEXT, (piece for piece in (b"one ", b"two ", b"three")))
        case "/minute-stream":
            return Response(200, TEXT, _pieces_of_a_minute())
        case "/unwritable-stream":
            return Response(200, [*TEXT, ("X-Value", "\u0142")], iter([b"one"]), _closed.set)
        case "/exit":
            sys.exit(3)
        case "/exit-in-stream":
            return Response(200, TEXT, _exiting())
        case "/exit-at-close":
            return Response(200, TEXT, iter([b"one"]), lambda: sys.exit(3))
        case "/until-cancelled":
            while not request.cancellation.is_cancelled:
                time.sleep(0.01)
            _cancelled.set()
        case "/was-closed":
            return _whole(str(_closed.is_set()).encode())
        case "/was-cancelled":
            return _whole(str(_cancelled.is_set()).encode())
        case "/split":
            return Response(
                200, [*TEXT, ("Content-Length", "5"), ("X-Value", "a\r\nX-Injected: b")], [b"split"]
            )
        case "/closing":
            return Response(200, [*TEXT, ("Content-Length", "7"), ("Connection", "close")], [b"closing"])
        case "/second":
            time.sleep(1)
        case "/seconds":
            time.sleep(4)
        case "/minute":
            time.sleep(60)
    return _whole(f"{request.method} {request.path}".encode())


_closed = threading.Event()
_cancelled = threading.Event()


def _pieces_of_a_minute() -> Iterator[bytes]:
    yield b"one"
    time.sleep(60)


def _exiting() -> Iterator[bytes]:
    yield b"one"
    sys.exit(3)


def _whole(body: bytes) -> Response:
    return Response(200, [*TEXT, ("Content-Length", str(len(body)))], [body])


application = Application(handler, threads=3, immediate={"/live": handler})
