"""What a caller may do: read, write, or administer. Owns which scope an operation needs, and the refusals."""

from collections.abc import Collection, Mapping
from typing import Any

from connexion.exceptions import ConnexionException
from flask import Flask

from swagger_server import under_way
from swagger_server.key_store import ADMIN, READ, SCOPES, WRITE
from swagger_server.problems import Problem

_EXTENSION = "swagger_server.security.scopes"


def install(app: Flask, required: Mapping[str, str]) -> None:
    """Have the app's operations ask for these scopes, where it is not the method that decides.

    Raises ConnexionException for a scope that there is not.
    """
    for operation, scope in required.items():
        if scope not in SCOPES:
            raise ConnexionException(
                f"{operation}: x-required-scope must be one of {', '.join(SCOPES)}, not {scope!r}"
            )
    app.extensions[_EXTENSION] = dict(required)


def unauthorized(detail: str, challenge: str | None = None) -> Problem:
    """401: who is calling is not known. Without a `challenge` the answer gets those of the operation."""
    return Problem(401, detail, headers={"WWW-Authenticate": challenge} if challenge else None)


def require_scope(granted: Collection[str], scheme: str | None = None) -> None:
    """Problem 403, which names the scope, where the request needs one that the caller does not have.

    `scheme` is the HTTP authentication scheme by which the caller came, if it was one.
    """
    needed = _needed()
    if needed in granted or ADMIN in granted:
        return
    challenge = f'{scheme} error="insufficient_scope", scope="{needed}"'
    headers = {"WWW-Authenticate": challenge} if scheme else None
    raise Problem(403, f"This needs the scope {needed}.", headers=headers)


def _needed() -> str:
    asked: Any = under_way.current.get()
    by_operation: Mapping[str, str] = asked.app.extensions.get(_EXTENSION, {})
    by_method = READ if asked.method in ("GET", "HEAD") else WRITE
    return by_operation.get(asked.operation, by_method)
