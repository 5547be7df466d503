"""The address that the client used, where reverse proxies stand in front (X-Forwarded-*)."""

from collections.abc import Callable

from werkzeug.middleware.proxy_fix import ProxyFix

from swagger_server.serving import Request, translate


def trust_proxies(count: int) -> Callable[[Request], None]:
    """A step that believes the last `count` proxies (0: none) about client, scheme, host and prefix."""
    if not count:
        return lambda _request: None
    fix = ProxyFix(
        lambda _environ, _start: [], x_for=count, x_proto=count, x_host=count, x_port=count, x_prefix=count
    )

    def apply(request: Request) -> None:
        fix(request.environ, lambda *_args: lambda _data: None)
        extensions = request.scope.get("extensions", {})
        request.scope = {**translate.scope_from_environ(request.environ), "extensions": extensions}

    return apply
