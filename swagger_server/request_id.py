"""The id of the request that is being answered: taken over from the client if sane, else made."""

import random
import re
from contextvars import ContextVar

HEADER = "X-Request-ID"

current: ContextVar[str] = ContextVar("request_id", default="-")
"""The id in the context of a request, and "-" outside of one."""

_SANE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


def taken_or_made(offered: str | None) -> str:
    """The client's id when it is up to 128 harmless characters, else a random one."""
    if offered and _SANE.fullmatch(offered):
        return offered
    # It must be like no other, not a secret, and a forked process has a seed of its own.
    return f"{random.getrandbits(128):032x}"
