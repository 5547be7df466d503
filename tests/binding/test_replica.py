"""A replica in a Flask app without Connexion, where one server plays both parts."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from swagger_server import position
from swagger_server.db import Database as FlaskDatabase
from swagger_server.db import get_db
from tests.pool.tools import kill_sessions
from tests.support.servers import Database

NAME = "SELECT current_setting('application_name')"


@pytest.fixture
def client(database: Database) -> Iterator[FlaskClient]:
    """Of an app whose `/` tells which of the two databases served it, and counts with each POST."""
    database.execute("CREATE TABLE visit (n serial)")
    app = Flask(__name__)
    primary = FlaskDatabase(app, minconn=1, maxconn=2, **arguments(database, "primary"), replica="copy")
    replica = FlaskDatabase(app, "copy", minconn=1, maxconn=2, **arguments(database, "copy"))

    @app.get("/")
    def who() -> str:
        return served_by(g.db)

    @app.get("/copy")
    def copy() -> str:
        return served_by(get_db("copy"))

    @app.post("/")
    def visit() -> str:
        with g.db.cursor() as cur:
            cur.execute("INSERT INTO visit DEFAULT VALUES")
        return served_by(g.db)

    @app.post("/block")
    def block() -> tuple[str, int]:
        with get_db() as conn, conn.cursor() as cur:
            cur.execute("INSERT INTO visit DEFAULT VALUES")
        return "stored, and then refused", 422

    yield app.test_client()
    primary.close()
    replica.close()


def arguments(database: Database, name: str) -> dict[str, Any]:
    return {**database.connect_kwargs, "application_name": name}


def served_by(conn: Any) -> str:
    with conn.cursor() as cur:
        cur.execute(NAME)
        return str(cur.fetchone()[0])


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the replica said each time that it was asked how far it has come."""
    asked: list[int] = []
    ask = position.replayed

    def replayed(connection: Any) -> int:
        asked.append(ask(connection))
        return asked[-1]

    monkeypatch.setattr(position, "replayed", replayed)
    return asked


def test_safe_methods_are_served_by_the_replica_and_others_by_the_primary(client: FlaskClient):
    assert client.get("/").text == "copy"
    assert client.post("/").text == "primary"
    assert client.get("/copy").text == "copy"


def test_a_replica_is_asked_once_for_each_write_that_it_must_have(client: FlaskClient, questions: list[int]):
    assert client.get("/").text == "copy"
    assert questions == []
    for count in (1, 2):
        client.post("/")
        assert [client.get("/").text for _ in range(5)] == ["copy"] * 5
        assert len(questions) == count
    assert questions[0] < questions[1]


def test_an_answer_that_undoes_only_what_came_after_a_commit_carries_the_position(client: FlaskClient):
    answer = client.post("/block")
    assert answer.status_code == 422
    assert position.HEADER in answer.headers


def test_when_the_position_cannot_be_had_the_write_stands_and_reads_go_to_the_primary(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
):
    ask = position.written

    def written(connection: Any) -> int:
        kill_sessions(database)
        return ask(connection)

    monkeypatch.setattr(position, "written", written)
    answer = client.post("/")
    assert (answer.status_code, answer.text) == (200, "primary")
    assert database.execute("SELECT count(*) FROM visit") == [(1,)]
    assert client.get("/").text == "primary"


@pytest.mark.parametrize("number", [0, 1, 0x16B374D848, position.UNKNOWN])
def test_a_position_comes_back_as_it_was_sent(number: int):
    cookie = position.set_cookie(number, 60).split(";")[0]
    assert position.carried({"x-database-position": position.text(number)}.get) == number
    assert position.carried({"cookie": f"a=1; {cookie}; b=2"}.get) == number


def test_where_there_is_no_replica_answers_say_nothing_of_positions(database: Database):
    app = Flask(__name__)
    alone = FlaskDatabase(app, minconn=0, **database.connect_kwargs)
    app.add_url_rule("/", "index", lambda: served_by(g.db), methods=["GET", "POST"])
    for answer in (app.test_client().get("/"), app.test_client().post("/")):
        assert answer.status_code == 200
        assert not {position.HEADER, "Vary", "Set-Cookie"} & set(answer.headers.keys())
    alone.close()
