"""A worker's threads run on one processor, and which one that is follows what others need."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from swagger_server.affinity import better_processor, idle_shares, processor_times
from tests.service.conftest import LEDGER, environment_for
from tests.support.process import Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

ALLOWED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

pytestmark = pytest.mark.skipif(len(ALLOWED) < 2, reason="needs Linux, and two processors")

CHILDREN = """
import os
from swagger_server.affinity import keep_on_one_processor

for number in range(2):
    if not os.fork():
        keep_on_one_processor(number)
        print(*os.sched_getaffinity(0), flush=True)
        os._exit(0)
    os.wait()
"""

MOVED = """
import os, threading
from swagger_server.affinity import Place

first, second, *_ = sorted(os.sched_getaffinity(0))
end = threading.Event()
threading.Thread(target=end.wait).start()
place = Place([first, second], first)
place.move(second)
threading.Thread(target=end.wait).start()
print(*(os.sched_getaffinity(int(thread)) == {second} for thread in os.listdir("/proc/self/task")))
end.set()
"""

TOLD = """
import os
from swagger_server.affinity import Place

first, second, *_ = sorted(os.sched_getaffinity(0))
place = Place([first, second], first)
os.sched_setaffinity(0, {second})
place.look()
print(os.sched_getaffinity(0) == {second})
os.sched_setaffinity(0, {first})
place.look()
print(os.sched_getaffinity(0) == {first})
"""


def run(code: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.split()


def masks(pid: int) -> set[frozenset[int]]:
    """The processors that the threads of a process may run on."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            found.add(frozenset(os.sched_getaffinity(int(thread.name))))
        except ProcessLookupError:
            continue  # it has ended
    return found


def have_threads_made(service: Gunicorn) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = clients.map(lambda _: requests.get(f"{service.url}/ledger/values", timeout=20), range(32))
    assert {answer.status_code for answer in answers} == {200}


def is_on_one(pid: int) -> bool:
    (*several,) = masks(pid)
    return len(several) == 1 and len(several[0]) == 1


@pytest.mark.parametrize("options", [(), ("--preload",), ("-k", "gthread", "--threads", "4")])
def test_all_threads_of_a_worker_are_on_one_processor(ledger_database: Database, options: tuple[str, ...]):
    env = environment_for({"default": ledger_database})
    with start_gunicorn("-w", "2", *options, env=env, app=LEDGER) as service:
        have_threads_made(service)
        # It may be about to move.
        wait_until(lambda: all(is_on_one(pid) for pid in service.workers()))
        assert masks(service.pid) == {frozenset(ALLOWED)}


def test_a_setting_leaves_that_to_the_system(ledger_database: Database):
    env = environment_for({"default": ledger_database}, SERVER_CPU_AFFINITY="no")
    with start_gunicorn("-w", "2", env=env, app=LEDGER) as service:
        have_threads_made(service)
        assert [masks(pid) for pid in service.workers()] == [{frozenset(ALLOWED)}] * 2


def test_workers_begin_on_different_processors():
    first, second = run(CHILDREN)
    assert first != second
    assert {int(first), int(second)} <= ALLOWED


def test_a_move_takes_all_threads_along():
    assert run(MOVED) == ["True"] * 3


def test_a_mask_that_somebody_else_sets_stands():
    assert run(TOLD) == ["True", "True"]


@pytest.mark.parametrize(
    ("idle", "used", "expected"),
    [
        ({0: 0.0, 1: 0.9}, 0.5, 1),  # two share what one could have
        ({0: 0.0, 1: 0.1, 2: 0.6}, 0.5, 2),
        ({0: 0.3, 1: 0.9}, 0.5, None),  # there is room
        ({0: 0.0, 1: 0.9}, 0.95, None),  # nobody else is here
        ({0: 0.0, 1: 0.1}, 0.5, None),  # all are busy
        ({1: 0.9}, 0.5, None),  # nothing is told of the processor
        ({}, 0.5, None),
    ],
)
def test_when_to_move(idle: dict[int, float], used: float, expected: int | None):
    assert better_processor(0, idle, used) == expected


def test_how_long_processors_have_rested():
    before, after = {0: (100, 1000), 1: (50, 1000), 2: (9, 9)}, {0: (125, 1100), 1: (150, 1100), 2: (9, 9)}
    assert idle_shares(before, after, [0, 1, 2, 3]) == {0: 0.25, 1: 1.0}


def test_what_the_system_tells():
    times = processor_times()
    assert set(times) >= ALLOWED
    assert all(0 < rested < passed for rested, passed in times.values())
