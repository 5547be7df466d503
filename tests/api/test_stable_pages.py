"""A page is cut by key: rows that are added meanwhile neither repeat nor hide what was there."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg2.extensions import connection

from swagger_server.queries.cities import list_cities, search_cities
from swagger_server.rows import Page
from swagger_server.schema import migrate
from tests.support.servers import Database

ADD_CITIES = """
INSERT INTO city (id, name, search_key, country_iso2, population, lat, lon, timezone_name, label)
SELECT id, name, lower(name), 'XX', population, 0, 0, 'UTC', name
FROM json_to_recordset(%s) AS new (id integer, name text, population bigint);
INSERT INTO city_name SELECT id, name, search_key, 0 FROM city ON CONFLICT DO NOTHING"""
COUNTRY = """
INSERT INTO continent VALUES ('XX', 'Nowhere', 1);
INSERT INTO timezone VALUES ('UTC');
INSERT INTO country (iso2, iso3, iso_numeric, name, search_key, continent_code, area_km2, population)
VALUES ('XX', 'XXX', 1, 'Nowhere', 'nowhere', 'XX', 1, 1)"""


@pytest.fixture
def conn(database: Database) -> Iterator[connection]:
    with closing(database.connect()) as connection_:
        migrate(connection_)
        connection_.autocommit = True
        with connection_.cursor() as cursor:
            cursor.execute(COUNTRY)
        _add(
            connection_,
            {1: ("Newham", 500), 2: ("Newton", 400), 3: ("New", 10), 4: ("Newark", 300), 5: ("Newry", 300)},
        )
        yield connection_


def _add(conn: connection, cities: dict[int, tuple[str, int]]) -> None:
    rows = [{"id": key, "name": name, "population": people} for key, (name, people) in cities.items()]
    with conn.cursor() as cursor:
        cursor.execute(ADD_CITIES, [json.dumps(rows)])


def _ids(page: Page) -> list[int]:
    return [item["id"] for item in json.loads(page.items)]


def test_a_list_goes_on_where_it_was(conn: connection) -> None:
    first = list_cities(conn, 2, None)
    _add(conn, {6: ("Newer", 600), 7: ("Newish", 450), 8: ("Newport", 350)})
    second = list_cities(conn, 2, first.after)
    third = list_cities(conn, 9, second.after)
    assert [_ids(first), _ids(second), _ids(third)] == [[1, 2], [8, 4], [5, 3]]
    assert third.after is None


def test_a_search_goes_on_where_it_was(conn: connection) -> None:
    first = search_cities(conn, "new", 2, None)
    _add(conn, {6: ("New", 5), 7: ("Newish", 450), 8: ("Newport", 350)})
    second = search_cities(conn, "new", 2, first.after)
    third = search_cities(conn, "new", 9, second.after)
    assert [_ids(first), _ids(second), _ids(third)] == [[3, 1], [7, 2], [8, 4, 5]]


def test_near_misses_stay_in_or_out_of_a_list_while_it_is_walked(conn: connection) -> None:
    few = search_cities(conn, "newto", 1, None)
    assert few.after is not None
    _add(conn, {number: (f"Newto{number}", number) for number in range(6, 12)})
    rest = search_cities(conn, "newto", 99, few.after)
    assert _ids(few) == [2]
    assert _ids(rest)[:6] == [11, 10, 9, 8, 7, 6]
    assert _ids(rest)[6:] == [3]
    assert _ids(search_cities(conn, "newto", 99, None)) == [2, 11, 10, 9, 8, 7, 6]


def test_cities_of_one_size_are_told_apart(conn: connection) -> None:
    first = search_cities(conn, "newar", 1, None)
    assert _ids(first) == [4]
    assert _ids(list_cities(conn, 1, (300, 4))) == [5]
