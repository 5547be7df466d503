"""The address that the client used, where reverse proxies stand in front (X-Forwarded-*)."""

import re
from collections.abc import Callable

from werkzeug.middleware.proxy_fix import ProxyFix

from swagger_server.problems import BadRequest
from swagger_server.serving import Request, translate

_PORT = re.compile(r"[0-9]{1,5}")

# "//host" and "/\host" would lead a browser to another site.
_PREFIX = re.compile(r"/(?![/\\])[^\x00-\x1f\x7f]*")


def trust_proxies(count: int) -> Callable[[Request], None]:
    """A step that believes the last `count` proxies (0: none) about client, scheme, host and prefix.

    A port that is no number is a BadRequest; a prefix that is no path of this host is ignored.
    """
    if not count:
        return lambda _request: None
    fix = ProxyFix(
        lambda _environ, _start: [], x_for=count, x_proto=count, x_host=count, x_port=count, x_prefix=count
    )

    def apply(request: Request) -> None:
        environ = dict(request.environ)
        fix(environ, lambda *_args: lambda _data: None)
        if not _PORT.fullmatch(str(environ.get("SERVER_PORT") or "0")):
            raise BadRequest("The X-Forwarded headers name a port that is no number.")
        environ["SCRIPT_NAME"] = _prefix(environ["SCRIPT_NAME"], request.environ.get("SCRIPT_NAME", ""))
        extensions = request.scope.get("extensions", {})
        scope = {**translate.scope_from_environ(environ), "extensions": extensions}
        request.replace(environ, scope)

    return apply


def _prefix(found: str, otherwise: str) -> str:
    return found.rstrip("/") if _PREFIX.fullmatch(found) else otherwise
