"""The binding as a Flask extension, without Connexion and without config.ini."""

import contextlib
import io
import threading
from collections.abc import Iterator
from contextlib import closing

import connexion
import psycopg2
import pytest
from flask import Blueprint, Flask, g, jsonify, request
from psycopg2.extras import RealDictCursor, RealDictRow

from swagger_server.db import ConnectionLost, get_db, is_lost, transaction
from swagger_server.db import Database as FlaskDatabase
from swagger_server.pool import PoolOptions, PoolTimeout
from swagger_server.serving import Application, connexion_handler
from swagger_server.session import StatementCut
from tests.serving.calls.making import get
from tests.serving.sides import wsgi_side
from tests.serving.test_same_answers_configurations import operation, spec
from tests.support.servers import Database

ACCOUNTS = "CREATE TABLE account (name text PRIMARY KEY, token text)"


@pytest.fixture
def app(database: Database) -> Flask:
    database.execute(ACCOUNTS)
    database.execute("INSERT INTO account VALUES ('ada', 'secret')")
    return Flask(__name__)


@pytest.fixture
def bound(app: Flask, database: Database) -> Iterator[FlaskDatabase]:
    extension = FlaskDatabase()
    extension.init_app(app, minconn=1, maxconn=2, **database.connect_kwargs)
    yield extension
    extension.close()


def pid() -> int:
    with g.db.cursor() as cur:
        cur.execute("SELECT pg_backend_pid()")
        return cur.fetchone()[0]


def test_before_request_view_and_blueprint_share_the_request_connection(app: Flask, bound: FlaskDatabase):
    pages = Blueprint("pages", __name__)

    @app.before_request
    def identify():
        with g.db.cursor() as cur:
            cur.execute("SELECT name FROM account WHERE token = %s", (request.headers.get("X-Token"),))
            g.account = cur.fetchone()
        g.seen = pid()

    @pages.get("/who")
    def who():
        return jsonify(account=g.account, same=g.seen == pid(), also=bound.conn is g.db is get_db())

    app.register_blueprint(pages)
    answer = app.test_client().get("/who", headers={"X-Token": "secret"}).json
    assert answer == {"account": ["ada"], "same": True, "also": True}
    assert bound.pool.stats().in_use == 0


def test_nothing_is_borrowed_without_a_touch(app: Flask, bound: FlaskDatabase):
    app.add_url_rule("/plain", view_func=lambda: "ok")
    before = bound.pool.stats().gets
    app.test_client().get("/plain")
    assert bound.pool.stats().gets == before


def test_a_teardown_function_that_raises_keeps_no_connection(app: Flask, bound: FlaskDatabase):
    app.add_url_rule("/pid", view_func=lambda: str(pid()))

    @app.teardown_appcontext
    def fail(_exc: BaseException | None) -> None:
        raise ValueError("the app's own teardown")

    for _ in range(3):  # one more than there are connections
        with pytest.raises(ValueError, match="the app's own teardown"):
            app.test_client().get("/pid")
        assert bound.pool.stats().in_use == 0


def test_what_a_teardown_function_borrows_is_given_back_too(database: Database):
    app = connexion.FlaskApp(__name__)
    app.add_api(spec({"/pid": {"get": operation(f"{__name__}.pid")}}))
    app.app.teardown_appcontext(lambda _exc: pid() and None)  # before ours
    with closing(FlaskDatabase()) as extension:
        extension.init_app(app.app, minconn=1, maxconn=2, **database.connect_kwargs)
        side = wsgi_side(Application(connexion_handler(app)))
        for _ in range(3):  # one more than there are connections
            assert side(get("/pid")).status == 200
            assert extension.pool.stats().in_use == 0


def test_a_post_commits_and_its_failure_rolls_back(app: Flask, bound: FlaskDatabase, database: Database):
    @app.post("/accounts/<name>/<int:status>")
    def create(name: str, status: int):
        with g.db.cursor() as cur:
            cur.execute("INSERT INTO account VALUES (%s)", (name,))
        if not status:
            raise ValueError("no")
        return name, status

    client = app.test_client()
    assert [client.post(f"/accounts/{name}").status_code for name in ("ok/201", "bad/400", "worse/0")] == [
        201,
        400,
        500,
    ]
    assert database.execute("SELECT name FROM account ORDER BY name") == [("ada",), ("ok",)]


def test_rows_can_be_dicts(app: Flask, database: Database):
    extension = FlaskDatabase(app, cursor_factory=RealDictCursor, **database.connect_kwargs)
    with app.test_request_context("/"), g.db.cursor() as cur:
        cur.execute("SELECT name, token FROM account")
        assert cur.fetchone() == RealDictRow(name="ada", token="secret")
    extension.close()


def test_a_cursor_class_of_the_callers_own_keeps_to_the_rules(app: Flask, bound: FlaskDatabase):
    with app.test_request_context("/"):
        with g.db.cursor(cursor_factory=RealDictCursor) as cur:
            cur.execute("SELECT current_setting('transaction_read_only') AS read_only")
            assert cur.fetchone() == {"read_only": "on"}
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction), g.db.cursor() as cur:
            cur.executemany("INSERT INTO account VALUES (%s)", [("x",), ("y",)])


def test_a_transaction_in_a_get_is_read_only_and_ends_with_its_block(app: Flask, bound: FlaskDatabase):
    with app.test_request_context("/"):
        with transaction() as conn, conn.cursor() as cur:
            cur.execute("SELECT 1")
            assert conn.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_INTRANS
            with pytest.raises(psycopg2.ProgrammingError, match="nested"), transaction():
                pass
        with (
            pytest.raises(psycopg2.errors.ReadOnlySqlTransaction),
            transaction() as conn,
            conn.cursor() as cur,
        ):
            cur.execute("INSERT INTO account VALUES ('x')")
        assert conn.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        assert pid()


def test_what_an_ignored_error_has_undone_is_not_called_committed(
    app: Flask, bound: FlaskDatabase, database: Database
):
    @app.post("/accounts")
    def create():
        with g.db.cursor() as cur:
            cur.execute("INSERT INTO account VALUES ('lost')")
            with contextlib.suppress(psycopg2.Error):
                cur.execute("SELECT * FROM nowhere")
        return "stored", 201

    @app.post("/blocks")
    def create_in_a_block():
        with get_db() as conn, conn.cursor() as cur:
            cur.execute("INSERT INTO account VALUES ('lost')")
            with contextlib.suppress(psycopg2.Error):
                cur.execute("SELECT * FROM nowhere")
        return "stored", 201

    client = app.test_client()
    assert [client.post(path).status_code for path in ("/accounts", "/blocks")] == [500, 500]
    assert database.execute("SELECT name FROM account") == [("ada",)]
    assert bound.pool.stats().in_use == 0


def test_first_touches_at_once_open_one_pool(app: Flask, bound: FlaskDatabase):
    bound.close()
    together = threading.Barrier(8)
    pools = []

    def touch():
        together.wait(10)
        pools.append(bound.open())

    threads = [threading.Thread(target=touch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pools) == 8
    assert len(set(map(id, pools))) == 1


def test_closing_within_a_request_keeps_no_other_connection(
    app: Flask, bound: FlaskDatabase, database: Database
):
    other = FlaskDatabase(app, "other", minconn=1, maxconn=2, **database.connect_kwargs)
    with app.test_request_context("/"):
        assert pid()
        assert other.conn
        bound.close()
    assert other.pool.stats().in_use == 0
    assert bound._pool is None
    other.close()


def test_text_that_postgresql_cannot_store_is_a_data_error(app: Flask, bound: FlaskDatabase):
    with app.test_request_context("/"), g.db.cursor() as cur:
        for text in ("nul \x00", "half \ud800"):
            with pytest.raises(psycopg2.DataError):
                cur.execute("SELECT %s", (text,))


def test_a_get_cannot_write_by_copy(app: Flask, bound: FlaskDatabase, database: Database):
    with (
        app.test_request_context("/"),
        g.db.cursor() as cur,
        pytest.raises(psycopg2.errors.ReadOnlySqlTransaction),
    ):
        cur.copy_from(io.StringIO("x\ty\n"), "account")
    assert database.execute("SELECT name FROM account") == [("ada",)]


def test_a_statement_that_the_pool_cuts_is_told_from_a_lost_connection(app: Flask, database: Database):
    extension = FlaskDatabase(app, options=PoolOptions(query_timeout=0.2), **database.connect_kwargs)
    with app.test_request_context("/"), g.db.cursor() as cur, pytest.raises(StatementCut) as caught:
        cur.execute("SELECT pg_sleep(30)")
    assert not is_lost(caught.value)
    extension.close()


def test_callproc_and_copy_are_read_only_too(app: Flask, bound: FlaskDatabase, tmp_path):
    with app.test_request_context("/"), g.db.cursor() as cur:
        cur.callproc("upper", ["abc"])
        assert cur.fetchone() == ("ABC",)
        with (tmp_path / "out").open("w+") as file:
            cur.copy_expert("COPY (SELECT current_setting('transaction_read_only')) TO STDOUT", file)
            file.seek(0)
            assert file.read() == "on\n"


def test_a_dead_connection_is_reported_and_replaced_in_the_next_request(
    app: Flask, bound: FlaskDatabase, database: Database
):
    with app.test_request_context("/"):
        database.execute("SELECT pg_terminate_backend(%s)", (pid(),))
        with pytest.raises(psycopg2.OperationalError):
            pid()
        with pytest.raises(ConnectionLost, match="request connection lost"):
            pid()
    with app.test_request_context("/"):
        assert pid()
    assert bound.pool.stats().in_use == 0


def test_an_exhausted_pool_raises_after_its_timeout(app: Flask, database: Database):
    extension = FlaskDatabase(
        app, minconn=1, maxconn=1, options=PoolOptions(timeout=0.05), **database.connect_kwargs
    )
    held, done = threading.Event(), threading.Event()

    def hold():
        with app.test_request_context("/"):
            pid()
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    with app.test_request_context("/"), pytest.raises(PoolTimeout):
        pid()
    done.set()
    holder.join()
    with app.test_request_context("/"):
        assert pid()
    extension.close()


def test_an_unknown_database_is_named(app: Flask, bound: FlaskDatabase):
    with app.test_request_context("/"), pytest.raises(LookupError, match="'reports'"):
        get_db("reports")
