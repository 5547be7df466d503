"""The id of the request that is being answered: taken over from the client if sane, else made."""

import os
import random
import re
from contextvars import ContextVar

HEADER = "X-Request-ID"

current: ContextVar[str] = ContextVar("request_id", default="-")
"""The id in the context of a request, and "-" outside of one."""

# Ids must be like no other, but are no secret. Not the module's own generator, whose seed is anybody's to set.
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)

_SANE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


def taken_or_made(offered: str | None) -> str:
    """The client's id when it is up to 128 harmless characters, else a random one."""
    if offered and _SANE.fullmatch(offered):
        return offered
    return f"{_random.getrandbits(128):032x}"
