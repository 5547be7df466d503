"""The embedded database as the service's first start leaves it: made once in a run of the tests, then copied.

It is made by several processes that race to prepare one empty folder, as workers do without
gunicorn.conf.py, so every run shows that this works.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from .process import CHECKOUT, START_TIMEOUT, environment, mentioning, wait_until
from .servers import SCRATCH_PREFIX, copy_of_cluster, scratch_place

PREPARE = (
    "from swagger_server import config, prepare; print(prepare.prepare(config.load_settings())['default'])"
)
RACERS = 3

_DATA, _OUTCOME = "data", "outcome.json"


def race_outcome() -> list[tuple[int, str, str]]:
    """Exit status and output of each process that prepared the database."""
    return [tuple(racer) for racer in json.loads((_folder() / _OUTCOME).read_text())]


def filled_cluster() -> Path:
    """The cluster's folder, to be copied; no server runs on it. Waits while another process makes it."""
    folder = _folder()
    folder.mkdir(mode=0o711, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _OUTCOME).exists():
            (folder / _OUTCOME).write_text(json.dumps(_race(folder)))
    return folder / _DATA / "cluster"


def copy_of_filled(data: Path) -> None:
    """Make `data` the folder of an embedded server that has the places."""
    data.mkdir()
    copy_of_cluster(filled_cluster(), data / "cluster")


def remove_filled() -> None:
    """For the process that started the run, at its end."""
    shutil.rmtree(_folder(), ignore_errors=True)


def _folder() -> Path:
    # The processes of a run have the same parent; the name tells the next run's sweep whose folder it is.
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    return scratch_place() / f"{SCRATCH_PREFIX}{run}-filled"


def _race(folder: Path) -> list[tuple[int, str, str]]:
    empty = folder / "empty.ini"
    empty.touch()
    env = {"EMBEDDED_DATA": str(folder / _DATA), "SWAGGER_SERVER_CONFIG": str(empty)}
    with ExitStack() as stack:
        racers = [stack.enter_context(_preparing(env)) for _ in range(RACERS)]
        outputs = [racer.communicate(timeout=START_TIMEOUT) for racer in racers]
    wait_until(lambda: not mentioning(str(folder)), explain=lambda: f"left: {mentioning(str(folder))}")
    return [(racer.returncode, *output) for racer, output in zip(racers, outputs, strict=True)]


def _preparing(env: dict[str, str | None]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(env),
        cwd=CHECKOUT,
    )
