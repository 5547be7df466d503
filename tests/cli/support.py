"""What the tests of the command line share."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from psycopg2.extensions import connection

from tests.support.process import CHECKOUT, STOP_TIMEOUT, environment, wait_until
from tests.support.servers import Database

Environment = dict[str, str | None]

KEYS = {"host": "URL", "port": "PORT", "user": "USER", "password": "PW", "dbname": "DB"}


def settings_for(database: Database, section: str = "POSTGRES") -> Environment:
    """Variables that name a database."""
    return {f"{section}_{KEYS[name]}": str(value) for name, value in database.connect_kwargs.items()}


@contextmanager
def started(*args: str, env: Mapping[str, str | None]) -> Iterator["subprocess.Popen[str]"]:
    """`python -m swagger_server ARGS`, killed at the end of the block if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "swagger_server", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(env),
        cwd=CHECKOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Press Ctrl-C; the exit status and what was written."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=STOP_TIMEOUT)
    return process.returncode, out, err


@contextmanager
def held_lock(database: Database, number: int) -> Iterator[connection]:
    """An advisory lock that somebody else has; the connection is in a transaction."""
    with closing(database.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
        yield holder


def wait_for_session(
    database: Database, name: str, condition: Callable[[str], bool] = lambda _: True
) -> None:
    """Wait until a session of this application_name is in the database, with such a wait_event_type."""
    sql = "SELECT coalesce(wait_event_type, '') FROM pg_stat_activity WHERE application_name = %s"
    wait_until(lambda: any(condition(kind) for (kind,) in database.execute(sql, (name,))))
