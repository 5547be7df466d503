"""Checking a JWT with the keys of its issuer. Owns what a token must have, and the words for one that has not."""

from collections.abc import Mapping
from typing import Any

import jwt

from swagger_server.config import JwtSettings
from swagger_server.security.errors import TokenRefused
from swagger_server.security.key_sets import KeySet, source

_ALGORITHMS = ["RS256", "ES256"]

_LONGEST = 8192
"""Characters of a token that is looked at."""

_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.MissingRequiredClaimError: "it lacks a claim that is required",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.InvalidAlgorithmError: "it is signed by an algorithm that is not taken",
}
"""What is told of a token, by the library's errors, whose own words may repeat what is in it."""

_OTHERWISE = "it cannot be read"


class Tokens:
    """What makes a token good, by the settings."""

    def __init__(self, settings: JwtSettings, keys: KeySet | None = None) -> None:
        self._settings = settings
        self._keys = keys or KeySet(source(str(settings.jwks)))

    def claims(self, token: str) -> Mapping[str, Any]:
        """What a good token says. Raises TokenRefused, and KeysUnavailable where that cannot be found out."""
        try:
            if len(token) > _LONGEST:
                raise TokenRefused("it is too long")
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in _ALGORITHMS:
                raise jwt.InvalidAlgorithmError
            return self._verified(token, header.get("kid"), header["alg"])
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
            reasons = (reason for kind, reason in _REASONS.items() if isinstance(exc, kind))
            raise TokenRefused(next(reasons, _OTHERWISE)) from None

    def _verified(self, token: str, kid: str | None, algorithm: str) -> Mapping[str, Any]:
        key = self._keys.key(kid, algorithm)
        if key is None:
            raise TokenRefused("it is signed with a key that is not known")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=_ALGORITHMS,
            issuer=self._settings.issuer,
            audience=self._settings.audience,
            leeway=self._settings.leeway,
            options={"require": ["exp", "iss", "aud", self._settings.owner]},
        )
        return claims
