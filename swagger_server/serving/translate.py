"""The two standard descriptions of a request, each made from the other.

Flask reads WSGI's environ and Connexion's middleware reads ASGI's scope, so both are needed
whichever protocol the server speaks. Sources: PEP 3333 and the ASGI HTTP specification.
"""

import functools
import io
import sys
from collections.abc import MutableMapping
from typing import IO, Any
from urllib.parse import quote, urlsplit

Environ = dict[str, Any]
Scope = MutableMapping[str, Any]

IN_MEMORY = {"version": "3.0", "spec_version": "2.4"}
"""A scope's "asgi" for a request that is in memory: by 2.4 nobody need watch for a disconnect meanwhile."""


def origin_form(path: str) -> str:
    """The path alone, also where the client named the whole address ("GET http://host/path")."""
    return path if path.startswith("/") or "://" not in path else urlsplit(path).path or "/"


def environ_from_scope(scope: Scope, body: bytes) -> Environ:
    """WSGI's environ for an ASGI http scope whose body was read."""
    root_path = scope.get("root_path", "")
    host, port = scope.get("server") or ("localhost", 80)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _wsgi_text(root_path),
        "PATH_INFO": _wsgi_text(scope["path"].removeprefix(root_path)),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = scope["client"][0], str(scope["client"][1])
    _add_headers(environ, scope)
    set_body(environ, body)
    return environ


@functools.lru_cache(maxsize=1000)
def environ_key(name: str) -> str:
    """WSGI's name for a header."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _add_headers(environ: Environ, scope: Scope) -> None:
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1")
        if "_" in name:
            # "X_Key" would be taken for "X-Key"; servers and WSGI workers drop such headers as well.
            continue
        key = environ_key(name)
        value = raw_value.decode("latin-1")
        environ[key] = f"{environ[key]},{value}" if key in environ else value


def set_body(environ: Environ, body: bytes) -> None:
    """Make `body` the environ's input. Its length is known now, also if it came in chunks."""
    set_input(environ, io.BytesIO(body), len(body))


def set_input(environ: Environ, source: IO[bytes], length: int) -> None:
    """The same for a body that is read from `source`."""
    environ["wsgi.input"] = source
    environ["wsgi.input_terminated"] = True
    if length or "CONTENT_LENGTH" in environ or environ.pop("HTTP_TRANSFER_ENCODING", None):
        environ["CONTENT_LENGTH"] = str(length)
    environ.pop("HTTP_TRANSFER_ENCODING", None)


def path_in_app(environ: Environ) -> str:
    """The path below the one that the application is mounted at."""
    return _text(environ.get("PATH_INFO", ""))


def scope_from_environ(environ: Environ) -> Scope:
    """ASGI's http scope for a WSGI environ."""
    root_path = _text(environ.get("SCRIPT_NAME", ""))
    path = root_path + _text(environ.get("PATH_INFO", ""))
    return {
        "type": "http",
        "asgi": IN_MEMORY,
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root_path,
        "headers": list(_headers(environ)),
        "client": _client(environ),
        "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
    }


def _headers(environ: Environ) -> list[tuple[bytes, bytes]]:
    headers = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key[5:]
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            name = key
        else:
            continue
        headers.append((name.replace("_", "-").lower().encode("latin-1"), str(value).encode("latin-1")))
    return headers


def _client(environ: Environ) -> tuple[str, int] | None:
    address = environ.get("REMOTE_ADDR")
    return (address, int(environ.get("REMOTE_PORT") or 0)) if address else None


def _wsgi_text(text: str) -> str:
    """PEP 3333: the bytes of a path, each as one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(wsgi_text: str) -> str:
    return wsgi_text.encode("latin-1").decode("utf-8", "replace")
