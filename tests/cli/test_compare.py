"""`compare` on servers with few connections: what its table says, what it asks, and that it leaves nothing behind."""

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from swagger_server.budgets import budget_for
from swagger_server.config import PoolSettings
from swagger_server.pool.ledger import Lease, Ledger, Want, open_ledger
from tests.support.process import CHECKOUT, environment, run_cli, wait_until
from tests.support.servers import Connection, Database, PrivateServer

from .support import Environment, interrupted, settings_for, started

MOST, RESERVED = 100, 3
QUICK = ("--rounds", "3", "--seconds", "0.1", "--clients", "4")
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'swagger_server compare%'"
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    settings = {"max_connections": str(MOST), "superuser_reserved_connections": str(RESERVED)}
    with PrivateServer(settings) as private:
        private.database().execute("CREATE ROLE reader LOGIN")
        private.database().execute("CREATE ROLE limited LOGIN CONNECTION LIMIT 7")
        private.database().execute("CREATE ROLE tiny LOGIN CONNECTION LIMIT 5")
        private.database().execute("CREATE DATABASE narrow CONNECTION LIMIT 21")
        yield private


@pytest.fixture
def look(server: PrivateServer) -> Iterator[Connection]:
    """A connection that was there before; it is one of the others."""
    with closing(server.connect()) as conn:
        conn.autocommit = True
        wait_until(lambda: number(conn, OTHERS) == 0)
        yield conn


def number(conn: Connection, sql: str) -> int:
    with conn.cursor() as cursor:
        cursor.execute(sql)
        return int((cursor.fetchone() or (0,))[0])


def environment_of(
    server: PrivateServer, role: str, tmp_path: Path, dbname: str = "postgres", **more: str
) -> Environment:
    (tmp_path / "empty.ini").touch()
    database = Database({**server.connect_kwargs, "user": role, "dbname": dbname})
    return {**settings_for(database), "SWAGGER_SERVER_CONFIG": str(tmp_path / "empty.ini"), **more}


def rows(output: str) -> dict[str, tuple[str, str]]:
    """The table by the first column."""
    lines = [re.split(r"  +", line) for line in output.splitlines()]
    return {cells[0]: (cells[1], cells[2]) for cells in lines if len(cells) == 3 and cells[0]}


def amount(text: str) -> float:
    """The number that a cell begins with; times in seconds."""
    figure, unit = re.fullmatch(r"([\d,.]+)\+?(?: (ms|µs))?.*", text).groups()  # type: ignore[union-attr]
    return float(figure.replace(",", "")) * {"ms": 1e-3, "µs": 1e-6, None: 1.0}[unit]


def test_table_is_coherent(server: PrivateServer, look: Connection, tmp_path: Path) -> None:
    done = run_cli("compare", "--yes", *QUICK, env=environment_of(server, "reader", tmp_path, POOL_MAX="5"))
    assert (done.returncode, done.stderr) == (0, "")
    gives = f"max_connections {MOST} - superuser_reserved_connections {RESERVED} = {MOST - RESERVED}"
    about = rf"database default: PostgreSQL \d+[^;]*, {gives}; others use 1"
    assert re.fullmatch(about, done.stdout.splitlines()[0])
    assert "Fewer clients" not in done.stdout
    table = rows(done.stdout)
    before, after = table["users at once before the first failure"]
    # One is the test's.
    assert before == str(MOST - RESERVED - 1)
    assert amount(after) > 2 * MOST
    connecting, pooled = map(amount, table["connection time per request"])
    assert connecting > pooled > 0
    slow, fast = map(amount, table["requests/s, 4 clients"])
    assert fast > slow > 0
    each, pools = table["memory per connection"]
    assert 0.1 < amount(each) < 100
    assert 1 <= int(re.findall(r"for each of (\d+) connections", pools)[0]) <= 5
    assert "remaining connection slots are reserved" in done.stdout or "too many clients" in done.stdout
    assert number(look, OTHERS) == 0


def test_limit_of_the_role_is_what_fails_first(
    server: PrivateServer, look: Connection, tmp_path: Path
) -> None:
    done = run_cli("compare", "--yes", *QUICK, env=environment_of(server, "limited", tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "and the role's CONNECTION LIMIT is 7" in done.stdout
    before, after = rows(done.stdout)["users at once before the first failure"]
    assert before == "7"
    assert amount(after) > 7
    assert number(look, OTHERS) == 0


def test_refuses_where_nobody_can_be_asked(server: PrivateServer, look: Connection, tmp_path: Path) -> None:
    done = run_cli("compare", *QUICK, env=environment_of(server, "reader", tmp_path))
    line = (
        "swagger_server: compare takes all connections of the server for some seconds: agree with --yes, or leave"
        " that out with --no-exhaust\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_leaves_the_line_out_when_told(server: PrivateServer, look: Connection, tmp_path: Path) -> None:
    done = run_cli("compare", "--no-exhaust", *QUICK, env=environment_of(server, "reader", tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "users at once" not in done.stdout.lower()
    assert len(rows(done.stdout)) == 3
    assert number(look, OTHERS) == 0


def refused(arguments: dict[str, object], process: "subprocess.Popen[str]") -> list[str]:
    """Why others get no connection until the process ends."""
    reasons = []
    while process.poll() is None:
        try:
            psycopg2.connect(**arguments).close()
        except psycopg2.OperationalError as error:
            reasons.append(str(error))
    return reasons


def test_others_get_connections_meanwhile_where_there_is_little_room(
    server: PrivateServer, look: Connection, tmp_path: Path
) -> None:
    env = environment_of(server, "reader", tmp_path, dbname="narrow")
    arguments = ("--no-exhaust", "--clients", "16", "--rounds", "2", "--seconds", "0.3")
    with started("compare", *arguments, env=env) as process:
        wait_until(lambda: number(look, SESSIONS) >= 2)
        assert refused({**server.connect_kwargs, "user": "reader", "dbname": "narrow"}, process) == []
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    # 8 that connect, 8 of the pool, the one that looks on; 3 are left.
    assert "requests/s, 8 clients" in rows(out)
    why = "Fewer clients than 16: 16 clients would need 33 connections, and the server has 21 free (max_connections 100"
    assert why in out
    assert "the database's CONNECTION LIMIT is 21; others use 1), 3 of them for others." in out
    assert "Requests that failed" not in out


def test_refuses_where_two_clients_have_no_room(
    server: PrivateServer, look: Connection, tmp_path: Path
) -> None:
    done = run_cli("compare", "--no-exhaust", *QUICK, env=environment_of(server, "tiny", tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    line = (
        "swagger_server: compare needs 5 connections at least, which database default does not have to spare: "
        "4 clients would need 9 connections, and the server has 5 free ("
    )
    assert done.stderr.startswith(line)
    assert done.stderr.endswith("CONNECTION LIMIT is 5; others use 1), 1 of them for others\n")
    assert number(look, OTHERS) == 0


def budget_of_ten(server: PrivateServer, tmp_path: Path) -> tuple[Ledger, Environment]:
    role = {**server.connect_kwargs, "user": "reader"}
    budget = budget_for(PoolSettings(budget=10, budget_folder=tmp_path), "default", role)
    assert budget is not None
    shared = {"POOL_BUDGET": "10", "POOL_BUDGET_FOLDER": str(tmp_path), "POOL_MIN": "4"}
    return open_ledger(budget.path), environment_of(server, "reader", tmp_path, **shared)


@contextmanager
def held_by_others(ledger: Ledger, size: int, count: int) -> Iterator[None]:
    """So many shares of a budget that this process has."""
    leases = [ledger.take(size, Want(0, 0.0)) for _ in range(count)]
    yield
    for lease in leases:
        assert isinstance(lease, Lease)
        ledger.give_back(lease, in_order=True)


def test_keeps_to_what_others_leave_of_the_budget(
    server: PrivateServer, look: Connection, tmp_path: Path
) -> None:
    ledger, env = budget_of_ten(server, tmp_path)
    command = ("compare", "--no-exhaust", "--clients", "16", "--rounds", "2", "--seconds", "0.2")
    with held_by_others(ledger, 10, 4):
        sessions = []
        with started(*command, env=env) as process:
            while process.poll() is None:
                sessions.append(number(look, SESSIONS))
            out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        assert "requests/s, 2 clients" in rows(out)
        assert "16 clients would need 27 connections, and the budget of 10 has 5 to spare." in out
        assert 2 <= max(sessions) <= 6
    # The share of the session that looked on is the last one's to end.
    assert ledger.count_taken(10) <= 1


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (
            5,
            "compare needs 5 connections at least, which database default does not have to spare: "
            "16 clients would need 27 connections, and the budget of 10 has 4 to spare",
        ),
        (10, "there is no connection left of the budget of 10: others have them all"),
    ],
)
def test_refuses_where_others_need_the_budget(
    server: PrivateServer, tmp_path: Path, taken: int, why: str
) -> None:
    ledger, env = budget_of_ten(server, tmp_path)
    with held_by_others(ledger, 10, taken):
        done = run_cli("compare", "--no-exhaust", "--clients", "16", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"swagger_server: {why}\n")
    assert ledger.count_taken(10) <= 1


@contextmanager
def on_a_terminal(
    *args: str, env: Mapping[str, str | None]
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The command with a terminal for its input and its messages; the terminal's other end."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    command = [sys.executable, "-m", "swagger_server", *args]
    with subprocess.Popen(
        command, stdin=its, stdout=subprocess.PIPE, stderr=its, env=environment(env), cwd=CHECKOUT
    ) as process:
        os.close(its)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def read_until(terminal: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 4096)
    return seen


def all_of(terminal: int) -> bytes:
    """What is written until nobody has the terminal any more, which Linux reports as an error."""
    seen = b""
    with suppress(OSError):
        while piece := os.read(terminal, 4096):
            seen += piece
    return seen


@pytest.mark.parametrize(("answer", "lines"), [(b"y\n", 4), (b"\n", 3)])
def test_asks_before_it_takes_all_connections(
    server: PrivateServer, look: Connection, tmp_path: Path, answer: bytes, lines: int
) -> None:
    env = environment_of(server, "limited", tmp_path)
    with on_a_terminal("compare", *QUICK, env=env) as (process, terminal):
        read_until(terminal, b"Take them? [y/N] ")
        assert number(look, OTHERS) == 0
        os.write(terminal, answer)
        assert b"Comparing: requests/s" in all_of(terminal)
        assert process.stdout is not None
        output = process.stdout.read().decode()
        assert process.wait() == 0
    assert len(rows(output)) == lines
    assert number(look, OTHERS) == 0


@pytest.mark.parametrize("sessions", [2, 8, 25], ids=["timing", "asking at once", "exhausting"])
def test_leaves_nothing_behind_after_ctrl_c(
    server: PrivateServer, look: Connection, tmp_path: Path, sessions: int
) -> None:
    # With 16 clients and a pool of 4 there are never 25 sessions but while the connections are exhausted.
    env = environment_of(server, "reader", tmp_path, POOL_MAX="4")
    clients = "16" if sessions == 8 else "1"
    arguments = ("--rounds", "2", "--seconds", "0.2" if sessions == 25 else "20", "--clients", clients)
    with started("compare", "--yes", *arguments, env=env) as process:
        wait_until(lambda: number(look, SESSIONS) >= sessions, 60)
        status, out, err = interrupted(process)
    assert (status, out, err) == (130, "", "")
    wait_until(lambda: number(look, OTHERS) == 0)


def test_a_database_that_the_settings_do_not_have_is_refused(server: PrivateServer, tmp_path: Path) -> None:
    done = run_cli("compare", "--yes", "--database", "x", env=environment_of(server, "reader", tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "swagger_server: there is no database 'x' in the settings, only default\n"
