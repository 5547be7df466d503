"""The rates in a Redis: several hosts count together, and one that is gone stops nobody."""

import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from werkzeug.test import Client

from swagger_server.app import create_app
from swagger_server.config import LimitSettings, Rate, ServerSettings, Settings
from swagger_server.rate_limits import Counter, Policy
from tests.support.process import wait_until
from tests.support.servers import Database, free_port

REDIS = shutil.which("redis-server")
SPEC = Path(__file__).parents[1] / "second_spec" / "openapi.yaml"
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


def connections(port: int) -> int:
    """How many of this process's lead there."""
    return len(
        [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port]
    )


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
        assert connections(port) == 3
        for counter in (one, other, newcomer):
            counter.stop()
        assert connections(port) == 0
        assert one.look(TWO, "cat").requests == newcomer.look(TWO, "cat").requests > 0
        for counter in (one, newcomer):
            counter.stop()


def test_a_service_that_stops_leaves_it(tmp_path: Path, database: Database):
    port = free_port()
    settings = Settings(
        server=ServerSettings(metrics=False, pool_page=False),
        limits=LimitSettings(storage=f"redis://127.0.0.1:{port}/1", reads_per_address=Rate(9, 1, "day")),
    )
    with running(port, tmp_path):
        app = create_app(settings, {"default": database.connect_kwargs}, spec=SPEC)
        app.start()
        answer = Client(app).get("/ledger/values", environ_base={"REMOTE_ADDR": "192.0.2.7"})
        assert ";r=8;" in answer.headers["RateLimit"]
        assert connections(port) == 1
        app.stop()
        assert connections(port) == 0
