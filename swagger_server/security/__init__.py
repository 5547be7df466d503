"""Who is calling, and what that caller may do: API keys and bearer tokens.

A spec names the two functions in its security schemes. Both give `{"sub": owner, "scopes": [...]}`, so that a
controller takes the owner as `user`, or all of it as `token_info`. Knows the database and the problems; must not know
what the API is about.
"""

from swagger_server.security.api_keys import check_api_key
from swagger_server.security.bearer import check_bearer
from swagger_server.security.scopes import SCOPES, install

__all__ = ["SCOPES", "check_api_key", "check_bearer", "install"]
