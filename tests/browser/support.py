"""Small helpers of the browser tests: asking the API directly, and serving the page from elsewhere."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

STATIC = Path(__file__).resolve().parents[2] / "swagger_server" / "static"

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


def ask(base: str, path: str, **query: object) -> Any:
    """What the API itself says."""
    url = f"{base}/{path}" + (f"?{urlencode(query)}" if query else "")
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def page_file(path: str, _accept: str) -> Answer:
    """The page as a plain web server has it: index.html and static/."""
    file = STATIC / ("index.html" if path == "/" else path.removeprefix("/static/"))
    if not file.is_file():
        return 404, "text/plain", b""
    return 200, guess_type(file.name)[0] or "application/octet-stream", file.read_bytes()


def forwarded(base: str, prefix: str) -> Callable[[str, str], Answer]:
    """A reverse proxy that puts the service of `base` below `prefix` and does not tell it so."""

    def answer(path: str, accept: str) -> Answer:
        if not path.startswith(f"{prefix}/"):
            return 404, "text/plain", b""
        request = urllib.request.Request(base + path.removeprefix(prefix), headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.headers["Content-Type"], response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read()

    return answer


@contextmanager
def web_server(answer: Callable[[str, str], Answer]) -> Iterator[str]:
    """A web server on a port of its own; `answer` is given path and Accept. Yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path.partition("#")[0], self.headers.get("Accept", "*/*"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
