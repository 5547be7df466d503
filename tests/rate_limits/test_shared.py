"""The storage that processes share: what it counts, whoever counts with it, ends, is killed or is forked."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import limits
import pytest
from limits.strategies import FixedWindowRateLimiter

from swagger_server.rate_limits import SharedStorage, shared
from swagger_server.runtime import Folder

DAY = 86_400  # seconds: no window ends while a test runs, but for one in a hundred thousand

spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    found = Folder(tmp_path / "shared")
    yield found
    found.leave()


def started(folder: Folder) -> SharedStorage:
    storage = SharedStorage()
    storage.start(folder)
    return storage


def count_in_a_process(path: Path, key: str, times: int, go: Event, told: Any) -> None:
    storage = started(Folder(path))
    told.put(None)
    go.wait()
    told.put([storage.incr(key, DAY) for _ in range(times)])
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_is_a_storage_for_the_librarys_strategies(folder: Folder):
    limiter = FixedWindowRateLimiter(started(folder))
    three = limits.parse("3/day")
    assert [limiter.hit(three, "reads", "ada") for _ in range(4)] == [True, True, True, False]
    assert limiter.test(three, "reads", "ada") is False
    assert limiter.test(three, "reads", "bob") is True
    stats = limiter.get_window_stats(three, "reads", "ada")
    assert stats.remaining == 0
    assert 0 < stats.reset_time - time.time() <= DAY
    limiter.clear(three, "reads", "ada")
    assert limiter.get_window_stats(three, "reads", "ada").remaining == 3


def test_processes_count_together_and_let_nobody_through_twice(folder: Folder):
    """Four processes at once, each of which is killed: what they were told and what is counted is the same."""
    go, told = spawn.Event(), spawn.SimpleQueue()
    processes = [
        spawn.Process(target=count_in_a_process, args=(folder.path, "key", 2000, go, told)) for _ in range(4)
    ]
    folder.enter()
    for process in processes:
        process.start()
    for _ in processes:
        told.get()
    go.set()
    counts = [count for _ in processes for count in told.get()]
    for process in processes:
        process.join()
    # At most as many are let through as are allowed, however many that is: a count is never told too low.
    assert all(sum(count <= allowed for count in counts) <= allowed for allowed in range(0, 8001, 50))
    assert started(folder).get("key") == max(counts) == 8000


def test_who_comes_after_one_that_ended_goes_on_with_its_counts(folder: Folder):
    storages = [started(folder) for _ in range(3)]
    assert [storage.incr("key", DAY) for storage in storages] == [1, 2, 3]
    storages[1].start_anew()  # gives up its column
    newcomer = started(folder)
    assert newcomer.incr("key", DAY) == 4
    assert storages[2].get("key") == 4
    assert len(list(folder.path.glob("rate-limits.*"))) == 3


def test_a_forked_process_counts_by_itself(folder: Folder):
    storage = started(folder)
    storage.incr("key", DAY)
    pid = os.fork()
    if not pid:
        os._exit(storage.incr("key", DAY) + 10 * storage.get("key"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 11
    assert storage.incr("key", DAY) == 2
    assert started(folder).incr("key", DAY) == 3  # in another column: the child has let go of its parent's


def test_a_window_ends_and_begins_anew(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    clock = [10**15]
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock[0])
    one, other = started(folder), started(folder)
    total, left = one.count("key", 10)
    assert total == 1
    assert 0 < left <= 10_000
    clock[0] += (left - 1) * 1_000_000
    assert other.count("key", 10) == (2, 1)
    clock[0] += 1_000_000
    assert (one.get("key"), other.get("key")) == (0, 0)
    assert other.count("key", 10) == (1, 10_000)
    assert one.count("key", 10) == (2, 10_000)


def test_windows_of_different_keys_end_at_different_times(folder: Folder):
    storage = started(folder)
    ends = {storage.count(f"key{number}", 60)[1] for number in range(50)}
    assert max(ends) - min(ends) > 30_000


def test_who_asks_most_is_remembered_when_too_many_ask(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "BUCKETS", 1)  # all keys lead to the first bucket
    storage = started(folder)
    assert storage.incr("busy", DAY, 500) == 500
    for number in range(shared.WAYS * 4):
        assert storage.incr(f"passer-by {number}", DAY) == 1
    assert storage.incr("busy", DAY) == 501


def test_expired_entries_make_room_before_living_ones(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "BUCKETS", 1)
    clock = [10**15]
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock[0])
    storage = started(folder)
    storage.incr("living", DAY)
    for number in range(shared.WAYS - 1):
        storage.incr(f"expiring {number}", 1, 100)
    clock[0] += 2_000_000_000
    for number in range(shared.WAYS - 1):
        storage.incr(f"new {number}", DAY)
    assert [storage.get(f"new {number}") for number in range(shared.WAYS - 1)] == [1] * (shared.WAYS - 1)
    assert storage.get("living") == 1


def test_a_count_has_an_end_and_does_not_run_into_the_next_word(folder: Folder):
    storage = started(folder)
    storage.incr("key", DAY, 1 << 30)
    assert storage.incr("key", DAY, 1 << 30) == storage.get("key") == (1 << 24) - 1


def test_more_processes_than_columns_count_by_themselves(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(shared, "COLUMNS", 2)
    storages = [started(folder) for _ in range(3)]
    assert [storage.incr("key", DAY) for storage in storages] == [1, 2, 1]
    assert [record.message for record in caplog.records] == [
        "there are more than 2 processes: this one counts by itself"
    ]


def test_without_room_on_the_disk_it_counts_by_itself(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared, "allocate", refuse)
    storage = SharedStorage()
    with pytest.raises(OSError, match="No space"):
        storage.start(folder)
    assert [storage.incr("key", DAY) for _ in range(2)] == [1, 2]
    monkeypatch.undo()
    assert started(folder).incr("key", DAY) == 1
    assert len(list(folder.path.glob("rate-limits.*"))) == 1  # it has let go of the column
