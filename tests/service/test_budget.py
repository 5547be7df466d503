"""The budget of a host under gunicorn, and the arithmetic at start."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
import requests

from swagger_server import budgets
from swagger_server.config import ConfigError, PoolSettings
from tests.pool.test_budget import Sampler
from tests.pool.test_fork import Child
from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.process import CHECKOUT, Gunicorn, run_cli, run_gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database, PrivateServer, free_port, open_folder, temporary_database

BUDGET = 3


@pytest.fixture(scope="module")
def small() -> Iterator[PrivateServer]:
    """A server with room for 27 connections of the service."""
    with PrivateServer({"max_connections": "30"}) as server:
        yield server


@pytest.fixture
def shop(small: PrivateServer, request: pytest.FixtureRequest) -> Iterator[Database]:
    with temporary_database(small.database(), "shop") as database:
        database.execute(TABLES)
        yield database


def read(service: Gunicorn, count: int) -> list[int]:
    """The statuses of so many reads by 12 clients, each on a connection of its own."""
    url = f"{service.url}/ledger/entries"
    with ThreadPoolExecutor(12) as clients:
        return list(clients.map(lambda _: requests.get(url, timeout=30).status_code, range(count)))


@pytest.mark.parametrize(
    "how",
    [("-k", "gthread", "--threads", "8", "--preload"), ("-k", "gevent"), ()],
    ids=["gthread", "gevent", ""],
)
def test_all_workers_together_keep_to_the_budget(
    shop: Database, tmp_path: Path, how: tuple[str, ...]
) -> None:
    env = environment_for({"default": shop}, POOL_BUDGET=str(BUDGET), POOL_BUDGET_FOLDER=str(tmp_path))
    with Sampler(shop) as sampler, start_gunicorn("-w", "4", *how, env=env, app=LEDGER) as service:
        assert set(read(service, 300)) == {200}
    assert sampler.most == BUDGET


def test_two_services_side_by_side_share_the_budget_from_whatever_folder(
    shop: Database, tmp_path: Path
) -> None:
    env = environment_for({"default": shop}, POOL_BUDGET=str(BUDGET), POOL_BUDGET_FOLDER=str(tmp_path))
    arguments = ("-w", "2", "-k", "gthread", "--threads", "8")
    elsewhere = ("--chdir", str(CHECKOUT))
    with (
        Sampler(shop) as sampler,
        start_gunicorn(*arguments, env=env, app=LEDGER) as old,
        start_gunicorn(*arguments, *elsewhere, env=env, app=LEDGER, cwd=tmp_path) as new,
        ThreadPoolExecutor(2) as both,
    ):
        answers = [
            status for each in both.map(lambda service: read(service, 150), (old, new)) for status in each
        ]
    assert set(answers) == {200}
    assert sampler.most == BUDGET


def test_under_gevent_others_go_on_while_a_share_is_waited_for(shop: Database, tmp_path: Path) -> None:
    env = environment_for(
        {"default": shop}, POOL_BUDGET="1", POOL_BUDGET_FOLDER=str(tmp_path), POOL_TIMEOUT="2"
    )
    arguments = ("-w", "1", "-k", "gevent")
    with (
        start_gunicorn(*arguments, env=env, app=LEDGER) as rich,
        start_gunicorn(*arguments, env=env, app=LEDGER) as poor,
        ThreadPoolExecutor(1) as client,
    ):
        slow = threading.Thread(target=requests.get, args=(f"{rich.url}/ledger/sleep?seconds=1",))
        slow.start()
        sleeping = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'"
        wait_until(lambda: shop.execute(sleeping))
        waiting = client.submit(requests.get, f"{poor.url}/ledger/entries", timeout=30)
        answered = 0
        while not waiting.done():
            assert requests.get(f"{poor.url}/health/live", timeout=1).status_code == 200
            answered += 1
        assert waiting.result().status_code == 200
        assert answered > 5
        slow.join()


def own_line(stderr: str) -> str:
    [line] = {line for line in stderr.splitlines() if line.startswith("swagger_server: ")}
    return line.removeprefix("swagger_server: ")


ROOM = "room for 27 (max_connections 30 - superuser_reserved_connections 3 = 27)"


def test_workers_that_the_server_has_no_room_for_stop_the_start(shop: Database) -> None:
    done = run_gunicorn("-w", "4", env=environment_for({"default": shop}, POOL_MAX="7"), app=LEDGER)
    assert done.returncode == 1
    assert own_line(done.stderr) == (
        "environment variable POOL_MAX ([POOL] MAX) = 7: 4 workers x MAX 7 = 28 connections do not fit database"
        f" 'default', which has {ROOM}: lower it, or set BUDGET to at most 27, or raise the limit"
    )
    assert "Traceback" not in done.stderr
    assert "Booting worker" not in done.stderr


@pytest.mark.parametrize("how", [(), ("--preload",)], ids=["", "preload"])
def test_they_stop_it_where_the_configuration_is_not_read_too(
    shop: Database, tmp_path: Path, how: tuple[str, ...]
) -> None:
    env = environment_for({"default": shop}, POOL_BUDGET="28", POOL_BUDGET_FOLDER=str(tmp_path))
    arguments = ("-w", "2", "-k", "gthread", "--chdir", str(CHECKOUT), *how)
    done = run_gunicorn(*arguments, env=env, app=LEDGER, cwd=tmp_path)
    assert done.returncode in (1, 3)  # gunicorn passes the status of a worker on, or that of a halt
    where = "environment variable POOL_BUDGET ([POOL] BUDGET) = 28: a budget of 28 connections"
    assert own_line(done.stderr).startswith(
        f"{where} do not fit database 'default', which has {ROOM}: lower it"
    )


def test_a_database_that_is_down_stops_no_start(shop: Database) -> None:
    gone = Database({**shop.connect_kwargs, "port": 1})
    with start_gunicorn(
        "-w", "1", env=environment_for({"default": gone}, POOL_MAX="50"), app=LEDGER
    ) as service:
        assert service.answers()


def test_two_sections_that_lead_to_one_server_are_taken_together(shop: Database) -> None:
    env = environment_for({"default": shop, "reports": shop.sibling("postgres")}, POOL_MAX="7")
    done = run_gunicorn("-w", "2", env=env, app=LEDGER)
    assert done.returncode == 1
    assert own_line(done.stderr).endswith(
        "2 workers x MAX 7 = 14 connections do not fit database 'default', which has room for 13 (max_connections 30"
        " - superuser_reserved_connections 3 = 27, for 2 sections of the settings): lower it, or set BUDGET to at most"
        " 13, or raise the limit"
    )
    told = run_cli("check-config", "--workers", "2", env=env)
    assert told.returncode == 1
    for name in ("default", "reports"):
        reason = "14 connections are asked for, and there is room for 13"
        assert f"swagger_server: database {name} does not fit: {reason}" in told.stderr.splitlines()
    with start_gunicorn("-w", "2", env={**env, "POOL_MAX": "6"}, app=LEDGER) as service:
        assert service.answers()


@pytest.fixture
def lender(shop: Database) -> Iterator[Database]:
    """The database by way of a role that may have 7 connections."""
    shop.execute("CREATE ROLE lender LOGIN CONNECTION LIMIT 7")
    yield Database({**shop.connect_kwargs, "user": "lender"})
    shop.execute("DROP ROLE lender")


def test_a_worker_that_comes_later_only_warns(shop: Database, lender: Database, tmp_path: Path) -> None:
    env = environment_for({"default": lender}, POOL_MAX="7")
    arguments = ("-w", "1", "-k", "gthread", "--chdir", str(CHECKOUT))
    with start_gunicorn(*arguments, env=env, app=LEDGER, cwd=tmp_path) as service:
        shop.execute("ALTER ROLE lender CONNECTION LIMIT 6")
        [first] = service.workers()
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: first not in service.workers(), explain=service.log)
        wait_until(service.answers, explain=service.log)
        warning = "1 worker x MAX 7 = 7 connections do not fit database 'default', which has room for 6 (max_"
        [line] = [line for line in service.log().splitlines() if warning in line]
        assert " WARNING " in line
        assert "Worker failed to boot" not in service.log()


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_PLACES", (tmp_path,))
    here = {"host": "db", "port": 5432, "dbname": "shop", "user": "api"}
    first = budgets.budget_for(PoolSettings(budget=5), "default", here)
    assert first == budgets.budget_for(PoolSettings(budget=5), "default", dict(reversed(here.items())))
    assert first is not None
    assert Path(first.path).parent.parent == tmp_path
    others = [("reports", here), ("default", {**here, "user": "other"}), ("default", {**here, "port": 5433})]
    paths = {budgets.budget_for(PoolSettings(budget=5), *other).path for other in others}  # type: ignore[union-attr]
    assert len(paths | {first.path}) == 4
    assert budgets.budget_for(PoolSettings(), "default", here) is None
    Path(first.path).parent.chmod(0o755)
    with pytest.raises(ConfigError, match=r"\[POOL\] BUDGET_FOLDER must be set: .* open to others"):
        budgets.budget_for(PoolSettings(budget=5), "default", here)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("folder", ["missing/too", None], ids=["named", "own"])
def test_what_root_makes_before_it_becomes_another_user_is_that_users(
    shop: Database, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    nobody = pwd.getpwnam("nobody")
    with open_folder() as home:
        monkeypatch.setattr(budgets, "_PLACES", (home,))
        monkeypatch.setattr(budgets, "account_of_workers", lambda: (nobody.pw_uid, nobody.pw_gid))
        settings = PoolSettings(budget=5, budget_folder=home / folder if folder else None)
        made = budgets.budget_for(settings, "default", {"dbname": "shop"})
        assert made is not None
        file = Path(made.path)
        assert [path.stat().st_uid for path in (file, file.parent)] == [nobody.pw_uid] * 2
        assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]

        def find_as_nobody() -> bool:
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            return budgets.budget_for(settings, "default", {"dbname": "shop"}) == made

        assert Child(find_as_nobody).result()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_gunicorns_user_gets_the_folder_that_its_master_makes(shop: Database) -> None:
    with open_folder() as home:
        folder = home / "budget"
        env = environment_for({"default": shop}, POOL_BUDGET=str(BUDGET), POOL_BUDGET_FOLDER=str(folder))
        # loaded by root: its Python, and the checkout, may be out of nobody's reach
        arguments = ("-w", "2", "-k", "gthread", "--threads", "4", "--preload", "-u", "nobody")
        with start_gunicorn(*arguments, env=env, app=LEDGER) as service:
            assert set(read(service, 20)) == {200}
            owners = {path.stat().st_uid for path in (folder, *folder.iterdir())}
    assert owners == {pwd.getpwnam("nobody").pw_uid}


@pytest.fixture
def pooler(shop: Database, small: PrivateServer) -> Iterator[Database]:
    """PgBouncer in transaction mode in front of the server."""
    if (program := shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")) is None:
        pytest.skip("pgbouncer is not installed")
    with open_folder() as folder:
        port = free_port()
        ini, users = folder / "pgbouncer.ini", folder / "users.txt"
        users.write_text('"postgres" ""\n')
        ini.write_text(
            f"[databases]\n* = host=127.0.0.1 port={small.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\n"
            "pool_mode = transaction\nadmin_users = postgres\n"
        )
        for file in (ini, users):
            file.chmod(0o644)
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        log = (folder / "log").open("wb")
        with log, subprocess.Popen([program, "-q", *account, str(ini)], stderr=log, stdout=log) as process:
            try:
                database = Database({**shop.connect_kwargs, "host": "127.0.0.1", "port": port})
                wait_until(lambda: _answers(database), explain=(folder / "log").read_text)
                yield database
            finally:
                process.terminate()


def _answers(database: Database) -> bool:
    with suppress(psycopg2.OperationalError):
        return bool(database.execute("SELECT 1"))
    return False


def test_behind_a_pooler_nothing_is_refused(pooler: Database) -> None:
    env = environment_for({"default": pooler}, SERVER_PREPARE="no")
    with start_gunicorn("-w", "2", env=env, app=LEDGER) as service:  # 40 connections to PgBouncer
        assert set(read(service, 20)) == {200}
    done = run_cli("check-config", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("  a pooler is in front: its own limits hold")


@pytest.mark.parametrize("is_read", [True, False], ids=["master asks", "worker asks"])
def test_a_pooler_that_takes_logins_and_answers_nothing_holds_up_no_start(
    pooler: Database, tmp_path: Path, is_read: bool
) -> None:
    env = environment_for({"default": pooler}, SERVER_PREPARE="no")
    arguments = ("-w", "1", "-k", "gthread", *(() if is_read else ("--chdir", str(CHECKOUT))))
    console = pooler.sibling("pgbouncer")
    console.execute("PAUSE")
    try:
        with start_gunicorn(
            *arguments, env=env, app=LEDGER, cwd=CHECKOUT if is_read else tmp_path
        ) as service:
            told = [
                line for line in service.log().splitlines() if "database 'default' does not answer" in line
            ]
            assert len(told) == 1
            assert " WARNING " in told[0]
            console.execute("RESUME")
            assert set(read(service, 20)) == {200}
    finally:
        with suppress(psycopg2.Error):  # it is not paused any more
            console.execute("RESUME")
