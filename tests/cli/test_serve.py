"""`serve`, and the preparation that it shares with gunicorn, on an embedded database of the tests' own."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from swagger_server.config import load_settings
from swagger_server.prepare import prepare
from swagger_server.schema import SCHEMA_VERSION
from tests.support.filled import RACERS, filled_cluster, race_outcome
from tests.support.process import (
    CHECKOUT,
    START_TIMEOUT,
    Gunicorn,
    environment,
    group,
    mentioning,
    run_cli,
    start_gunicorn,
    wait_until,
)
from tests.support.servers import Database, free_port, open_folder

from .support import Environment, interrupted, settings_for, started

# How far the schema is, how many cities there are, when they were loaded; twice, preparing before each.
STATE = """
import psycopg2
from swagger_server import config, prepare
for _ in range(2):
    connection = psycopg2.connect(**prepare.prepare(config.load_settings())["default"])
    cursor = connection.cursor()
    cursor.execute("SELECT count(*), (SELECT count(*) FROM city), (SELECT max(loaded_at) FROM data_source)"
                   " FROM schema_migration")
    print(*cursor.fetchone())
    connection.close()
"""


@pytest.fixture(scope="module")
def embedded(embedded_environment: Environment) -> Environment:
    """Variables that name an embedded database, which three processes at once have prepared."""
    return embedded_environment


TABLES = """
import psycopg2
from swagger_server import config, prepare
connection = psycopg2.connect(**prepare.prepare(config.load_settings(), with_places=False)["default"])
cursor = connection.cursor()
cursor.execute("SELECT to_regclass('api_key') IS NOT NULL, to_regclass('city') IS NOT NULL")
print(*cursor.fetchone())
"""


def test_a_spec_of_ones_own_gets_the_services_own_tables_and_no_places() -> None:
    with open_folder() as folder:
        (folder / "empty.ini").touch()
        env: Environment = {
            "EMBEDDED_DATA": str(folder / "data"),
            "SWAGGER_SERVER_CONFIG": str(folder / "empty.ini"),
        }
        with start_gunicorn("-w", "1", env=env, app="tests.second_spec.wsgi"):
            done = subprocess.run(
                [sys.executable, "-c", TABLES],
                env=environment(env),
                capture_output=True,
                text=True,
                cwd=CHECKOUT,
            )
        wait_until(lambda: not mentioning(str(folder)), explain=lambda: f"left: {mentioning(str(folder))}")
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_racing_processes_each_find_the_database_ready() -> None:
    filled_cluster()
    statuses, outputs, errors = zip(*race_outcome(), strict=True)
    assert statuses == (0,) * RACERS
    assert len(set(outputs)) == 1
    assert errors == ("",) * RACERS


def test_who_prepares_a_database_that_is_ready_changes_nothing(embedded: Environment) -> None:
    command = [sys.executable, "-c", STATE]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment(embedded),
        cwd=CHECKOUT,
        timeout=START_TIMEOUT,
    )
    before, after = done.stdout.splitlines()
    assert before == after
    migrations, cities = map(int, after.split()[:2])
    assert migrations == SCHEMA_VERSION
    assert cities > 30_000


def test_somebodys_own_database_is_left_alone(database: Database, tmp_path: Path) -> None:
    empty = tmp_path / "empty.ini"
    empty.touch()
    environ = {name: str(value) for name, value in settings_for(database).items()}
    settings = load_settings(empty, environ)
    assert prepare(settings) == {"default": settings.databases["default"].connect_kwargs()}
    assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_serve_says_where_it_is_and_serves_until_ctrl_c(embedded: Environment) -> None:
    address = f"127.0.0.1:{free_port()}"
    with started("serve", "-w", "2", "-b", address, env=embedded) as process:
        wait_until(lambda: answers(process, address) or process.poll() is not None, START_TIMEOUT)
        shown = run_cli("connections", env=embedded).stdout.splitlines()
        status, out, err = interrupted(process)
    assert status == 0, err
    database, *addresses = out.splitlines()
    assert database.startswith("Database:   embedded")
    assert addresses == [f"Page:       http://{address}/", f"Swagger UI: http://{address}/ui/"]
    assert shown[0].startswith("PID")
    assert len(shown) > 1
    assert "Traceback" not in err
    wait_until(lambda: not group(process.pid))


def answers(process: "subprocess.Popen[str]", address: str) -> bool:
    with open("/dev/null", "rb") as log:
        return Gunicorn(process, f"http://{address}", log).answers()  # type: ignore[arg-type]


def test_a_service_that_joins_a_server_started_for_fewer_serves_and_says_it(embedded: Environment) -> None:
    with (
        start_gunicorn("-w", "1", env=embedded),
        start_gunicorn("-w", "2", env={**embedded, "POOL_MAX": "50"}) as more,
    ):
        text = "2 workers x MAX 50 = 100 connections do not fit the embedded database, which has room for 97 as long"
        [line] = [line for line in more.log().splitlines() if text in line]
        assert " WARNING " in line
        assert more.answers()


def test_serve_says_at_once_which_port_is_taken_and_how_to_choose_another(
    database: Database, tmp_path: Path
) -> None:
    env = {**settings_for(database), "SWAGGER_SERVER_CONFIG": str(tmp_path / "config.ini")}
    (tmp_path / "config.ini").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_cli("serve", "-b", f"127.0.0.1:{port}", env=env)
        shared = run_cli("serve", "-b", f"127.0.0.1:{port}", "--print-config", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"swagger_server: port {port} of 127.0.0.1 cannot be used: something else listens there."
        " Choose another one: -b HOST:PORT, or make run BIND=HOST:PORT\n"
    )
    assert (shared.returncode, shared.stderr) == (0, "")


@pytest.mark.parametrize(
    ("bind", "reason"),
    [("192.0.2.1:8080", "Cannot assign requested address"), ("127.0.0.1:70000", "port must be 0-65535")],
)
def test_serve_says_why_nobody_can_listen_there(database: Database, bind: str, reason: str) -> None:
    done = run_cli("serve", "-b", bind, env=settings_for(database))
    host, port = bind.split(":")
    assert done.returncode == 1
    assert done.stderr.startswith(f"swagger_server: port {port} of {host} cannot be used: ")
    assert reason in done.stderr


def test_serve_hands_other_arguments_to_gunicorn(database: Database, tmp_path: Path) -> None:
    (tmp_path / "empty.ini").touch()
    env = {
        **settings_for(database),
        "SWAGGER_SERVER_CONFIG": str(tmp_path / "empty.ini"),
        "WEB_CONCURRENCY": "3",
    }
    done = run_cli("serve", "--print-config", "-k", "gthread", "--threads", "5", env=env)
    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if " = " in line)
    settings = {name.strip(): value.strip() for name, value in found.items()}
    assert {name: settings[name] for name in ("workers", "worker_class", "threads", "bind")} == {
        "workers": "3",
        "worker_class": "gthread",
        "threads": "5",
        "bind": "['127.0.0.1:8080']",
    }
    assert settings["config"] == "python:swagger_server.gunicorn_settings"


def test_check_config_tries_the_embedded_database(embedded: Environment) -> None:
    done = run_cli("check-config", env=embedded)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\ndatabase default (embedded): PostgreSQL 18" in done.stdout
