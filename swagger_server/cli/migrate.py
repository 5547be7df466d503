"""`migrate`: bring the default database's schema up to date."""

import argparse
from typing import Any

from swagger_server.cli.database import connect_arguments, connected, interruptible
from swagger_server.config import load_settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.schema import current_version, migrate


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Apply the schema's numbered SQL files that the database lacks, each once, in a transaction."
    parser: argparse.ArgumentParser = commands.add_parser(
        "migrate", help="update the schema", description=text
    )
    return parser


def run(_arguments: argparse.Namespace) -> int:
    """Print the names of the files that were applied. Waits for another migration that runs."""
    arguments = connect_arguments(load_settings())[DEFAULT_DATABASE]
    with interruptible(), connected("migrate", arguments) as conn:
        for name in migrate(conn):
            print(f"applied {name}")
        print(f"schema version {current_version(conn)}")
    return 0
