"""A connection for a short piece of work beside the request's."""

import threading
from collections.abc import Iterator
from time import monotonic

import psycopg2
import pytest
from flask import Flask, g

from swagger_server import under_way
from swagger_server.db import Database as FlaskDatabase
from swagger_server.db import beside, is_lost
from swagger_server.pool import PoolTimeout
from swagger_server.rows import fetch
from tests.support.process import wait_until
from tests.support.servers import Database

PID = (
    "SELECT pg_backend_pid(), current_setting('transaction_read_only'), current_setting('statement_timeout')"
)


@pytest.fixture
def app(database: Database) -> Iterator[Flask]:
    database.execute("CREATE TABLE note (text text)")
    app = Flask(__name__)
    extension = FlaskDatabase(
        app, minconn=1, maxconn=2, statement_timeout=3, prepare=False, **database.connect_kwargs
    )
    yield app
    extension.close()


@pytest.fixture
def asked(app: Flask) -> Iterator[under_way.UnderWay]:
    """A request that has no app context yet, as while a security function runs."""
    asked = under_way.UnderWay("GET")
    asked.app = app
    token = under_way.current.set(asked)
    yield asked
    under_way.current.reset(token)


def in_use(app: Flask) -> int:
    return app.extensions["swagger_server.db"]["default"].pool.stats().in_use


def test_it_is_another_than_the_requests_and_commits_each_statement(app: Flask, database: Database):
    @app.post("/")
    def write() -> dict[str, bool]:
        fetch(g.db, "INSERT INTO note VALUES ('undone') RETURNING text", {})
        with beside() as conn:
            conn.cursor().execute("INSERT INTO note VALUES ('kept')")
            others = fetch(conn, PID, {})[0]
            seen = database.execute("SELECT text FROM note")
        assert seen == [("kept",)]
        assert others[1:] == ("off", "3s")
        assert others[0] != fetch(g.db, PID, {})[0][0]
        raise RuntimeError

    app.test_client().post("/")
    assert database.execute("SELECT text FROM note") == [("kept",)]
    assert in_use(app) == 0


def test_it_writes_in_a_get_too_unless_it_is_read_only(
    app: Flask, asked: under_way.UnderWay, database: Database
):
    with beside() as conn:
        conn.cursor().execute("INSERT INTO note VALUES ('used')")
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction), beside(read_only=True) as conn:
        conn.cursor().execute("INSERT INTO note VALUES ('never')")
    assert database.execute("SELECT text FROM note") == [("used",)]
    assert in_use(app) == 0
    assert set(asked.timings) == {"pool", "sql"}


def test_the_next_borrower_finds_nothing_of_it(app: Flask, asked: under_way.UnderWay):
    asked.method = "POST"
    with beside(read_only=True) as conn:
        pid, read_only, _ = fetch(conn, PID, {})[0]
        assert (read_only, conn.borrower) == ("on", asked)
    assert conn.borrower is None
    with app.app_context():
        assert fetch(g.db, PID, {})[0][:2] == (pid, "off")
        assert not g.db.autocommit


def test_it_waits_no_longer_than_the_request_has_time(app: Flask, asked: under_way.UnderWay):
    with beside(), beside():
        asked.cancellation.deadline = monotonic()
        with pytest.raises(PoolTimeout, match="within 0 s"), beside():
            pass
    assert in_use(app) == 0


def test_it_waits_no_longer_than_it_was_told(app: Flask, asked: under_way.UnderWay):
    with beside(), beside(), pytest.raises(PoolTimeout, match="within 0 s"), beside(patience=0):
        pass


def test_what_ends_the_request_ends_it(app: Flask, asked: under_way.UnderWay, database: Database):
    raised: list[psycopg2.Error] = []

    def sleep() -> None:
        under_way.current.set(asked)
        try:
            with beside() as conn:
                conn.cursor().execute("SELECT pg_sleep(2.9)")
        except psycopg2.Error as exc:
            raised.append(exc)

    thread = threading.Thread(target=sleep)
    thread.start()
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
    wait_until(lambda: database.execute(sleeping))
    asked.cancellation.cancel()
    thread.join(20)
    assert [is_lost(exc) for exc in raised] == [True]
    wait_until(lambda: in_use(app) == 0)  # the server is told by another one, in the background
