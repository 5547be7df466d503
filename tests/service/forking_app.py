"""The places with one address more, whose answer is how a process that the worker forks has ended."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from swagger_server.wsgi import application as places


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/fork":
        answered: Iterable[bytes] = places(environ, start_response)
        return answered
    child = os.fork()
    if not child:
        os._exit(7)
    _, status = os.waitpid(child, 0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.waitstatus_to_exitcode(status)).encode()]
