"""The queries give the same whatever kind of rows the connection gives its users."""

from contextlib import closing

from psycopg2.extensions import connection
from psycopg2.extras import RealDictCursor

from swagger_server.queries.cities import find_city, list_cities, search_cities
from tests.support.servers import Database


def test_a_connection_that_gives_dicts_gives_the_same_pages(places: Database, conn: connection) -> None:
    with closing(places.connect(cursor_factory=RealDictCursor)) as dicts:
        assert list_cities(dicts, 3, None) == list_cities(conn, 3, None)
        assert search_cities(dicts, "lndon", 3, None) == search_cities(conn, "lndon", 3, None)
        assert find_city(dicts, 2988507) == find_city(conn, 2988507)
