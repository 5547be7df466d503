"""The user that gunicorn's workers are (--user, --group), in one that its master has just forked with the application
loaded: it is still the master's user then, and what it makes for later must be its own.
"""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_user_of_workers() -> Iterator[None]:
    """Within the block files are opened and made as the worker's user. Elsewhere than in such a worker, nothing."""
    before = os.geteuid(), os.getegid()
    user, group = _of_workers() or before
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


def _of_workers() -> tuple[int, int] | None:
    """User and group of the settings of the gunicorn that is on the stack."""
    for frame, _ in traceback.walk_stack(None):
        if frame.f_globals.get("__name__", "").startswith("gunicorn."):
            config = getattr(frame.f_locals.get("self"), "cfg", None)
            if config is not None:
                return int(config.uid), int(config.gid)
    return None
