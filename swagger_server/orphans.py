"""Ends a gunicorn worker whose master was killed.

A sync worker notices that only after half of gunicorn's timeout, an uvicorn worker never; and as long as one
of them lives, so does the embedded database.
"""

import ctypes
import os
import signal
import sys
import traceback
from typing import Any

_PR_SET_PDEATHSIG = 1


def forget_master_handlers() -> None:
    """In a worker that has just been forked: have SIGTERM end it until it has handlers of its own.

    Those that it inherits put the signal into the master's queue, where nobody looks for it here.
    """
    if "gunicorn.arbiter" in sys.modules:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def master_of_loading_worker() -> int | None:
    """The pid of gunicorn's master, where a worker is loading the application; None elsewhere.

    It is the one that the worker was told: the master may have ended before, and then the worker's parent is
    whoever adopts orphans here.
    """
    if "gunicorn.workers.base" not in sys.modules:
        return None
    from gunicorn.workers.base import Worker

    for frame, _ in traceback.walk_stack(None):
        caller = frame.f_locals.get("self")
        if isinstance(caller, Worker):
            return int(caller.ppid)
    return None


def end_with_master(master: int) -> None:
    """In a worker on Linux: get SIGTERM when the process `master` ends, however that ends. Elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != master:  # it ended while this worker was still loading
            os.kill(os.getpid(), signal.SIGTERM)


def workers_of_gunicorn() -> int | None:
    """How many workers the gunicorn starts that is loading the application, in a worker or (--preload) the master.

    None elsewhere.
    """
    workers = getattr(_settings_of_gunicorn(), "workers", None)
    return workers if isinstance(workers, int) else None


def account_of_workers() -> tuple[int, int] | None:
    """User and group as which the workers of the gunicorn run that is starting or loading; None elsewhere."""
    settings = _settings_of_gunicorn()
    user, group = getattr(settings, "uid", None), getattr(settings, "gid", None)
    return (user, group) if isinstance(user, int) and isinstance(group, int) else None


def _settings_of_gunicorn() -> Any:
    for frame, _ in traceback.walk_stack(None):
        if frame.f_globals.get("__name__", "").startswith("gunicorn."):
            settings = getattr(frame.f_locals.get("self"), "cfg", None)
            if settings is not None:
                return settings
    return None
