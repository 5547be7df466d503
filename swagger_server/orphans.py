"""Ends a gunicorn worker whose master was killed.

A sync worker notices that only after half of gunicorn's timeout, an uvicorn worker never; and as long as one
of them lives, so does the embedded database.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def forget_master_handlers() -> None:
    """In a worker that has just been forked: have SIGTERM end it until it has handlers of its own.

    Those that it inherits put the signal into the master's queue, where nobody looks for it here.
    """
    if "gunicorn.arbiter" in sys.modules:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_with_master(master: int) -> None:
    """In a worker on Linux: get SIGTERM when the process `master` ends, however that ends. Elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != master:  # it ended while this worker was still loading
            os.kill(os.getpid(), signal.SIGTERM)
