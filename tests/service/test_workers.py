"""The plain command, `gunicorn swagger_server.wsgi`, as real processes: every worker class, start and end."""

import signal
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.embedded.support import User, supervisors, wait_until_nothing_runs
from tests.support.process import CHECKOUT, OWN_WORKER, Gunicorn, run_gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

Environment = dict[str, str | None]

WORKERS = ["sync", "gthread", "gevent", "asgi", "uvicorn_worker.UvicornWorker", OWN_WORKER]
PATHS = [
    "/v1/countries?limit=5",
    "/v1/countries/de",
    "/v1/countries/DEU/subdivisions",
    "/v1/countries/de/cities?limit=3",
    "/v1/countries/de/airports?limit=3",
    f"/v1/cities?q={quote('köln')}&limit=1",
    "/v1/cities/2886242",
    "/v1/cities/nearest?lat=50.9&lon=6.9&limit=3",
    "/v1/cities/nearest?lat=91&lon=0",
    "/v1/airports?q=cgn",
    "/v1/airports/CGN",
    "/v1/airports/XXXX",
    "/v1/airports/nearest?lat=50.9&lon=6.9&limit=3",
    "/v1/timezones?limit=3",
    "/v1/currencies?limit=3",
    "/v1/languages?limit=3",
    "/v1/continents",
    "/v1/about",
    "/v1/nothing",
    "/v1/openapi.json",
    "/health/ready",
    "/",
]

KILL_MASTER = """
import os, signal

workers = 1
worker_class = "uvicorn_worker.UvicornWorker"

def post_fork(server, worker):
    os.kill(os.getppid(), signal.SIGKILL)
    while os.getppid() == server.pid:
        pass
"""

ADOPT_ORPHANS = """
import ctypes, os, subprocess, sys

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
try:
    while True:
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)
except ChildProcessError:
    pass
"""

_first_answers: dict[str, tuple[int, str, bytes]] = {}


@pytest.fixture(scope="module")
def config(places: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config.ini that names the database with the places."""
    names = {"URL": "host", "PORT": "port", "USER": "user", "PW": "password", "DB": "dbname"}
    known = {key: places.connect_kwargs.get(name) for key, name in names.items()}
    lines = [f"{key} = {value}" for key, value in known.items() if value is not None]
    path = tmp_path_factory.mktemp("config") / "config.ini"
    path.write_text("\n".join(["[POSTGRES]", *lines, ""]))
    return path


@pytest.fixture(scope="module")
def embedded(embedded_environment: Environment) -> Environment:
    """Variables for a service on an embedded database."""
    return embedded_environment


@pytest.mark.parametrize("how", [("-w", "1"), ("-w", "2", "--preload")], ids=["", "preload"])
@pytest.mark.parametrize("worker", WORKERS)
def test_every_worker_class_serves_every_endpoint_with_the_same_bytes(
    config: Path, worker: str, how: tuple[str, ...]
) -> None:
    env: Environment = {"SWAGGER_SERVER_CONFIG": str(config)}
    with start_gunicorn("-k", worker, *how, env=env) as service:
        for path in PATHS:
            answer = ask(service, path)
            assert answer == _first_answers.setdefault(path, answer)
    assert b'"K\xc3\xb6ln"' in _first_answers[PATHS[5]][2] or b"Cologne" in _first_answers[PATHS[5]][2]
    assert [path for path, answer in _first_answers.items() if answer[0] != 200] == [
        "/v1/cities/nearest?lat=91&lon=0",
        "/v1/airports/XXXX",
        "/v1/nothing",
    ]


def test_plain_command_in_a_folder_with_config_ini_serves_that_database(
    config: Path, places: Database
) -> None:
    args = ("-w", "2", "--chdir", str(CHECKOUT))
    with start_gunicorn(*args, cwd=config.parent, env={"SWAGGER_SERVER_CONFIG": str(config)}) as service:
        assert ask(service, "/v1/countries/de")[0] == 200
        backends = (
            "SELECT DISTINCT datname FROM pg_stat_activity WHERE application_name LIKE 'swagger_server%%'"
        )
        assert places.execute(backends) == [(places.name,)]


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_plain_command_without_settings_serves_the_embedded_database_and_leaves_no_process(
    embedded: Environment, end: str
) -> None:
    with start_gunicorn("-w", "2", env=embedded) as service:
        assert ask(service, "/v1/countries/de")[0] == 200
        assert len(supervisors(data(embedded))) == 1
        stop(service, end)
        service.wait_until_alone()
    wait_until_nothing_runs(data(embedded))


@pytest.mark.parametrize("how", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("worker", ["sync", "uvicorn_worker.UvicornWorker"])
def test_workers_that_do_not_watch_their_master_end_with_it(
    config: Path, worker: str, how: tuple[str, ...]
) -> None:
    with start_gunicorn("-w", "2", "-k", worker, *how, env={"SWAGGER_SERVER_CONFIG": str(config)}) as service:
        wait_until(lambda: len(service.workers()) == 2)
        wait_until(lambda: service.log().count("Booting worker") == 2)
        service.send(signal.SIGKILL)
        service.wait_until_alone(10)


@pytest.mark.parametrize("how", [(), ("--preload",)], ids=["", "preload"])
def test_worker_whose_master_is_killed_while_it_is_forked_ends_with_it(
    config: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text(KILL_MASTER)
    # Returns when nobody holds the output open any more.
    ended = run_gunicorn("-c", str(settings), *how, env={"SWAGGER_SERVER_CONFIG": str(config)})
    assert ended.returncode == -signal.SIGKILL


def test_worker_ends_with_its_master_where_its_own_session_adopts_orphans(
    config: Path, tmp_path: Path
) -> None:
    """As in a container whose first process has started gunicorn."""
    settings = tmp_path / "settings.py"
    settings.write_text(KILL_MASTER)
    done = run_gunicorn(
        "-c",
        str(settings),
        env={"SWAGGER_SERVER_CONFIG": str(config)},
        under=[sys.executable, "-c", ADOPT_ORPHANS],
    )
    assert done.stdout.split() == [str(-signal.SIGKILL), str(-signal.SIGTERM)], done.stderr


def test_workers_racing_from_another_folder_start_one_server(embedded: Environment, tmp_path: Path) -> None:
    """With --chdir gunicorn.conf.py is not read, so each worker prepares the database itself."""
    args = ("--chdir", str(CHECKOUT), "-w", "4", "-k", "gthread")
    with start_gunicorn(*args, env=embedded, cwd=tmp_path) as service:
        wait_until(lambda: service.log().count("Booting worker") == 4)
        assert ask(service, "/v1/countries/de")[0] == 200
        assert len(supervisors(data(embedded))) == 1
        service.send(signal.SIGKILL)
        service.wait_until_alone()
    wait_until_nothing_runs(data(embedded))


def test_worker_that_is_replaced_finds_the_same_server(embedded: Environment) -> None:
    with start_gunicorn("-w", "2", env=embedded) as service:
        wait_until(lambda: len(service.workers()) == 2)
        [supervisor] = supervisors(data(embedded))
        old = set(service.workers())
        service.send(signal.SIGHUP)
        wait_until(lambda: len(service.workers()) == 2 and not old & set(service.workers()))
        assert ask(service, "/v1/countries/de")[0] == 200
        assert supervisors(data(embedded)) == [supervisor]


def test_data_survive_the_service(embedded: Environment) -> None:
    """What the services of the tests above have served is still there."""
    with User(data(embedded)) as user:
        assert user.database().execute("SELECT name FROM country WHERE iso2 = 'DE'") == [("Germany",)]


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_bad_setting_ends_the_master_with_one_line(preload: tuple[str, ...]) -> None:
    done = run_gunicorn("-w", "4", *preload, env={"POOL_MIN": "9", "POOL_MAX": "2"})
    assert done.returncode != 0
    [line] = own_lines(done.stderr)
    assert "POOL_M" in line
    assert "Traceback" not in done.stderr
    assert "Booting worker" not in done.stderr


@pytest.mark.parametrize("worker", ["sync", "asgi"])
def test_bad_setting_where_the_configuration_is_not_read_halts_gunicorn(tmp_path: Path, worker: str) -> None:
    args = ("--chdir", str(CHECKOUT), "-w", "2", "-k", worker)
    done = run_gunicorn(*args, cwd=tmp_path, env={"POOL_MIN": "9", "POOL_MAX": "2"})
    assert done.returncode != 0
    lines = set(own_lines(done.stderr))
    assert len(lines) == 1
    assert "POOL_M" in lines.pop()
    assert done.stderr.count("Booting worker") <= 4


def ask(service: Gunicorn, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body, in which the address of this one service is left out."""
    with requests.get(service.url + path, timeout=10) as answer:
        body = answer.content.replace(service.url.encode(), b"")
        request_id = answer.headers["X-Request-ID"].encode()
        return answer.status_code, answer.headers["Content-Type"], body.replace(request_id, b"")


def stop(service: Gunicorn, end: str) -> None:
    """SIGINT as Ctrl-C sends it, to the whole group; the others to the master alone."""
    if end == "SIGINT":
        service.interrupt()
    else:
        service.send(signal.Signals[end])


def own_lines(stderr: str) -> list[str]:
    """What the service itself says: gunicorn's own lines start with a date, a traceback's are indented."""
    return [line for line in stderr.splitlines() if line.startswith("swagger_server: ")]


def data(env: Environment) -> Path:
    folder = env["EMBEDDED_DATA"]
    assert folder is not None
    return Path(folder)


def test_what_a_preloaded_worker_forks_is_its_own(config: Path) -> None:
    args = ("-k", "gthread", "-w", "1", "--preload")
    env: Environment = {"SWAGGER_SERVER_CONFIG": str(config)}
    with start_gunicorn(*args, env=env, app="tests.service.forking_app") as service:
        assert requests.get(f"{service.url}/fork", timeout=20).text == "7"
