"""Acting as a role with claims: each way to the data sees the caller's rows alone, and the next request none."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from flask import Flask, g, stream_with_context
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extras import RealDictCursor

from swagger_server import db
from swagger_server.db import Database as FlaskDatabase
from tests.support.servers import Database, temporary_database

ROLE = "act_as_notes"
ADA, BOB, ODD = "ada", "bob", "o'b\\rien'; RESET ROLE; --"
NOTES = f"""
DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
CREATE TABLE note (id serial PRIMARY KEY, owner text NOT NULL);
ALTER TABLE note ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON note USING (owner = current_setting('request.owner', true));
GRANT SELECT, INSERT ON note TO {ROLE};
GRANT USAGE ON SEQUENCE note_id_seq TO {ROLE};
"""
SEEN = "SELECT owner FROM note ORDER BY id"
WHO = "SELECT current_user, coalesce(current_setting('request.owner', true), '')"


@pytest.fixture(scope="module")
def notes(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"act_as_{os.getpid()}") as database:
        database.execute(NOTES)
        for owner in (ADA, BOB, ODD):
            database.execute("INSERT INTO note (owner) VALUES (%s)", (owner,))
        yield database


class Asking:
    """An app whose requests run what a test wants them to."""

    def __init__(self, notes: Database) -> None:
        self.app = Flask(__name__)
        self.database = FlaskDatabase()
        self.database.init_app(self.app, minconn=1, maxconn=1, **notes.connect_kwargs)
        self._work: Callable[[], Any] = lambda: None
        self._found: Any = None
        self.app.add_url_rule("/", view_func=self._run, methods=["GET", "POST"])

    def _run(self) -> Any:
        self._found = self._work()
        return ""

    def ask(self, method: str, work: Callable[[], Any]) -> Any:
        """What `work` finds in a request; its exceptions come through."""
        self._work, self.app.testing = work, True
        self.app.test_client().open("/", method=method)
        return self._found

    def who(self) -> tuple[str, str]:
        """Role and claim of a request that has said nothing."""
        return self.ask("GET", lambda: rows(WHO)[0])


@pytest.fixture
def asking(notes: Database) -> Iterator[Asking]:
    made = Asking(notes)
    yield made
    made.database.close()


def rows(sql: str) -> list[Any]:
    with g.db.cursor() as cur:
        cur.execute(sql)
        return cur.fetchall()


def plainly() -> list[str]:
    return [owner for (owner,) in rows(SEEN)]


def prepared() -> list[str]:
    found = [plainly() for _ in range(8)]
    assert all(each == found[0] for each in found)
    return found[-1]


def in_a_transaction() -> list[str]:
    with db.transaction():
        first = plainly()
        assert plainly() == first
        return first


def with_rows_as_dicts() -> list[str]:
    with g.db.cursor(cursor_factory=RealDictCursor) as cur:
        cur.execute(SEEN)
        return [row["owner"] for row in cur]


def by_many() -> list[str]:
    with g.db.cursor() as cur:
        cur.executemany(SEEN + " LIMIT %s", [(1,), (9,)])
        return [owner for (owner,) in cur]


def by_a_cursor_in_the_server() -> list[str]:
    with db.transaction() as connection, connection.cursor("notes") as cur:
        cur.itersize = 1
        cur.execute(SEEN)
        return [owner for (owner,) in cur]


def by_copy() -> list[str]:
    found = io.StringIO()
    with g.db.cursor() as cur:
        cur.copy_expert(f"COPY ({SEEN}) TO STDOUT WITH (FORMAT csv, QUOTE '\"')", found)
    return found.getvalue().splitlines()


def by_a_cursor_in_the_server_at_once() -> list[str]:
    with g.db.cursor("notes") as cur:
        cur.execute(SEEN)
        return [owner for (owner,) in cur]


def after_a_commit() -> list[str]:
    plainly()
    g.db.commit()
    return plainly()


def after_a_commit_in_words() -> list[str]:
    rows(SEEN + "; COMMIT; SELECT 1")
    return plainly()


def after_a_rollback() -> list[str]:
    plainly()
    g.db.rollback()
    return plainly()


def after_a_savepoint() -> list[str]:
    with g.db.cursor() as cur:
        cur.execute("SAVEPOINT here")
        with pytest.raises(psycopg2.Error):
            cur.execute("SELECT 1 / 0")
        cur.execute("ROLLBACK TO here")
    return plainly()


def after_a_large_object() -> list[str]:
    g.db.lobject(0, "w").close()
    return plainly()


def without_a_transaction() -> list[str]:
    g.db.autocommit = True
    return plainly()


READS = [plainly, prepared, in_a_transaction, with_rows_as_dicts, by_many, by_a_cursor_in_the_server, by_copy]
WRITES = [
    *READS,
    by_a_cursor_in_the_server_at_once,
    after_a_commit,
    after_a_commit_in_words,
    after_a_rollback,
    after_a_savepoint,
    after_a_large_object,
    without_a_transaction,
]


@pytest.mark.parametrize(
    ("method", "way"), [*(("GET", way) for way in READS), *(("POST", way) for way in WRITES)]
)
def test_each_way_sees_the_callers_rows_and_the_next_request_is_nobodys(
    asking: Asking, method: str, way: Callable[[], list[str]]
):
    login = asking.who()
    assert asking.ask(method, lambda: (db.act_as(ROLE, owner=ADA), way())[1]) == [ADA]
    assert asking.who() == login
    assert asking.ask(method, lambda: (db.act_as(ROLE, owner=BOB), way())[1]) == [BOB]
    # The login is a superuser, and yet:
    assert asking.ask(method, lambda: (db.act_as(ROLE), way())[1]) == []
    assert asking.database.pool.stats().connects == 1


def test_role_and_claims_are_in_the_message_of_the_statement(asking: Asking):
    def work() -> bytes:
        db.act_as(ROLE, owner=ADA)
        with g.db.cursor() as cur:
            cur.execute("SELECT 'told'")
            return cur.query

    said = f"SET LOCAL ROLE '{ROLE}'; SET LOCAL request.owner = 'ada'; SELECT 'told'".encode()
    assert asking.ask("GET", work) == b"SET TRANSACTION READ ONLY; " + said
    assert asking.ask("POST", work) == said


def test_a_claim_is_a_value_whatever_is_in_it(asking: Asking):
    assert asking.ask("GET", lambda: (db.act_as(ROLE, owner=ODD), plainly())[1]) == [ODD]
    assert asking.ask("POST", lambda: (db.act_as(ROLE, owner=ODD), plainly())[1]) == [ODD]


@pytest.mark.parametrize("owner", ["a\0b", "\ud800"])
def test_a_claim_that_is_no_text_leaves_no_way_to_the_data(asking: Asking, owner: str):
    def work() -> None:
        db.act_as(ROLE, owner=owner)
        for _ in range(2):
            with pytest.raises(psycopg2.DataError):
                plainly()

    asking.ask("GET", work)
    assert asking.database.pool.stats().in_use == 0


@pytest.mark.parametrize(("role", "claims"), [("none", {}), ("None", {}), (ROLE, {"owner; --": "x"})])
def test_what_is_no_role_or_no_name_leaves_no_way_to_the_data(
    asking: Asking, role: str, claims: dict[str, str]
):
    def work() -> None:
        db.act_as(role, **claims)
        with pytest.raises(psycopg2.ProgrammingError):
            plainly()

    asking.ask("POST", work)


def test_nobody_becomes_another_in_the_middle_of_a_transaction(asking: Asking):
    def work() -> list[str]:
        db.act_as(ROLE, owner=ADA)
        plainly()
        with pytest.raises(psycopg2.ProgrammingError, match="before the transaction begins"):
            db.act_as(ROLE, owner=BOB)
        still = plainly()
        g.db.commit()
        db.act_as(ROLE, owner=BOB)
        return still + plainly()

    assert asking.ask("POST", work) == [ADA, BOB]


def test_another_owners_row_cannot_be_written(asking: Asking, notes: Database):
    def work() -> None:
        db.act_as(ROLE, owner=ADA)
        with g.db.cursor() as cur:
            cur.execute("INSERT INTO note (owner) VALUES (%s)", (BOB,))

    with pytest.raises(InsufficientPrivilege):
        asking.ask("POST", work)
    assert notes.execute("SELECT count(*) FROM note") == [(3,)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_error_leaves_nothing_behind(asking: Asking, method: str):
    login = asking.who()

    def work() -> None:
        db.act_as(ROLE, owner=ADA)
        plainly()
        rows("SELECT 1 / 0")

    with pytest.raises(psycopg2.DataError):
        asking.ask(method, work)
    assert asking.who() == login
    assert asking.database.pool.stats().connects == 1


def test_a_stream_sees_the_callers_rows_to_its_end_and_leaves_nothing_behind(asking: Asking):
    @asking.app.get("/stream")
    def stream() -> Any:
        db.act_as(ROLE, owner=ADA)

        def lines() -> Iterator[str]:
            with db.transaction() as connection, connection.cursor("stream") as cur:
                cur.itersize = 1
                cur.execute("SELECT owner FROM note, generate_series(1, 3)")
                for (owner,) in cur:
                    yield owner + "\n"
            yield from plainly()

        return asking.app.response_class(stream_with_context(lines()))

    login = asking.who()
    client = asking.app.test_client()
    assert client.get("/stream").text == "ada\n" * 3 + ADA
    with closing(client.get("/stream", buffered=False)) as cut:
        assert next(iter(cut.response)) == b"ada\n"
    assert asking.who() == login
    assert asking.database.pool.stats().connects == 1


def test_a_replica_is_asked_as_the_role_too(notes: Database):
    app = Flask(__name__)
    databases = [
        FlaskDatabase(app, name, minconn=1, maxconn=1, **more, **notes.connect_kwargs)
        for name, more in (
            ("default", {"replica": "copy", "application_name": "primary"}),
            ("copy", {"application_name": "copy"}),
        )
    ]

    @app.route("/", methods=["GET", "POST"])
    def read() -> list[Any]:
        db.act_as(ROLE, owner=ADA)
        return [rows("SELECT current_setting('application_name')")[0][0], *plainly()]

    client = app.test_client()
    assert client.get("/").json == ["copy", ADA]
    assert client.post("/").json == ["primary", ADA]
    for database in databases:
        database.close()


def test_a_login_that_may_not_become_the_role_sees_nothing(notes: Database):
    notes.execute(
        "DO $$ BEGIN CREATE ROLE act_as_stranger LOGIN;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    )
    notes.execute("GRANT SELECT ON note TO act_as_stranger")
    stranger = Asking(Database({**notes.connect_kwargs, "user": "act_as_stranger"}))
    try:
        with pytest.raises(InsufficientPrivilege):
            stranger.ask("GET", lambda: (db.act_as(ROLE, owner=ADA), plainly())[1])
        assert stranger.ask("GET", plainly) == []
    finally:
        stranger.database.close()
