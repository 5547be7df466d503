"""`check-config`: what the settings are, where each came from, and whether the databases answer."""

import argparse
import sys
from typing import Any

import psycopg2

from swagger_server.cli.database import CommandError, connect_arguments, connected, interruptible, one_line
from swagger_server.cli.table import table
from swagger_server.config import Loaded, example, read_settings

SERVER_SQL = """
SELECT current_setting('server_version'),
       current_setting('max_connections')::integer,
       current_setting('max_connections')::integer
           - current_setting('superuser_reserved_connections')::integer
           - coalesce(current_setting('reserved_connections', true)::integer, 0)
"""


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Print the settings that hold, secrets masked, and try each database."
    parser: argparse.ArgumentParser = commands.add_parser(
        "check-config", help="show the settings and try the databases", description=text
    )
    parser.add_argument(
        "--example", action="store_true", help="print config.ini.example instead, and try nothing"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print settings and databases. Exit status 1, with a line for each, when databases do not answer."""
    if arguments.example:
        print(example(), end="")
        return 0
    loaded = read_settings()
    _print_settings(loaded)
    answers = [_try(name, kwargs, loaded) for name, kwargs in connect_arguments(loaded.settings).items()]
    return 0 if all(answers) else 1


def _print_settings(loaded: Loaded) -> None:
    rows = [(f"[{item.section}]", item.key, item.value or "-", item.origin) for item in loaded.effective]
    print(f"settings file: {loaded.settings.source or 'none'}\n")
    print(table(("SECTION", "KEY", "VALUE", "FROM"), rows), end="\n\n")
    for note in loaded.notes:
        print(f"note: {note}")


def _try(name: str, arguments: dict[str, Any], loaded: Loaded) -> bool:
    """Connect to one database and print what it says of itself."""
    try:
        version, most, usable = _ask(arguments)
    except (CommandError, psycopg2.Error) as error:
        print(f"swagger_server: database {name} failed: {one_line(error)}", file=sys.stderr)
        return False
    room = f"room for {usable // loaded.settings.pool.max} workers with [POOL] MAX"
    kind = " (embedded)" if name not in loaded.settings.databases else ""
    print(f"database {name}{kind}: PostgreSQL {version}, max_connections {most}, {room}")
    return True


def _ask(arguments: dict[str, Any]) -> tuple[str, int, int]:
    with interruptible(), connected("check-config", arguments) as conn, conn.cursor() as cur:
        cur.execute(SERVER_SQL)
        version, most, usable = cur.fetchone() or ("?", 0, 0)
        return version, most, usable
