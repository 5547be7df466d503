"""Who is calling, and what that caller may do: API keys and bearer tokens.

A spec names the two functions in its security schemes. Both give `{"sub": owner, "scopes": [...]}`, so that a
controller takes the owner as `user`, or all of it as `token_info`. Knows the database and the problems; must not know
what the API is about.
"""

from collections.abc import Mapping

from flask import Flask

from swagger_server.config import JwtSettings
from swagger_server.security import bearer, scopes
from swagger_server.security.api_keys import check_api_key
from swagger_server.security.bearer import check_bearer

__all__ = ["check_api_key", "check_bearer", "install"]


def install(app: Flask, required: Mapping[str, str], tokens: JwtSettings) -> None:
    """Have the app's operations ask for these scopes, by operationId, where it is not the method that decides.

    Raises ConnexionException for a scope that there is not. Connects to nothing.
    """
    scopes.install(app, required)
    bearer.install(app, tokens)
