"""PostgreSQL's own folder: making it, and the command line that serves it.

What is set here suits one machine's default database: safe against a crash, modest in memory, reached
through a Unix socket only. Knows no locks and no other processes.
"""

import locale
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from .account import Account, give, process_arguments
from .binaries import Binaries
from .errors import EmbeddedError

DATABASE = "places"
PORT = 5432  # with a Unix socket only a part of the socket's name
USER = "postgres"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    # nobody replicates from here, and loading a new table then writes each row once
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "cluster_name": "swagger_server",
}

_LOCALES = ("C.UTF-8", "C.utf8", "en_US.UTF-8", "UTF-8")
_INITDB_TIMEOUT = 120.0  # seconds; it takes one, but machines differ
_FURTHER_CONNECTIONS = 13  # three are a superuser's; the others are for psql, migrations and the start
_BUILTIN_PROVIDER = 17  # the first major version with collations of its own
_NAMED_PROVIDER = 15


def make(binaries: Binaries, cluster: Path, account: Account | None) -> None:
    """Make the cluster with its database, all or nothing. Takes about a second."""
    scratch = cluster.with_name(cluster.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    give(scratch, account)
    _run(initdb_command(binaries, scratch), account)
    single_user = [str(binaries.postgres), "--single", "-D", str(scratch), "postgres"]
    _run(single_user, account, feed=f"CREATE DATABASE {DATABASE};\n")
    scratch.rename(cluster)


def initdb_command(binaries: Binaries, cluster: Path) -> list[str]:
    """`--no-sync` because a cluster is cheap to make again until it holds data; `sync` comes later."""
    return [
        *(str(binaries.initdb), "-D", str(cluster), "-U", USER, "-A", "trust", "-E", "UTF8"),
        *("--no-sync", f"--locale={_utf8_locale()}"),
        *_provider(binaries.major),
    ]


def settings_for(connections: int) -> dict[str, str]:
    """The settings, with room for so many connections of the service, and for whoever else looks in."""
    most = max(int(SETTINGS["max_connections"]), connections + _FURTHER_CONNECTIONS)
    return {**SETTINGS, "max_connections": str(most)}


def server_command(
    binaries: Binaries, cluster: Path, socket_folder: Path, settings: Mapping[str, str] = SETTINGS
) -> list[str]:
    """The command that serves the cluster in the foreground."""
    quoted = str(socket_folder).replace('"', '""')  # the setting is a list of folders
    options = [
        f'unix_socket_directories="{quoted}"',
        *(f"{name}={value}" for name, value in settings.items()),
    ]
    return [str(binaries.postgres), "-D", str(cluster), *_each("-c", options)]


def sync(binaries: Binaries, cluster: Path, account: Account | None) -> None:
    """Bring a new cluster safely to disk, so that it survives a crash of the machine too."""
    _run([str(binaries.initdb), "--sync-only", "-D", str(cluster)], account)


def check_version(binaries: Binaries, cluster: Path) -> None:
    """EmbeddedError when the data were written by another major version."""
    found = (cluster / "PG_VERSION").read_text().strip()
    if found != str(binaries.major):
        raise EmbeddedError(
            f"The data in {cluster} are PostgreSQL {found}'s, and the server program is version"
            f" {binaries.major}: install version {found}, or remove that folder, or name another as DATA"
            " in [EMBEDDED] of config.ini."
        )


def environment() -> dict[str, str]:
    """Ours, without what would change the server: PostgreSQL reads PGPORT, PGDATA, PGOPTIONS and the like."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}  # English messages


def _utf8_locale() -> str:
    """pg_trgm sees letters beyond ASCII only under a UTF-8 locale; systems differ in which they have."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        return next((name for name in _LOCALES if _exists(name)), "C")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def _exists(name: str) -> bool:
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    return True


def _provider(major: int) -> list[str]:
    if major >= _BUILTIN_PROVIDER:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale-provider=libc"] if major >= _NAMED_PROVIDER else []


def _each(flag: str, values: Iterable[str]) -> list[str]:
    return [part for value in values for part in (flag, value)]


def _run(command: list[str], account: Account | None, feed: str = "") -> None:
    # its own process group: Ctrl-C at the terminal is for the service, not for a half-made cluster
    done = subprocess.run(  # noqa: S603
        command,
        input=feed,
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
        env=environment(),
        timeout=_INITDB_TIMEOUT,
        process_group=0,
        **process_arguments(account),
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        complaint = next((line for line in words if "error:" in line or "FATAL:" in line), words[-1])
        raise EmbeddedError(f"The embedded database could not be made: {complaint.strip()}")
