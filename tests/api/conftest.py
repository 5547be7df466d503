"""The service with the sample data, and a connection for the queries alone."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg2.extensions import connection

from tests.api.contract import Api
from tests.support.process import start_gunicorn
from tests.support.servers import Database

_VARIABLES = {"host": "URL", "port": "PORT", "user": "USER", "dbname": "DB", "password": "PW"}


@pytest.fixture(scope="session")
def api(places: Database) -> Iterator[Api]:
    """A client of the real service over HTTP."""
    arguments = places.connect_kwargs
    env = {f"POSTGRES_{key}": str(arguments[name]) for name, key in _VARIABLES.items() if name in arguments}
    env["SERVER_TRUSTED_PROXIES"] = "1"
    with start_gunicorn("-w", "1", env=env) as service, closing(Api(service.url)) as client:
        yield client


@pytest.fixture(scope="session")
def conn(places: Database) -> Iterator[connection]:
    """A connection to the places; each statement is a transaction."""
    with closing(places.connect()) as connection_:
        connection_.autocommit = True
        yield connection_
