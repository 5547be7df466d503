"""The command line: which commands there are, and how each way of ending looks to the shell.

Each command is a module with `add(commands)`, which declares its arguments, and `run(arguments)`. Failures
are one line on stderr: exit status 2 for wrong settings and arguments, 1 for everything else.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import psycopg2

from swagger_server import __version__
from swagger_server.cli import check_config, compare, connections, keys, load_places, migrate, serve
from swagger_server.cli.database import CommandError, one_line
from swagger_server.config import ConfigError
from swagger_server.embedded import EmbeddedError
from swagger_server.sample import SampleError
from swagger_server.schema import SchemaError

COMMANDS = (serve, migrate, load_places, check_config, connections, compare, keys)

FAILED, REFUSED, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. argparse itself leaves with SystemExit."""
    try:
        status = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except ConfigError as error:
        return _failed(str(error), REFUSED)
    except (CommandError, EmbeddedError, SampleError, SchemaError, psycopg2.Error, OSError) as error:
        return _failed(one_line(error), FAILED)
    return status


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command is serve:
        return serve.run(arguments, rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    status: int = arguments.command.run(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m swagger_server",
        description="A spec-first JSON API over PostgreSQL.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands).set_defaults(command=command)
    return parser


def _failed(line: str, status: int) -> int:
    print(f"swagger_server: {line}", file=sys.stderr)
    return status


def _reader_left() -> int:
    """Whoever read our output, `head` say, has enough. Nothing is left to flush at exit, so that is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
