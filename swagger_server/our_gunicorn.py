"""The gunicorn that this process is of, as far as its frames on the stack tell: asked while it loads or forks.

Nobody else may tell: its settings are not always read (--chdir), and a worker's parent may be whoever adopts orphans.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any


def master() -> int | None:
    """The pid of gunicorn's master, which preloads the application, or for which a worker loads it; None elsewhere."""
    return os.getpid() if _is_preloading() else _master_of_loading_worker()


def workers() -> int | None:
    """How many workers the gunicorn starts that is loading the application, in a worker or (--preload) the master.

    None elsewhere.
    """
    found = getattr(_settings(), "workers", None)
    return found if isinstance(found, int) else None


def number_of_worker() -> int | None:
    """Which of all workers that its gunicorn ever had this is, while it loads or is being forked; None elsewhere."""
    for frame in _frames():
        if _module(frame).startswith("gunicorn."):
            name = "worker" if frame.f_code.co_name == "spawn_worker" else "self"
            age = getattr(frame.f_locals.get(name), "age", None)
            if isinstance(age, int):
                return age
    return None


def account_of_workers() -> tuple[int, int] | None:
    """User and group as which the workers of the gunicorn run that is starting or loading; None elsewhere."""
    settings = _settings()
    user, group = getattr(settings, "uid", None), getattr(settings, "gid", None)
    return (user, group) if isinstance(user, int) and isinstance(group, int) else None


def is_becoming_a_master() -> bool:
    """Whether this process was just forked to become another master (SIGUSR2)."""
    return any(
        frame.f_code.co_name == "reexec" and _module(frame) == "gunicorn.arbiter" for frame in _frames()
    )


def _is_preloading() -> bool:
    """Whether gunicorn's master is importing the application (--preload): workers will be forked from it."""
    modules = {_module(frame) for frame in _frames()}
    return "gunicorn.arbiter" in modules and "gunicorn.workers.base" not in modules


def _master_of_loading_worker() -> int | None:
    """The one that the worker was told: it may have ended since."""
    if "gunicorn.workers.base" not in sys.modules:
        return None
    from gunicorn.workers.base import Worker

    for frame in _frames():
        caller = frame.f_locals.get("self")
        if isinstance(caller, Worker):
            return int(caller.ppid)
    return None


def _settings() -> Any:
    for frame in _frames():
        if _module(frame).startswith("gunicorn."):
            settings = getattr(frame.f_locals.get("self"), "cfg", None)
            if settings is not None:
                return settings
    return None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _frames() -> Iterator[FrameType]:
    return (frame for frame, _ in traceback.walk_stack(None))
