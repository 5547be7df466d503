"""`serve`: prepare the database, say where everything is, and become gunicorn."""

import argparse
import errno
import importlib.util
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swagger_server.cli.database import CommandError
from swagger_server.config import Settings, load_settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.prepare import prepare

APPLICATION = "swagger_server.wsgi"
GUNICORN_CONFIG = "python:swagger_server.gunicorn_settings"
DEFAULT_BIND = "127.0.0.1:8080"
DEFAULT_WORKERS = "4"


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command. What it does not know is gunicorn's, so nothing may be abbreviated."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="start the service",
        usage="%(prog)s [-h] [-w N] [-b ADDRESS] [gunicorn's arguments ...]",
        description="Start the service under gunicorn; with the embedded database, fill that first.",
        epilog="Every other argument goes to gunicorn as it is, such as -k gthread or --preload.",
        allow_abbrev=False,
    )
    workers = os.environ.get("WEB_CONCURRENCY") or DEFAULT_WORKERS
    parser.add_argument(
        "-w", "--workers", type=int, default=workers, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "-b",
        "--bind",
        action="append",
        metavar="ADDRESS",
        help=f"HOST:PORT or unix:PATH; may be given again (default: {DEFAULT_BIND})",
    )
    return parser


def run(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    """Serve until a signal ends gunicorn; its exit status is ours."""
    settings = load_settings()
    if importlib.util.find_spec("gunicorn") is None:
        raise CommandError("gunicorn is not installed: pip install -r requirements.txt")
    binds = arguments.bind or [DEFAULT_BIND]
    if _needs_free_ports(rest):
        for bind in binds:
            _require_free(bind)
    print(_database(settings), flush=True)
    prepare(settings, arguments.workers)
    print(*_addresses(binds, settings), sep="\n", flush=True)
    return _become_gunicorn([f"-w{arguments.workers}", *(f"-b{bind}" for bind in binds), *rest])


def _needs_free_ports(rest: Sequence[str]) -> bool:
    """Not where gunicorn only tells its settings, shares a port, or is handed a socket."""
    options = [*rest, *os.environ.get("GUNICORN_CMD_ARGS", "").split()]
    handed = {"LISTEN_FDS", "GUNICORN_FD"} & os.environ.keys()
    return not handed and not {"--reuse-port", "--print-config", "--check-config"}.intersection(options)


def _require_free(bind: str) -> None:
    """CommandError where nobody can listen at the address: gunicorn would try for seconds, and say less."""
    host, _, port = bind.removeprefix("tcp://").rpartition(":")
    if bind.startswith(("unix:", "fd:")) or not port.isdigit():
        return
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
            probe.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        if number not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL, None):
            return  # of what else it may be gunicorn knows more
        in_use = number == errno.EADDRINUSE
        reason = "something else listens there" if in_use else getattr(error, "strerror", None) or str(error)
        raise CommandError(
            f"port {port} of {host or 'this host'} cannot be used: {reason}. Choose another one:"
            " -b HOST:PORT, or make run BIND=HOST:PORT"
        ) from None


def _database(settings: Settings) -> str:
    """Said before preparing it, which takes some seconds at the first time."""
    if settings.uses_embedded:
        return "Database:   embedded (name your own as [POSTGRES] in config.ini)"
    default = settings.databases[DEFAULT_DATABASE]
    return f"Database:   {default.dbname} at {default.host}"


def _addresses(binds: Sequence[str], settings: Settings) -> list[str]:
    """Where a browser on this machine finds the page and Swagger UI; a Unix socket is only named."""
    url = _url(binds[0])
    if url is None:
        return [f"Socket:     {binds[0]}"]
    swagger_ui = [f"Swagger UI: {url}/ui/"] if settings.server.swagger_ui else []
    return [f"Page:       {url}/", *swagger_ui]


def _url(bind: str) -> str | None:
    host, _, port = bind.rpartition(":")
    if bind.startswith(("unix:", "fd:")) or not port.isdigit():
        return None
    anywhere = host in ("", "0.0.0.0", "[::]")  # noqa: S104 - compared, not bound
    return f"http://{'localhost' if anywhere else host}:{port}"


def _become_gunicorn(arguments: Sequence[str]) -> int:
    """Run gunicorn in this process: as a user of the embedded server it must live as long as the workers.

    argv[0] is the script that gunicorn starts again when it is told to replace itself (SIGUSR2).
    """
    from gunicorn.app.wsgiapp import run as run_gunicorn

    sys.argv = [str(Path(sys.executable).with_name("gunicorn")), *_config(arguments), *arguments, APPLICATION]
    run_gunicorn(prog="gunicorn")
    return 0


def _config(arguments: Sequence[str]) -> list[str]:
    """The settings that come with the service, from whatever folder, unless others are named."""
    named = any(item.startswith(("-c", "--config")) for item in arguments)
    return [] if named else ["-c", GUNICORN_CONFIG]
