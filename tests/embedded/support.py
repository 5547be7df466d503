"""Processes that use an embedded server, seen from outside."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from swagger_server.embedded.wire import server_pid
from tests.support.process import CHECKOUT, environment, has_died, mentioning, wait_until
from tests.support.servers import Database

GONE_WITHIN = 10.0  # seconds; a loaded machine is slow, an idle one takes a fifth of a second


class User:
    """A running `user.py`. It may be started without waiting for it: `answer` waits."""

    def __init__(
        self,
        data: Path | None,
        *options: str,
        env: Mapping[str, str | None] | None = None,
        python: str = sys.executable,
        **process_arguments: Any,
    ) -> None:
        script = Path(__file__).with_name("user.py")
        self.process = subprocess.Popen(
            [python, str(script), str(data or ""), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment({"PYTHONPATH": str(CHECKOUT), **(env or {})}),
            text=True,
            **process_arguments,
        )
        self._answer: dict[str, Any] | None = None

    def __enter__(self) -> "User":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def answer(self) -> dict[str, Any]:
        """What the process said first, or after its last order."""
        if self._answer is None:
            self._answer = json.loads(self._line())
        return self._answer

    def database(self) -> Database:
        """Where the process found its server."""
        return Database(self.answer()["connect_kwargs"])

    def server_pid(self) -> int:
        """The postmaster's, as the kernel tells it at the socket."""
        pid = server_pid(Path(self.answer()["connect_kwargs"]["host"]))
        assert pid is not None
        return pid

    def ask_again(self) -> dict[str, Any]:
        """Let the process call `ensure_running` once more."""
        self._answer = None
        self._order("again")
        return self.answer()

    def fork(self) -> psutil.Process:
        """Let the process fork itself."""
        self._order("fork")
        return psutil.Process(int(self._line()))

    def run_program(self) -> psutil.Process:
        """Let the process start another program, which is given every descriptor that it may have."""
        self._order("exec")
        return psutil.Process(int(self._line()))

    def leave(self) -> None:
        """Let the process end by itself, and wait for that."""
        self._close_streams()
        self.process.wait()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self._close_streams()
        self.process.wait()

    def _order(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline())

    def _close_streams(self) -> None:
        # not communicate(): a fork of the process keeps its end open
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def supervisors(data: Path) -> list[psutil.Process]:
    """The living supervisors of a data folder."""
    return mentioning(str(data), "__main__.py")


def wait_until_nothing_runs(data: Path) -> None:
    """Neither supervisor nor server nor anybody else who names the folder."""
    wait_until(lambda: not mentioning(str(data)), GONE_WITHIN, lambda: f"left: {mentioning(str(data))}")


def kill_at_once(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL for all as they stand: none lives to notice the end of another, and to react to it."""
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # a backend whose client has just gone
                act(process)


@contextmanager
def killed_at_the_end(process: psutil.Process) -> Iterator[psutil.Process]:
    """For a process that is not our own child."""
    try:
        yield process
    finally:
        process.kill()
        wait_until(lambda: has_died(process.pid))
