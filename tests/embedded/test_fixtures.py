"""The databases that other tests stand on."""

from contextlib import closing

import psycopg2
import pytest

from tests.support.containers import container_server, why_no_containers
from tests.support.servers import Database, PrivateServer


def test_database_is_empty_and_its_own(postgres: Database, database: Database) -> None:
    assert database.name != postgres.name
    assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    assert Database.from_url(database.url).execute("SELECT current_database()") == [(database.name,)]


def test_private_server_keeps_port_and_data_over_a_restart(private_server: PrivateServer) -> None:
    private_server.database().execute("CREATE TABLE kept AS SELECT 42 AS answer")
    port, pid = private_server.port, private_server.pid
    private_server.restart("immediate")
    assert private_server.pid != pid
    with closing(psycopg2.connect(**private_server.tcp_kwargs)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer, inet_server_port() FROM kept")
        assert cursor.fetchone() == (42, port)


def test_frozen_server_accepts_no_connection_until_thawed(private_server: PrivateServer) -> None:
    private_server.freeze()
    with pytest.raises(psycopg2.OperationalError, match="timeout"):
        # libpq waits two seconds at least
        private_server.connect(connect_timeout=2)
    private_server.thaw()
    private_server.connect().close()


def test_stopped_server_refuses_until_started_again(private_server: PrivateServer) -> None:
    private_server.stop("kill")
    with pytest.raises(psycopg2.OperationalError):
        private_server.connect()
    private_server.start()
    assert private_server.database().execute("SELECT 1") == [(1,)]


def test_places_are_loaded(places: Database) -> None:
    assert places.execute("SELECT name FROM country WHERE iso2 = 'DE'") == [("Germany",)]


def test_container_serves_where_docker_answers() -> None:
    if reason := why_no_containers():
        pytest.skip(f"Docker does not answer: {reason}")
    with container_server() as server:
        assert server.execute("SELECT 1") == [(1,)]
