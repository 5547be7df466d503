"""/metrics where its files cannot be had: another user's folder, no folder, no room on the disk."""

import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.exposition import Scrape
from tests.support.process import CHECKOUT, START_TIMEOUT, start_gunicorn, wait_until
from tests.support.servers import Database

VALUES = ("tests.second_spec.controllers.values", "GET", "200")
SESSIONS = """SELECT count(*) FROM pg_stat_activity
    WHERE application_name LIKE 'swagger_server%%' AND datname = current_database()"""


def other_user() -> str:
    """Somebody else, where we may become that and that one may read the code; else ourselves."""
    needed = [Path(folder) for start in (CHECKOUT, sys.prefix) for folder in (start, *Path(start).parents)]
    may_read = all(folder.stat().st_mode & 0o001 for folder in needed)
    return "nobody" if os.geteuid() == 0 and may_read else pwd.getpwuid(os.geteuid()).pw_name


def test_workers_of_another_user_than_their_preloading_master_show_metrics(ledger_database: Database):
    env, user = environment_for({"default": ledger_database}, SERVER_POOL_PAGE="yes"), other_user()
    args = ("--preload", "--user", user, "-w", "2", "-k", "gthread")
    with start_gunicorn(*args, env=env, app=LEDGER) as service:
        wait_until(lambda: Scrape(service).value("swagger_server_workers") == 2, START_TIMEOUT)
        wait_until(lambda: {psutil.Process(pid).username() for pid in service.workers()} == {user})
        for _ in range(5):
            assert requests.get(f"{service.url}/ledger/values", timeout=20).ok
        assert Scrape(service).answers()[VALUES] == 5
        shown = requests.get(f"{service.url}/pool.json", timeout=20).json()
        assert sorted(worker["pid"] for worker in shown["workers"]) == sorted(service.workers())
        pattern = f"swagger_server-*-{service.pid}-*"
        assert list(Path(tempfile.gettempdir()).glob(pattern))
    assert not list(Path(tempfile.gettempdir()).glob(pattern))


NO_FOLDER = """
import os, shutil, tempfile
from pathlib import Path
from swagger_server.gunicorn_settings import *

def folders(master):
    return Path(tempfile.gettempdir()).glob(f"swagger_server-*-{master}-*")

def spoil():
    for folder in folders(os.getppid()):
        shutil.rmtree(folder)
        folder.touch()

# Before the application, which is loaded later, does what it does there.
os.register_at_fork(after_in_child=spoil)

def on_exit(server):
    for file in folders(os.getpid()):
        file.unlink()
"""

NO_ROOM = """
import errno, os
from swagger_server.gunicorn_settings import *

def refuse(descriptor, start, size):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

os.posix_fallocate = refuse
"""


def assert_serves_without_metrics(database: Database, settings: Path, *args: str) -> None:
    env = environment_for({"default": database}, POOL_MIN="1", SERVER_POOL_PAGE="yes")
    args = ("-c", str(settings), "-w", "1", "-k", "gthread", *args)
    with start_gunicorn(*args, env=env, app=LEDGER) as service:
        for path in ("/metrics", "/pool", "/pool.json"):
            assert requests.get(service.url + path, timeout=20).status_code == 404
        assert requests.get(f"{service.url}/ledger/values", timeout=20).status_code == 200
        assert requests.get(f"{service.url}/ledger/entries", timeout=20).status_code == 200
        wait_until(lambda: database.execute(SESSIONS) != [(0,)])
        service.send(signal.SIGTERM)
        assert service.wait() == 0
        log = service.log()
    assert log.count("there is no /metrics and no /pool") == 1
    assert log.count("the rates of callers are counted by each worker for itself") == 1
    assert log.count("WARNING") == 2
    assert "Traceback" not in log
    wait_until(lambda: database.execute(SESSIONS) == [(0,)])


def test_without_its_folder_a_worker_serves(ledger_database: Database, tmp_path: Path):
    settings = tmp_path / "settings.py"
    settings.write_text(NO_FOLDER)
    assert_serves_without_metrics(ledger_database, settings, "--preload")


def test_on_a_full_disk_a_worker_serves(ledger_database: Database, tmp_path: Path):
    settings = tmp_path / "settings.py"
    settings.write_text(NO_ROOM)
    assert_serves_without_metrics(ledger_database, settings)


COUNTING = """
import errno, logging, os, sys
from pathlib import Path
from swagger_server.metrics import Metrics
from swagger_server.runtime import Folder

reserve, most = os.posix_fallocate, int(sys.argv[2])

def reserve_up_to(descriptor, start, size):
    if size > most:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    reserve(descriptor, start, size)

os.posix_fallocate = reserve_up_to
logging.basicConfig()
folder = Folder(Path(sys.argv[1]))
metrics = Metrics(folder, lambda: [])
metrics.start(folder)
for _ in range(3):
    for number in range(200):
        metrics.observe(f"operation{number}", "GET", 200, 0.003)
    metrics.publish()
print(metrics._render().decode())
"""


def count(folder: Path, most: int) -> "subprocess.CompletedProcess[str]":
    """A process that counts answers of 200 operations, each three times, in files of up to `most` bytes."""
    command = [sys.executable, "-c", COUNTING, str(folder), str(most)]
    return subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True)


def counted(told: str) -> dict[str, float]:
    found = re.findall(r'_seconds_count\{.*operation="(\w+)".*\} (\S+)', told)
    return {operation: float(value) for operation, value in found}


def test_files_have_their_room_before_they_are_written(tmp_path: Path):
    """A full disk would end a process that writes into a hole of a file."""
    told = count(tmp_path / "shared", 1 << 30)
    assert counted(told.stdout) == {f"operation{number}": 3 for number in range(200)}
    files = [file.stat() for file in (tmp_path / "shared").glob("*.db")]
    assert max(file.st_size for file in files) > 1 << 18
    assert [file.st_size for file in files if file.st_blocks * 512 < file.st_size] == []


def test_what_has_no_room_is_not_counted_and_said_once(tmp_path: Path):
    told = count(tmp_path / "shared", 1 << 17)
    shown = counted(told.stdout)
    assert {f"operation{number}" for number in range(10)} <= set(shown) != set(range(200))
    assert 10 < len(shown) < 200
    # The last one that is shown may have found room for a part of its numbers.
    assert [value for value in shown.values() if value != 3] == []
    assert told.stderr.count("WARNING") == told.stderr.count("no room for it") == 1
