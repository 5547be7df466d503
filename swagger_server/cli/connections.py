"""`connections`: what pg_stat_activity shows of this service."""

import argparse
from typing import Any

from swagger_server.cli.database import connect_arguments, connected, interruptible
from swagger_server.cli.table import table
from swagger_server.config import load_settings

HEAD = ("PID", "WORKER", "STATE", "SINCE", "BACKEND START", "QUERY START", "CLIENT")

# Names of ours are "swagger_server" and what tells the process apart.
ACTIVITY_SQL = """
SELECT pid,
       nullif(ltrim(substr(application_name, length('swagger_server') + 1), ' :-/'), ''),
       state,
       to_char(state_change, 'YYYY-MM-DD HH24:MI:SS'),
       to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS'),
       to_char(query_start, 'YYYY-MM-DD HH24:MI:SS'),
       coalesce(host(client_addr) || ':' || client_port, 'local')
FROM pg_stat_activity
WHERE application_name LIKE 'swagger\\_server%'
  AND datname = current_database()
  AND pid <> pg_backend_pid()
ORDER BY application_name, backend_start, pid
"""


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Show the service's connections, of all its databases, as pg_stat_activity has them."
    parser: argparse.ArgumentParser = commands.add_parser(
        "connections", help="show the service's connections", description=text
    )
    return parser


def run(_arguments: argparse.Namespace) -> int:
    """Print one table for each database, with its name above where there are several."""
    databases = connect_arguments(load_settings())
    for number, (name, arguments) in enumerate(databases.items()):
        if len(databases) > 1:
            print(f"{chr(10) if number else ''}[{name}]")
        print(table(HEAD, _activity(arguments)))
    return 0


def _activity(arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
    with interruptible(), connected("connections", arguments) as conn, conn.cursor() as cur:
        cur.execute(ACTIVITY_SQL)
        return cur.fetchall()
