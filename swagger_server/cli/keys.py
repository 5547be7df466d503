"""`keys`: make, list and revoke API keys in the default database."""

import argparse
import sys
from typing import Any
from uuid import UUID

from psycopg2.extensions import connection

from swagger_server.cli.database import CommandError, connect_arguments, connected, interruptible
from swagger_server.cli.table import table
from swagger_server.config import load_settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.key_store import HEAD, SCOPES, create_key, key_rows, new_key, revoke_key
from swagger_server.schema import SERVICE, current_version, migrate, newest_version

_LONGEST = {"owner": 200, "label": 100}
_MOST_DAYS = 36_500


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Make, list and revoke API keys."
    parser: argparse.ArgumentParser = commands.add_parser("keys", help="manage API keys", description=text)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_create(actions)
    listing = actions.add_parser("list", help="show the keys, without the keys themselves")
    listing.add_argument("--owner", type=_text("owner"), help="only this owner's")
    listing.set_defaults(action=_list)
    revoking = actions.add_parser("revoke", help="have a key refused from now on")
    revoking.add_argument("id", type=UUID, metavar="ID", help="as in the list")
    revoking.set_defaults(action=_revoke)
    return parser


def _add_create(actions: Any) -> None:
    text = "Make a key and print it: alone on stdout, this once; its id is on stderr."
    parser = actions.add_parser("create", help="make a key", description=text)
    parser.add_argument("--owner", type=_text("owner"), required=True, help="whose data the key opens")
    scopes = ",".join(SCOPES)
    parser.add_argument(
        "--scopes", type=_scopes, required=True, metavar=scopes, help="what it may do, one or several"
    )
    parser.add_argument("--expires", type=_days, metavar="DAYS", help="after so many days (default: never)")
    parser.add_argument("--label", type=_text("label"), default="", metavar="TEXT", help="what it is for")
    parser.set_defaults(action=_create)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked. CommandError where the database lacks the table, or there is no such key."""
    settings = load_settings()
    database = connect_arguments(settings)[DEFAULT_DATABASE]
    with interruptible(), connected("keys", database) as conn:
        if settings.uses_embedded:
            migrate(conn, SERVICE)
        elif current_version(conn, SERVICE) < newest_version(SERVICE):
            raise CommandError("the database lacks the schema: run `python -m swagger_server migrate` first")
        conn.rollback()
        with conn:
            arguments.action(conn, arguments)
    return 0


def _create(conn: connection, arguments: argparse.Namespace) -> None:
    key = new_key()
    key_id = create_key(conn, key, arguments.owner, arguments.scopes, arguments.label, arguments.expires)
    conn.commit()  # nobody is shown a key that is not stored
    print(key)
    print(f"id {key_id}; the key is shown this once", file=sys.stderr)


def _list(conn: connection, arguments: argparse.Namespace) -> None:
    print(table(HEAD, key_rows(conn, arguments.owner)))


def _revoke(conn: connection, arguments: argparse.Namespace) -> None:
    if not revoke_key(conn, str(arguments.id)):
        raise CommandError(f"there is no key with the id {arguments.id}")
    print(f"revoked {arguments.id}")


def _text(name: str) -> Any:
    def parse(text: str) -> str:
        if not text.isprintable() or not (name == "label" or text) or len(text) > _LONGEST[name]:
            raise argparse.ArgumentTypeError(f"must be printable text of at most {_LONGEST[name]} characters")
        return text

    return parse


def _scopes(text: str) -> list[str]:
    given = text.split(",")
    if not set(given) <= set(SCOPES):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(SCOPES)}, separated by commas")
    return [scope for scope in SCOPES if scope in given]


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be a number of days, more than 0 and at most {_MOST_DAYS}")
    return days
