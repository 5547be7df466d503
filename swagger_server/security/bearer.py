"""The header Authorization: Bearer."""

from typing import Any

from swagger_server.security.scopes import unauthorized


def check_bearer(_token: str) -> dict[str, Any]:
    """Problem 401: no tokens are accepted."""
    raise unauthorized("This service takes no bearer tokens.")
