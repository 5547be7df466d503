"""Migrations: each file once, whole or not at all, whoever else is at it."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege, UndefinedTable

from swagger_server.schema import SCHEMA_VERSION, SchemaError, current_version, migrate
from tests.support.process import wait_until
from tests.support.servers import Database, PrivateServer

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
)

ALL = [
    "0001_api_key.sql",
    "0002_idempotency_key.sql",
    "0003_aged_idempotency_keys.sql",
    "0001_places.sql",
    "0002_sites.sql",
    "0003_beginnings.sql",
]
"""What an empty database gets: the service's own files, then the places'."""


@pytest.fixture
def conn(database: Database) -> Iterator[psycopg2.extensions.connection]:
    with closing(database.connect()) as connection:
        yield connection


def _write(folder: Path, **files: str) -> Path:
    for name, sql in files.items():
        (folder / f"{name.removeprefix('_')}.sql").write_text(sql)
    return folder


def test_an_empty_database_gets_every_file_once(conn: psycopg2.extensions.connection) -> None:
    assert current_version(conn) == 0
    conn.rollback()
    assert migrate(conn) == ALL
    assert migrate(conn) == []
    assert current_version(conn) == SCHEMA_VERSION == len(ALL)


def test_migrating_works_in_autocommit_too(conn: psycopg2.extensions.connection) -> None:
    conn.autocommit = True
    assert migrate(conn) == ALL
    assert current_version(conn) == len(ALL)


def test_files_run_in_the_order_of_their_numbers(
    conn: psycopg2.extensions.connection, database: Database, tmp_path: Path
) -> None:
    folder = _write(tmp_path, _0002_b="INSERT INTO t VALUES (2)", _0001_a="CREATE TABLE t (n int)")
    assert migrate(conn, folder) == ["0001_a.sql", "0002_b.sql"]
    _write(tmp_path, _0010_c="UPDATE t SET n = n * 10")
    assert migrate(conn, folder) == ["0010_c.sql"]
    assert database.execute("SELECT n FROM t") == [(20,)]
    assert current_version(conn, tmp_path) == 10


def test_a_file_that_fails_leaves_nothing_of_itself(
    conn: psycopg2.extensions.connection, database: Database, tmp_path: Path
) -> None:
    folder = _write(tmp_path, _0001_a="CREATE TABLE a ()", _0002_b="CREATE TABLE b (); SELECT * FROM missing")
    with pytest.raises(UndefinedTable):
        migrate(conn, folder)
    assert database.execute("SELECT to_regclass('a')::text, to_regclass('b')::text") == [("a", None)]
    assert current_version(conn, tmp_path) == 1
    conn.rollback()
    _write(tmp_path, _0002_b="CREATE TABLE b ()")
    assert migrate(conn, folder) == ["0002_b.sql"]


def test_two_that_start_together_apply_each_file_once(database: Database, tmp_path: Path) -> None:
    # Both are held up until both have begun.
    folder = _write(tmp_path, _0001_a="SELECT * FROM gate; CREATE TABLE a ()")
    database.execute("CREATE TABLE gate ()")
    applied: list[list[str]] = []

    def run() -> None:
        with closing(database.connect()) as connection:
            applied.append(migrate(connection, folder))

    threads = [threading.Thread(target=run) for _ in range(2)]
    with closing(database.connect()) as holder, holder.cursor() as cur:
        cur.execute("LOCK gate")
        for thread in threads:
            thread.start()
        wait_until(lambda: database.execute(WAITING) == [(1,)])
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(applied) == [[], ["0001_a.sql"]]


def test_a_role_that_may_not_make_roles_is_told_what_to_ask_for(private_server: PrivateServer) -> None:
    server = private_server.database()
    server.execute("CREATE ROLE plain LOGIN")
    server.execute("CREATE DATABASE shop OWNER plain")
    plain = Database({**server.connect_kwargs, "user": "plain", "dbname": "shop"})
    role = "CREATE ROLE swagger_server_sites NOLOGIN"
    grant = "GRANT swagger_server_sites TO plain"
    for asked_for, then in ((f"{role}; {grant}", role), (grant, grant)):
        with closing(plain.connect()) as connection, pytest.raises(InsufficientPrivilege, match=asked_for):
            migrate(connection)
        assert plain.execute("SELECT to_regclass('site')") == [(None,)]
        server.execute(then)
    with closing(plain.connect()) as connection:
        assert migrate(connection) == ["0002_sites.sql", "0003_beginnings.sql"]
    assert plain.execute("SET ROLE swagger_server_sites; SELECT count(*) FROM site") == [(0,)]


def test_a_role_that_may_make_roles_needs_nobodys_help(private_server: PrivateServer) -> None:
    server = private_server.database()
    server.execute("CREATE ROLE maker LOGIN CREATEROLE")
    server.execute("CREATE DATABASE shop OWNER maker")
    server.execute("CREATE DATABASE other OWNER maker")
    for name in ("shop", "other"):
        maker = Database({**server.connect_kwargs, "user": "maker", "dbname": name})
        with closing(maker.connect()) as connection:
            assert migrate(connection) == ALL
        sql = "SET ROLE swagger_server_sites; SET request.owner = 'ada'; SELECT count(*) FROM site, city"
        assert maker.execute(sql) == [(0,)]


def test_the_schema_can_be_dumped_and_restored_with_an_empty_search_path(
    conn: psycopg2.extensions.connection,
) -> None:
    migrate(conn)
    with conn.cursor() as cur:
        cur.execute("SET search_path = ''")
        cur.execute("SELECT public.great_circle_km(public.chord(1000)), public.unit_vector(90, 0)::text")
        kilometres, north_pole = cur.fetchone() or (0, "")
    assert kilometres == pytest.approx(1000)
    assert north_pole.endswith(", 1)")


def test_distances_over_the_ground(conn: psycopg2.extensions.connection) -> None:
    migrate(conn)
    sql = "SELECT great_circle_km(cube_distance(unit_vector(%s, %s), unit_vector(%s, %s)))"
    with conn.cursor() as cur:
        for points, expected in {
            (52.52, 13.405, 48.8566, 2.3522): 877.46,  # Berlin, Paris
            (0, 179.5, 0, -179.5): 111.195,  # across the date line
            (90, 0, 89, 123): 111.195,  # from the pole
            (0, 0, 0, 180): 20015.11,  # to the other side of the earth
        }.items():
            cur.execute(sql, points)
            assert (cur.fetchone() or (0,))[0] == pytest.approx(expected, abs=0.01)


def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_applied(
    conn: psycopg2.extensions.connection, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first ()")
    (tmp_path / "later.sql").write_text("CREATE TABLE later ()")
    with pytest.raises(SchemaError, match=r"later\.sql: the name of a migration begins with its number"):
        migrate(conn, tmp_path)
    with pytest.raises(SchemaError, match="is no folder"):
        migrate(conn, tmp_path / "nothing")
    assert current_version(conn) == 0


def test_files_of_two_folders_do_not_hide_each_other(
    conn: psycopg2.extensions.connection, tmp_path: Path
) -> None:
    (tmp_path / "0001_stores.sql").write_text("CREATE TABLE store ()")
    assert migrate(conn) == ALL
    assert migrate(conn, tmp_path) == ["0001_stores.sql"]
    assert (current_version(conn), current_version(conn, tmp_path)) == (SCHEMA_VERSION, 1)
