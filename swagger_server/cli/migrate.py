"""`migrate`: bring the default database's schema up to date."""

import argparse
from pathlib import Path
from typing import Any

from swagger_server.cli.database import connect_arguments, connected, interruptible
from swagger_server.config import load_settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.schema import PLACES, SERVICE, current_version, migrate


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Apply the schema's numbered SQL files that the database lacks, each once, in a transaction."
    parser: argparse.ArgumentParser = commands.add_parser(
        "migrate", help="update the schema", description=text
    )
    parser.add_argument(
        "--files",
        type=Path,
        default=PLACES,
        metavar="FOLDER",
        help="a folder of your own with files such as 0001_stores.sql, beside the service's own tables"
        " (default: the places' schema)",
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the names of the files that were applied. Waits for another migration that runs."""
    database = connect_arguments(load_settings())[DEFAULT_DATABASE]
    with interruptible(), connected("migrate", database) as conn:
        for name in migrate(conn, SERVICE, arguments.files):
            print(f"applied {name}")
        print(f"schema version {current_version(conn, SERVICE, arguments.files)}")
    return 0
