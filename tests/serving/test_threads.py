"""How many requests have a thread at a time: few while they compute, all that may while they wait."""

import asyncio
import sys
import threading
import time
from typing import Any

import pytest

from swagger_server.serving import threads
from swagger_server.serving.threads import GaveUp, Job, RequestThreads

PATIENCE = 20.0  # seconds


class Call(Job[Any]):
    """Calls a function on a thread; `result` is a future."""

    __slots__ = ("_function", "dropped", "result")

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.dropped = threading.Event()

    def call(self) -> Any:
        return self._function()

    def returned(self, value: Any) -> None:
        self.result.set_result(value)

    def failed(self, error: BaseException) -> None:
        self.result.set_exception(error)

    def discard(self, value: Any) -> None:
        self.dropped.set()


class Meter:
    """Counts those who are inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)

    def __exit__(self, *_exc: object) -> None:
        with self._lock:
            self._inside -= 1

    def stay(self) -> None:
        """Be inside for a moment."""
        with self:
            time.sleep(0.001)


async def run_all(pool: RequestThreads, function: Any, count: int) -> list[Any]:
    calls = [Call(function) for _ in range(count)]
    for call in calls:
        pool.start(call)
    return await asyncio.wait_for(asyncio.gather(*(call.result for call in calls)), PATIENCE)


def test_as_many_wait_at_once_as_there_are_threads() -> None:
    meeting = threading.Barrier(12)
    assert sorted(asyncio.run(run_all(RequestThreads(12, PATIENCE), meeting.wait, 12))) == list(range(12))


def test_few_compute_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # What goes by counts as spent computing, so that it does not depend on who else uses the machine.
    monkeypatch.setattr(threads, "process_time", threads.monotonic)
    meter = Meter()
    asyncio.run(run_all(RequestThreads(12, PATIENCE), meter.stay, 200))
    assert meter.most == threads._FEWEST


def test_few_compute_again_after_many_have_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, meeting = Meter(), threading.Barrier(12)

    async def both() -> None:
        pool = RequestThreads(12, PATIENCE)
        await run_all(pool, meeting.wait, 12)
        await asyncio.sleep(25 * threads._TURN)  # until nobody looks any more
        monkeypatch.setattr(threads, "process_time", threads.monotonic)
        for _ in range(200):
            await run_all(pool, meter.stay, 10)
        meter.most = 0
        await run_all(pool, meter.stay, 200)

    asyncio.run(both())
    assert meter.most == threads._FEWEST


def test_nobody_looks_while_nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, meeting = 0, threading.Barrier(12)

    def counted() -> float:
        nonlocal looks
        looks += 1
        return 0.0

    monkeypatch.setattr(threads, "process_time", counted)

    async def ask() -> None:
        await run_all(RequestThreads(12, PATIENCE), meeting.wait, 12)
        assert looks
        for _ in range(40):  # threads of a busy machine come to rest late
            before = looks
            await asyncio.sleep(25 * threads._TURN)
            if looks == before:
                return
        pytest.fail("it still looks")

    asyncio.run(ask())


def test_others_get_a_thread_beside_those_that_compute_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "process_time", threads.monotonic)
    end = threading.Event()

    async def ask() -> None:
        pool = RequestThreads(12, PATIENCE)
        hogs = [Call(lambda: end.wait(PATIENCE)) for _ in range(3)]
        for hog in hogs:
            pool.start(hog)
        assert await run_all(pool, lambda: "quick", 50) == ["quick"] * 50
        assert not any(hog.result.done() for hog in hogs)
        end.set()
        await asyncio.gather(*(hog.result for hog in hogs))

    asyncio.run(ask())


def test_no_job_is_lost_between_two_threads() -> None:
    """A thread that goes to rest may be given a job before it has come to rest."""

    async def ask() -> None:
        pool = RequestThreads(3, PATIENCE)
        for number in range(1500):
            assert len(await run_all(pool, int, 1 + number % 4)) == 1 + number % 4

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        asyncio.run(ask())
    finally:
        sys.setswitchinterval(interval)


def test_what_no_thread_takes_in_time_is_given_up() -> None:
    async def ask() -> None:
        pool, end = RequestThreads(1, 0.2), threading.Event()
        busy, late = Call(end.wait), Call(lambda: "never")
        pool.start(busy)
        pool.start(late)
        with pytest.raises(GaveUp) as refused:
            await asyncio.wait_for(late.result, PATIENCE)
        assert refused.value.waited == 0.2
        end.set()
        assert await asyncio.wait_for(busy.result, PATIENCE) is True

    asyncio.run(ask())


def test_a_result_that_nobody_waits_for_is_done_away_with() -> None:
    async def ask() -> None:
        pool, begun, end = RequestThreads(1, PATIENCE), threading.Event(), threading.Event()

        def work() -> str:
            begun.set()
            end.wait(PATIENCE)
            return "done"

        call = Call(work)
        pool.start(call)
        await asyncio.to_thread(begun.wait, PATIENCE)
        pool.abandon(call)
        end.set()
        assert await asyncio.to_thread(call.dropped.wait, PATIENCE)
        assert not call.result.done()

    asyncio.run(ask())
