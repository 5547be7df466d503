"""Databases for tests: on the server of TEST_DATABASE_URL, else an embedded one, else a container."""

import gc
import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from swagger_server.embedded import available
from tests.support.containers import container_server
from tests.support.filled import copy_of_filled, filled_cluster, remove_filled
from tests.support.process import mentioning, wait_until
from tests.support.servers import Database, PrivateServer, open_folder, temporary_database

_numbers = itertools.count(1)

# What collecting the tests makes stays to the end, so that to look for garbage in it is for nothing, then and later.
gc.disable()

# A shell's background jobs start with SIGINT ignored, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_TOGETHER = ("tests/api/", "tests/browser/", "tests/security/", "tests/sites/")
"""Folders whose files share what is costly to start: a service with the places, a browser."""

_FIRST = (
    *("tests/browser/", "tests/service/test_restarts.py", "tests/service/test_budget.py"),
    *("tests/service/test_pool_page.py", "tests/service/test_metrics.py", "tests/service/test_workers.py"),
    *("tests/service/", "tests/security/", "tests/sites/", "tests/cli/", "tests/delivery/", "tests/api/"),
    *("tests/contract/", "tests/embedded/", "tests/data/"),
)
"""What takes long, in this order: begun last, the other processes would have to wait for it.

The browser's database with the places is made while those that need none are run.
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take long first, else the order stays."""
    items.sort(
        key=lambda item: next((n for n, name in enumerate(_FIRST) if item.nodeid.startswith(name)), 99)
    )


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """As `--dist loadfile`, but that some folders stay together."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next(filter(nodeid.startswith, _TOGETHER), super()._split_scope(nodeid))

    return Scheduling(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """At the end of the run, not of each of its processes."""
    if not hasattr(session.config, "workerinput"):
        remove_filled()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """A server that tests share, as its database `postgres`: make no changes that others can see."""
    with _server() as server:
        yield server


@pytest.fixture
def database(postgres: Database) -> Iterator[Database]:
    """A fresh, empty database of the test's own."""
    with temporary_database(postgres, f"test_{os.getpid()}_{next(_numbers)}") as fresh:
        yield fresh


@pytest.fixture
def private_server() -> Iterator[PrivateServer]:
    """A running server of the test's own, which it may stop, restart and freeze."""
    with PrivateServer() as server:
        yield server


@pytest.fixture(scope="session")
def places() -> Iterator[Database]:
    """A database with the schema and the sample data. Tests only read it."""
    if _is_embedded():
        with PrivateServer(cluster=filled_cluster()) as server:
            yield server.database().sibling("places")
    else:
        with _server() as server, temporary_database(server, f"places_{os.getpid()}") as loaded:
            _load(loaded)
            yield loaded


@pytest.fixture(scope="session")
def embedded_environment() -> Iterator[dict[str, str | None]]:
    """Variables for a service on an embedded database with the places, which the run shares."""
    if reason := available():
        pytest.skip(reason)
    with open_folder() as folder:
        (folder / "empty.ini").touch()
        copy_of_filled(folder / "data")
        yield {"EMBEDDED_DATA": str(folder / "data"), "SWAGGER_SERVER_CONFIG": str(folder / "empty.ini")}
        wait_until(lambda: not mentioning(str(folder)), explain=lambda: f"left: {mentioning(str(folder))}")


def _is_embedded() -> bool:
    return "TEST_DATABASE_URL" not in os.environ and available() is None


@contextmanager
def _server() -> Iterator[Database]:
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield Database.from_url(url)
    elif _is_embedded():
        with PrivateServer() as server:
            yield server.database()
    else:
        with container_server() as database:
            yield database


def _load(target: Database) -> None:
    # imported here: most tests need no places, and these two bring the sample data with them
    from swagger_server.sample import load_places
    from swagger_server.schema import migrate

    with closing(target.connect()) as connection:
        migrate(connection)
        load_places(connection, progress=False)
        connection.commit()
