"""Which requests need an event loop: told from the specs when the application is built."""

import asyncio
import inspect
import os
from collections.abc import Callable, Iterable
from typing import Any

from connexion.options import SwaggerUIConfig
from connexion.utils import get_function_from_name

from swagger_server.serving.translate import Scope

_FUNCTION_KEYS = {
    "x-basicInfoFunc": "BASICINFO_FUNC",
    "x-bearerInfoFunc": "BEARERINFO_FUNC",
    "x-apikeyInfoFunc": "APIKEYINFO_FUNC",
    "x-tokenInfoFunc": "TOKENINFO_FUNC",
    "x-scopeValidateFunc": "SCOPEVALIDATE_FUNC",
}
"""A security scheme's key for a function, and the variable Connexion takes it from otherwise."""


def suspending_paths(apis: Iterable[Any]) -> Callable[[Scope], bool]:
    """A test for requests whose way through Connexion really suspends.

    These are Swagger UI's files, which are read in a thread, and every path of an API that has an
    asynchronous security function or asks a remote token-info address.
    """
    prefixes = tuple(prefix for api in apis for prefix in _prefixes(api))

    def suspends(scope: Scope) -> bool:
        path: str = scope["path"]
        return path[len(scope.get("root_path", "")) :].startswith(prefixes) if prefixes else False

    return suspends


def secures_asynchronously(api: Any) -> bool:
    """Whether an API's security functions may wait: they are asynchronous, or ask another server."""
    schemes = api.specification.security_schemes or {}
    return bool(api.kwargs.get("security_map")) or any(map(_is_asynchronous, schemes.values()))


def _prefixes(api: Any) -> list[str]:
    base = (api.base_path if api.base_path is not None else api.specification.base_path).rstrip("/")
    if secures_asynchronously(api):
        return [f"{base}/"]
    config = SwaggerUIConfig(api.kwargs.get("swagger_ui_options"), oas_version=api.specification.version)
    return [f"{base}{config.swagger_ui_path.rstrip('/')}"] if config.swagger_ui_available else []


def _is_asynchronous(scheme: dict[str, Any]) -> bool:
    if "x-tokenInfoUrl" in scheme or "TOKENINFO_URL" in os.environ:
        return True
    names = (scheme.get(key) or os.environ.get(variable) for key, variable in _FUNCTION_KEYS.items())
    return any(_is_coroutine_function(get_function_from_name(name)) for name in names if name)


def _is_coroutine_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or asyncio.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )
