"""A worker's threads run on one processor, and which one that is follows what others need."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from swagger_server.affinity import apart, better_processors, idle_shares, processor_times
from tests.service.conftest import LEDGER, environment_for
from tests.support.process import Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

ALLOWED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

needs_two = pytest.mark.skipif(len(ALLOWED) < 2, reason="needs Linux, and two processors")

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

CROWDED = """
import os
from swagger_server import affinity

first, second, *_ = sorted(os.sched_getaffinity(0))
other = {first: second, second: first}
# What the system tells of a processor that others keep busy, while the other one rests.
affinity.better_processors = lambda current, idle, used: [other[current]]
place = affinity.Place([first, second], first)
seen = set()
while len(seen) < 2:
    place.look()
    seen |= os.sched_getaffinity(0)
print(seen == {first, second})
"""

TOLD = (
    CROWDED
    + """
os.sched_setaffinity(0, {first, second})
for _ in range(20):
    place.look()
print(os.sched_getaffinity(0) == {first, second})
"""
)

REFUSED = (
    CROWDED
    + """
def refuse(thread, processors):
    if len(processors) == 1:
        raise PermissionError(1, "refused")
    set_affinity(thread, processors)

set_affinity, os.sched_setaffinity = os.sched_setaffinity, refuse
while len(os.sched_getaffinity(0)) == 1:
    place.look()
print(os.sched_getaffinity(0) == {first, second})
"""
)

UNREADABLE = """
import os, pathlib
from swagger_server import affinity

everywhere = os.sched_getaffinity(0)
affinity._STATISTICS = pathlib.Path("/proc/nothing")
affinity.keep_on_one_processor(1)
print(os.sched_getaffinity(0) == everywhere)
"""

FORKED = """
import os
from swagger_server.affinity import keep_on_one_processor

everywhere = os.sched_getaffinity(0)
keep_on_one_processor(1)
print(len(os.sched_getaffinity(0)), flush=True)
if not os.fork():
    print(os.sched_getaffinity(0) == everywhere, flush=True)
    os._exit(0)
os.wait()
"""


def run(code: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.split()


def masks(pid: int) -> set[frozenset[int]]:
    """The processors that the threads of a process may run on."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended
            found.add(frozenset(os.sched_getaffinity(int(thread.name))))
    return found


def have_threads_made(service: Gunicorn) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = clients.map(lambda _: requests.get(f"{service.url}/ledger/values", timeout=20), range(32))
    assert {answer.status_code for answer in answers} == {200}


def is_on_one(pid: int) -> bool:
    (*several,) = masks(pid)
    return len(several) == 1 and len(several[0]) == 1


@needs_two
@pytest.mark.parametrize(
    "options", [(), ("--preload",), ("-k", "gthread", "--threads", "4"), ("-k", "gevent")]
)
def test_all_threads_of_a_worker_are_on_one_processor(ledger_database: Database, options: tuple[str, ...]):
    env = environment_for({"default": ledger_database})
    with start_gunicorn("-w", "2", *options, env=env, app=LEDGER) as service:
        have_threads_made(service)
        # It may be about to move.
        wait_until(lambda: [is_on_one(pid) for pid in service.workers()] == [True, True])
        assert masks(service.pid) == {frozenset(ALLOWED)}


@needs_two
def test_a_setting_leaves_that_to_the_system(ledger_database: Database):
    env = environment_for({"default": ledger_database}, SERVER_CPU_AFFINITY="no")
    with start_gunicorn("-w", "2", env=env, app=LEDGER) as service:
        have_threads_made(service)
        assert [masks(pid) for pid in service.workers()] == [{frozenset(ALLOWED)}] * 2


@needs_two
def test_workers_begin_on_different_processors():
    first, second = run(CHILDREN)
    assert first != second
    assert {int(first), int(second)} <= ALLOWED


@needs_two
def test_a_move_takes_all_threads_along():
    assert run(MOVED) == ["True"] * 3


@needs_two
def test_a_worker_moves_away_from_others():
    assert run(CROWDED) == ["True"]


@needs_two
def test_a_mask_that_somebody_else_sets_stands():
    assert run(TOLD) == ["True", "True"]


@needs_two
def test_a_move_that_is_refused_leaves_it_to_the_system():
    assert run(REFUSED) == ["True", "True"]


@needs_two
def test_without_the_systems_statistics_nothing_happens():
    assert run(UNREADABLE) == ["True"]


@needs_two
def test_what_a_worker_forks_may_run_anywhere():
    assert run(FORKED) == ["1", "True"]


@pytest.mark.parametrize(
    ("idle", "used", "expected"),
    [
        ({0: 0.0, 1: 0.9}, 0.5, [1]),  # two share what one could have
        ({0: 0.0, 1: 0.1, 2: 0.6, 3: 0.7}, 0.5, [2, 3]),
        ({0: 0.3, 1: 0.9}, 0.5, []),  # there is room
        ({0: 0.0, 1: 0.9}, 0.95, []),  # nobody else is here
        ({0: 0.0, 1: 0.1}, 0.1, []),  # all are busy
        ({0: 0.0, 1: 0.3}, 0.8, []),  # it would have less there
        ({1: 0.9}, 0.5, []),  # nothing is told of the processor
        ({}, 0.5, []),
    ],
)
def test_when_to_move(idle: dict[int, float], used: float, expected: list[int]):
    assert better_processors(0, idle, used) == expected


def test_how_long_processors_have_rested():
    before, after = {0: (100, 1000), 1: (50, 1000), 2: (9, 9)}, {0: (125, 1100), 1: (150, 1100), 2: (9, 9)}
    assert idle_shares(before, after, [0, 1, 2, 3]) == {0: 0.25, 1: 1.0}


def test_the_order_of_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for processor, siblings in enumerate(("0-1", "0-1", "2-3", "2-3", "4,6", "5,7", "4,6", "5,7")):
        (tmp_path / str(processor)).write_text(f"{siblings}\n")
    monkeypatch.setattr("swagger_server.affinity._SIBLINGS", str(tmp_path / "{}"))
    assert apart([0, 1, 2, 3, 4, 5, 6, 7, 8]) == [0, 2, 4, 5, 8, 1, 3, 6, 7]


@needs_two
def test_what_the_system_tells():
    times = processor_times()
    assert all(0 <= rested <= passed for rested, passed in times.values())
    assert all(passed > 0 for _, passed in times.values())
