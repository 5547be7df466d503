"""Reads that come again are prepared, and nobody can tell but by the time it takes."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from flask import Flask, g, request
from hypothesis import given, settings
from hypothesis import strategies as st

from swagger_server import prepared
from swagger_server.db import Database as FlaskDatabase
from tests.support.servers import Database

PREPARED = "SELECT statement FROM pg_prepared_statements WHERE name LIKE 'swagger_server%%'"

Run = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process has found out in other tests is forgotten."""
    monkeypatch.setattr(prepared, "_process", prepared._Process())


@pytest.fixture
def extension(database: Database) -> Iterator[FlaskDatabase]:
    app = Flask(__name__)
    bound = FlaskDatabase(app, minconn=1, maxconn=1, statement_timeout=5, **database.connect_kwargs)
    bound.app = app  # type: ignore[attr-defined]
    yield bound
    bound.close()


@pytest.fixture
def run(extension: FlaskDatabase) -> Run:
    """Runs a statement in a GET of its own, always on the same connection."""

    def execute(sql: str, values: Any = None, method: str = "GET") -> list[tuple[Any, ...]]:
        with extension.app.test_request_context("/", method=method), g.db.cursor() as cur:  # type: ignore[attr-defined]
            assert request.method == method
            cur.execute(sql, values)
            return list(cur.fetchall())

    return execute


def often(run: Run, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    answers = [run(sql, values) for _ in range(8)]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def test_a_read_is_prepared_when_it_comes_again(run: Run):
    for number in range(4):
        assert run("SELECT %(n)s + 1, %(t)s || 'x'", {"n": number, "t": "a'b"}) == [(number + 1, "a'bx")]
    assert run(PREPARED) == []
    for number in range(4):
        assert run("SELECT %(n)s + 1, %(t)s || 'x'", {"n": number, "t": "a'b"}) == [(number + 1, "a'bx")]
    [(statement,)] = run(PREPARED)
    assert "(integer, unknown) AS SELECT $1 + 1, $2 || 'x';" in statement


def test_what_is_prepared_outlives_the_cleaning_of_the_session(run: Run, extension: FlaskDatabase):
    often(run, "SELECT %s", ("a",))
    assert len(run(PREPARED)) == 1
    run("SET work_mem = '5MB'; SELECT 1")
    assert run("SHOW work_mem") == [("4MB",)]
    assert len(run(PREPARED)) == 1
    assert extension.pool.stats().connects == 1


@pytest.mark.parametrize(
    "change", ["SELECT pg_advisory_lock(%s)::text", "SELECT set_config('work_mem', %s || 'MB', false)"]
)
def test_what_a_read_changes_in_the_session_is_gone_for_the_next_request_each_time(run: Run, change: str):
    look = "SELECT current_setting('work_mem'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    for _ in range(8):
        run(change, (7,))
        assert run(look) == [("4MB", 0)]


def test_a_value_that_is_no_text_spoils_nothing_for_the_statement_it_came_with(run: Run):
    for _ in range(4):
        run("SELECT %s::text", ("a",))
    with pytest.raises(psycopg2.DataError):
        run("SELECT %s::text", ("\0",))
    for _ in range(8):
        assert run("SELECT 1") == [(1,)]
        assert run("SELECT %s::text", ("a",)) == [("a",)]
    assert prepared._process._surprises == 0


def test_settings_of_its_transaction_stay_in_front_of_a_prepared_read(run: Run):
    read = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_sort = off; "
    read += "SELECT current_setting('enable_sort'), current_setting('plan_cache_mode'), %s"
    assert often(run, read, ("a",)) == [("off", "force_generic_plan", "a")]
    assert run("SHOW enable_sort") == [("on",)]
    plans = (
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name LIKE 'swagger_server%%'"
    )
    assert run(plans) == [(4, 0)]
    # Planned under other settings it is another one.
    assert often(run, read.replace("enable_sort = off", "enable_sort = on"), ("a",))[0][0] == "on"
    assert len(run(PREPARED)) == 2


@pytest.mark.parametrize("before", ["SET work_mem = 5000; ", "SELECT 1; ", "SET LOCAL work_mem = '5MB'; "])
def test_what_else_stands_before_a_read_keeps_it_from_being_prepared(run: Run, before: str):
    for _ in range(8):
        run(f"{before}SELECT %s::text", ("a",))
    assert run(PREPARED) == []


def test_writes_and_what_does_not_come_as_text_are_not_prepared(run: Run):
    often(run, "SELECT 1 -- ;")
    often(run, "SHOW work_mem")
    often(run, "SELECT %s::text[]", (["a", "b"],))
    for _ in range(8):
        run("SELECT %s", (1,), method="POST")
    assert run(PREPARED) == []


def test_a_statement_that_cannot_be_prepared_is_sent_as_it_is(run: Run):
    assert often(run, "SELECT json_build_array(%s, %s)", ("a", 1)) == [(["a", 1],)]
    assert run(PREPARED) == []


def test_errors_are_those_of_the_statement(run: Run, database: Database):
    database.execute("CREATE SEQUENCE numbers")
    for _ in range(8):
        with pytest.raises(psycopg2.errors.DivisionByZero):
            run("SELECT 1 / %s", (0,))
        with pytest.raises(psycopg2.errors.UndefinedColumn):
            run("SELECT nothing, %s", (0,))
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            run("SELECT nextval(%s)", ("numbers",))


def test_a_session_that_lost_its_statements_prepares_them_again(run: Run):
    often(run, "SELECT %s", ("a",))
    run("DEALLOCATE ALL; SELECT 1")
    assert often(run, "SELECT %s", ("a",)) == [("a",)]


def test_a_table_that_has_changed_is_read_as_it_is_now(run: Run, database: Database):
    database.execute("CREATE TABLE thing (number integer)")
    database.execute("INSERT INTO thing VALUES (1)")
    assert often(run, "SELECT * FROM thing WHERE number = %s", (1,)) == [(1,)]
    database.execute("ALTER TABLE thing ADD name text DEFAULT 'x'")
    assert often(run, "SELECT * FROM thing WHERE number = %s", (1,)) == [(1, "x")]


def test_sessions_that_keep_nothing_end_the_preparing(run: Run, caplog: pytest.LogCaptureFixture):
    for _ in range(40):
        often(run, "SELECT %s", ("a",))
        run("DEALLOCATE ALL; SELECT 1")
    assert run(PREPARED) == []
    assert "no more is prepared" in caplog.text


@settings(max_examples=60, deadline=None)
@given(
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_values_and_their_types_are_the_same(value: Any):
    _same_for_all(value)


def _same_for_all(value: Any) -> None:
    assert _run is not None
    for sql in (
        "SELECT pg_typeof(%s), %s",
        "SELECT coalesce(%s, NULL), %s IS NULL",
        "SELECT (%s)::text, '%%', (%s)::text",
    ):
        plain = _run(sql + " ", (value, value), method="POST")
        for _ in range(7):
            assert _run(sql, (value, value)) == plain or value != value


_run: Run | None = None


@pytest.fixture(autouse=True)
def _for_hypothesis(run: Run) -> Iterator[None]:
    global _run
    _run = run
    yield
    _run = None
