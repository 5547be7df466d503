"""The rates in a Redis: several hosts count together, and one that is gone stops nobody."""

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swagger_server.config import Rate
from swagger_server.rate_limits import Counter, Policy
from tests.support.process import wait_until
from tests.support.servers import free_port

REDIS = shutil.which("redis-server")
TWO = Policy("two", Rate(2, 1, "day"))

pytestmark = pytest.mark.skipif(REDIS is None, reason="needs redis-server")


@contextmanager
def running(port: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    assert REDIS is not None
    command = [REDIS, "--port", str(port), "--save", "", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log)
    try:
        wait_until(lambda: "Ready to accept" in (folder / "redis.log").read_text())
        yield process
    finally:
        process.terminate()
        process.wait()


def test_hosts_count_together_and_go_on_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    port = free_port()
    one, other = (Counter(f"redis://127.0.0.1:{port}/1") for _ in range(2))
    with running(port, tmp_path):
        standings = [counter.take(TWO, "ada") for counter in (one, other, one)]
        assert [(each.requests, each.remaining, each.is_over) for each in standings] == [
            (1, 1, False),
            (2, 0, False),
            (3, 0, True),
        ]
        assert 86_000 < standings[2].seconds <= 86_400
        looked = other.look(TWO, "ada")
        assert (looked.requests, looked.is_over, looked.seconds > 86_000) == (3, True, True)
        assert one.take(TWO, "bob").requests == 1
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert [one.take(TWO, "ada").requests for _ in range(3)] == [1, 2, 3]
    assert time.monotonic() - begun < 5
    assert len([record for record in caplog.records if "Redis" in record.message]) == 1
    with running(port, tmp_path):
        newcomer = Counter(f"redis://127.0.0.1:{port}/1")
        wait_until(lambda: one.take(TWO, "cat") and newcomer.look(TWO, "cat").requests)
