"""What the spec cannot say about parameters."""

import math

from swagger_server.problems import BadRequest
from swagger_server.search_key import search_key


def typed(q: str) -> str | None:
    """The search key of what somebody has typed; None where it has no letter and no digit, and so finds nothing."""
    return search_key(q) or None


def upper(code: str | None) -> str | None:
    """A code as it is stored."""
    return None if code is None else code.upper()


def require_numbers(**values: float | None) -> None:
    """BadRequest for "nan", which is a number to Python and inside any bounds."""
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise BadRequest(f"{name} is not a number.")
