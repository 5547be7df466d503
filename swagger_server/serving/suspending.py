"""Which requests need an event loop: told from the app and its specs when the application is built."""

import os
from collections.abc import Callable
from typing import Any

import connexion
from connexion.options import SwaggerUIConfig

from swagger_server.serving.translate import Scope


def suspending_paths(middleware: connexion.ConnexionMiddleware) -> Callable[[Scope], bool]:
    """A test for requests whose way through Connexion may really suspend.

    These are Swagger UI's files, which are read in a thread, every path of an API whose security handlers may wait,
    and all paths of an app with middleware of its own.
    """
    if has_own_middleware(middleware):
        return lambda _scope: True
    prefixes = tuple(prefix for api in middleware.apis for prefix in _prefixes(api))

    def suspends(scope: Scope) -> bool:
        path: str = scope["path"]
        return path[len(scope.get("root_path", "")) :].startswith(prefixes) if prefixes else False

    return suspends


def has_own_middleware(middleware: connexion.ConnexionMiddleware) -> bool:
    """Whether an app has more middleware than Connexion's own."""
    return bool(set(middleware.middlewares) - set(middleware.default_middlewares))


def secures_asynchronously(api: Any) -> bool:
    """Whether an API's security handlers may wait: they are the app's own, or ask another server."""
    schemes = api.specification.security_schemes or {}
    return bool(api.kwargs.get("security_map")) or any(map(_asks_another_server, schemes.values()))


def _prefixes(api: Any) -> list[str]:
    base = (api.base_path if api.base_path is not None else api.specification.base_path).rstrip("/")
    if secures_asynchronously(api):
        return [f"{base}/"]
    config = SwaggerUIConfig(api.kwargs.get("swagger_ui_options"), oas_version=api.specification.version)
    return [f"{base}{config.swagger_ui_path.rstrip('/')}"] if config.swagger_ui_available else []


def _asks_another_server(scheme: dict[str, Any]) -> bool:
    return "x-tokenInfoUrl" in scheme or "TOKENINFO_URL" in os.environ
