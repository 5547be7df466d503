"""`load-places`: fill the default database with the places, or replace them by a larger set."""

import argparse
import sys
import time
from typing import Any

from psycopg2.extensions import connection

from swagger_server.cli.database import CommandError, connect_arguments, connected
from swagger_server.config import Settings, load_settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.prepare import fill_lock
from swagger_server.sample import DEFAULT_SET, SETS, load_places
from swagger_server.schema import SCHEMA_VERSION, current_version, migrate


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Load countries, cities and airports in one transaction, in place of those that are there."
    parser: argparse.ArgumentParser = commands.add_parser(
        "load-places", help="load the sample data", description=text
    )
    parser.add_argument(
        "--cities",
        type=int,
        choices=SETS,
        default=DEFAULT_SET,
        help="cities of at least so many people (default: %(default)s; the other sets need a package)",
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Load, with a progress bar on a terminal. All or nothing; the service may go on meanwhile."""
    settings = load_settings()
    started = time.monotonic()
    database = connect_arguments(settings)[DEFAULT_DATABASE]
    with connected("load-places", database) as conn, fill_lock(database):
        _require_schema(settings, conn)
        load_places(conn, cities=arguments.cities, progress=sys.stderr.isatty())
    print(f"loaded in {time.monotonic() - started:.1f} s")
    return 0


def _require_schema(settings: Settings, conn: connection) -> None:
    """The embedded database is ours to migrate; in somebody's own we say what to do."""
    if settings.uses_embedded:
        migrate(conn)
    elif current_version(conn) < SCHEMA_VERSION:
        raise CommandError("the database lacks the schema: run `python -m swagger_server migrate` first")
    conn.rollback()
