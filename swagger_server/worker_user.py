"""The user that gunicorn's workers are (--user, --group), in one that its master has just forked with the application
loaded: it is still the master's user then, and what it makes for later must be its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from swagger_server.our_gunicorn import account_of_workers


@contextmanager
def as_user_of_workers() -> Iterator[None]:
    """Within the block files are opened and made as the worker's user. Elsewhere than in such a worker, nothing."""
    before = os.geteuid(), os.getegid()
    user, group = account_of_workers() or before
    if before[0] != 0 or (user, group) == before:
        yield
        return
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])
