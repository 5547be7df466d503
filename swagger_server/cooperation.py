"""psycopg2 and our own threads under gevent: what waits must let other greenlets go on."""

import os
import sys
from collections.abc import Callable

from swagger_server.our_gunicorn import is_becoming_a_master


def cooperate_with_gevent() -> None:
    """Make psycopg2 yield to other greenlets while it waits, in a process that gevent has patched."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        from psycogreen.gevent import patch_psycopg

        patch_psycopg()


def in_each_worker(action: Callable[[], None]) -> None:
    """In a master that preloads: run `action` in each worker once it is forked, and ready to start threads.

    A gevent worker patches the standard library only after the fork; a thread started before that is a real
    one, and it and the greenlets wait for each other for ever.
    """
    if "gunicorn.workers.ggevent" in sys.modules:
        _once_patched(action)
    else:
        once_forked(action)


def once_forked(action: Callable[[], None]) -> None:
    """In a master that preloads: run `action` in each worker as soon as it is forked.

    Not in what a worker forks, and not in the fork that becomes another master (SIGUSR2).
    """
    master = os.getpid()
    forking = [0]

    def note() -> None:
        forking[0] = os.getpid()

    def act() -> None:
        if forking[0] == master and not is_becoming_a_master():
            action()

    os.register_at_fork(before=note, after_in_child=act)


def _once_patched(action: Callable[[], None]) -> None:
    from gevent import events

    def notice(event: object) -> None:
        if isinstance(event, events.GeventDidPatchAllEvent):
            action()

    events.subscribers.append(notice)
