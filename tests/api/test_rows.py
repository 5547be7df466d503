"""What the queries ask of a connection: any kind of rows will do, and the session stays as it was."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from psycopg2.extensions import connection, cursor
from psycopg2.extras import RealDictCursor

from swagger_server import rows
from swagger_server.pool.statements import leaves_session_alone
from swagger_server.queries import about, airports, cities, codes, countries
from tests.support.servers import Database

QUERIES: list[Callable[[connection], object]] = [
    about.list_sources,
    lambda conn: airports.find_airport(conn, "CDG"),
    lambda conn: airports.list_airports(conn, 3, ("a", "A"), country="FR", has_iata=True),
    lambda conn: airports.nearest_airports(conn, 1, 2, 3, (0.0, "A"), radius_km=900, has_iata=True),
    lambda conn: airports.search_airports(conn, "heatrow", 3, None, country="GB"),
    lambda conn: cities.find_city(conn, 2988507),
    lambda conn: cities.list_cities(conn, 3, (1000000, 1), subdivision="US.CA"),
    lambda conn: cities.nearest_cities(conn, 1, 2, 3, (0.0, 1), radius_km=900, min_population=1),
    lambda conn: cities.search_cities(conn, "lndon", 3, None),
    lambda conn: cities.search_cities(conn, "paris tex", 3, None),
    lambda conn: codes.list_continents(conn, 3, ""),
    lambda conn: codes.list_currencies(conn, 3, ""),
    lambda conn: codes.list_languages(conn, 3, ""),
    lambda conn: codes.list_timezones(conn, 3, "", country="US"),
    lambda conn: countries.find_country(conn, "FR"),
    lambda conn: countries.list_subdivisions(conn, "FR", 3, ("a", "A")),
    lambda conn: countries.search_countries(conn, 3, (0, "a", "A"), q="u", language="en"),
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_connection_that_gives_dicts_gives_the_same(
    places: Database, conn: connection, query: Callable[[connection], object]
) -> None:
    with closing(places.connect(cursor_factory=RealDictCursor)) as dicts:
        assert query(dicts) == query(conn)


@pytest.mark.parametrize("query", QUERIES)
def test_the_pool_need_not_clean_up_behind_a_query(
    conn: connection, monkeypatch: pytest.MonkeyPatch, query: Callable[[connection], object]
) -> None:
    sent: list[bytes] = []

    class Recorder(cursor):
        def execute(self, statement: Any, values: Any = None) -> None:
            sent.append(self.mogrify(statement, values))
            super().execute(statement, values)

    monkeypatch.setattr(rows, "cursor", Recorder)
    query(conn)
    assert sent
    assert all(leaves_session_alone(text) for text in sent)
