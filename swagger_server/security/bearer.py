"""The header Authorization: Bearer, with a JWT (RFC 7519, RFC 8725): whose it is, and what it may do.

Tokens are taken once the settings name where their keys are. Only RS256 and ES256: the algorithm is the service's
choice, never the token's. Where the keys cannot be had the answer is 503 and not 401: the token may well be good, and a
client that is told otherwise would throw it away.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from flask import Flask

from swagger_server import under_way
from swagger_server.config import JwtSettings
from swagger_server.key_store import SCOPES
from swagger_server.problems import Problem
from swagger_server.security.errors import KeysUnavailable, TokenRefused
from swagger_server.security.scopes import require_scope, unauthorized

log = logging.getLogger(__name__)

_EXTENSION = "swagger_server.security.bearer"

_LONGEST_OWNER = 200
"""Characters, as in the table of API keys."""


class _Tokens(Protocol):
    def claims(self, token: str) -> Mapping[str, Any]: ...


def install(app: Flask, settings: JwtSettings) -> None:
    """Have the app take tokens, where the settings say whose. Fetches nothing yet."""
    if settings.jwks is not None:
        # Here and not above: it brings a library of cryptography, which costs each worker some megabytes.
        from swagger_server.security.tokens import Tokens

        app.extensions[_EXTENSION] = Tokens(settings), settings


def check_bearer(token: str) -> dict[str, Any]:
    """Whose token it is: `sub` and `scopes`.

    Problem 401 for a token that is not good, 403 for one whose scopes do not suffice, 503 where the keys that it could
    be checked with cannot be had.
    """
    asked: Any = under_way.current.get()
    if _EXTENSION not in asked.app.extensions:
        raise unauthorized("This service takes no bearer tokens.")
    tokens, settings = asked.app.extensions[_EXTENSION]
    claims = _claims(tokens, token)
    owner = claims.get(settings.owner)
    if not _is_owner(owner):
        raise _invalid(f"its claim {settings.owner} names no owner")
    scopes = _scopes(claims.get(settings.scope))
    require_scope(scopes, "Bearer")
    return {"sub": owner, "scopes": scopes}


def _claims(tokens: _Tokens, token: str) -> Mapping[str, Any]:
    try:
        return tokens.claims(token)
    except TokenRefused as exc:
        raise _invalid(str(exc)) from None
    except KeysUnavailable:
        detail = "The keys that tokens are checked with cannot be had. Please try again shortly."
        raise Problem(503, detail) from None


def _invalid(reason: str) -> Problem:
    log.info("refused a bearer token: %s", reason)
    return unauthorized(f"This token is not good: {reason}.", 'Bearer error="invalid_token"')


def _is_owner(value: object) -> bool:
    """Whether it can be the owner of something: text that PostgreSQL can store as well."""
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_OWNER:
        return False
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _scopes(value: object) -> list[str]:
    """Those of ours in a claim, which is a list, or words with spaces between them (RFC 8693, section 4.2)."""
    given = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else []
    return [scope for scope in SCOPES if scope in given]
