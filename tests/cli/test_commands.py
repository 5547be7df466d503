"""`python -m swagger_server COMMAND` as real processes against real databases."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from swagger_server import prepare, schema
from tests.support.process import run_cli
from tests.support.servers import Database, PrivateServer, free_port

from .support import Environment, held_lock, interrupted, settings_for, started, wait_for_session

COMMANDS = ("serve", "migrate", "load-places", "check-config", "connections", "compare", "keys")


@pytest.fixture
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what the test says: no config.ini of the checkout, no variables of the machine."""
    empty = tmp_path / "empty.ini"
    empty.touch()
    monkeypatch.setenv("SWAGGER_SERVER_CONFIG", str(empty))


@pytest.fixture
def settings(no_settings: None, database: Database) -> Environment:
    return settings_for(database)


@pytest.fixture
def migrated(settings: Environment, database: Database) -> Iterator[Database]:
    with closing(database.connect()) as connection:
        schema.migrate(connection)
    return database


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def test_help_lists_the_commands() -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    assert re.findall(r"^    ([a-z-]+)", done.stdout, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str) -> None:
    done = run_cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m swagger_server {command} [-h]")


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_settings_stop_each_command_with_their_line(no_settings: None, command: str) -> None:
    arguments = ["list"] if command == "keys" else []
    done = run_cli(command, *arguments, env={"POOL_MAX": "many"})
    line = (
        "swagger_server: environment variable POOL_MAX ([POOL] MAX) = 'many':"
        " must be a whole number from 1 to 1000 (connections)"
    )
    assert (done.returncode, done.stdout, one_line(done.stderr)) == (2, "", line)


@pytest.mark.parametrize("command", ["migrate", "load-places", "connections"])
def test_a_database_that_is_down_is_one_line(no_settings: None, command: str) -> None:
    port = str(free_port())
    env = {"POSTGRES_URL": "127.0.0.1", "POSTGRES_PORT": port, "POSTGRES_USER": "u", "POSTGRES_DB": "d"}
    done = run_cli(command, env={**env, "POSTGRES_PW": "geheim"})
    assert done.returncode == 1
    line = f"swagger_server: no connection to host 127.0.0.1 port {port} dbname d: Connection refused"
    assert one_line(done.stderr).startswith(line)
    assert "geheim" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "wrong", ["", "serf", "migrate x", "load-places --cities 7", "serve -w x", "connections --all"]
)
def test_wrong_arguments_are_refused(wrong: str) -> None:
    done = run_cli(*wrong.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r"python -m swagger_server.*: error: ", done.stderr.splitlines()[-1])


def test_a_file_that_migrate_cannot_apply_is_named_with_its_line(
    settings: Environment, tmp_path: Path
) -> None:
    (tmp_path / "0001_shop.sql").write_text("CREATE TABLE till (id int);\nCREATE TABLE shop (id itn);\n")
    done = run_cli("migrate", "--files", str(tmp_path), env=settings)
    line = 'swagger_server: 0001_shop.sql, line 2: type "itn" does not exist'
    assert (done.returncode, one_line(done.stderr)) == (1, line)


def test_migrate_applies_each_file_once(settings: Environment) -> None:
    first, second = (run_cli("migrate", env=settings) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    *applied, version = first.stdout.splitlines()
    assert len(applied) == schema.SCHEMA_VERSION
    assert version == f"schema version {schema.SCHEMA_VERSION}"
    assert second.stdout.splitlines() == [version]


def test_two_migrations_at_once_share_the_work(settings: Environment) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(started("migrate", env=settings)) for _ in range(2)]
        outputs = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(out for out, _ in outputs).count("applied ") == schema.SCHEMA_VERSION


def test_load_places_says_that_the_schema_is_missing(settings: Environment) -> None:
    done = run_cli("load-places", env=settings)
    line = "swagger_server: the database lacks the schema: run `python -m swagger_server migrate` first"
    assert (done.returncode, done.stdout, one_line(done.stderr)) == (1, "", line)


def test_load_places_loads(migrated: Database) -> None:
    done = run_cli("load-places", env=settings_for(migrated))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"loaded in \d+\.\d s", one_line(done.stdout))
    assert migrated.execute("SELECT count(*) > 30000, max(population) > 20000000 FROM city") == [(True, True)]


def test_ctrl_c_ends_a_migration_that_waits(settings: Environment, database: Database) -> None:
    with held_lock(database, schema._LOCK), started("migrate", env=settings) as process:
        wait_for_session(database, "swagger_server migrate", lambda kind: kind == "Lock")
        assert interrupted(process) == (130, "", "")


def test_ctrl_c_ends_a_load_that_waits(migrated: Database) -> None:
    with (
        held_lock(migrated, prepare._FILL_LOCK),
        started("load-places", env=settings_for(migrated)) as process,
    ):
        wait_for_session(migrated, "swagger_server load-places")
        assert interrupted(process) == (130, "", "")


def test_a_reader_that_leaves_is_no_error(no_settings: None) -> None:
    with started("check-config", "--example", env={}) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=10) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_check_config_shows_what_holds_and_tries_the_database(settings: Environment, tmp_path: Path) -> None:
    ini = tmp_path / "my.ini"
    ini.write_text("[POOL]\nMIN = 2\nMAX = 7\n")
    env = {"POSTGRES_PW": "geheim", **settings, "SWAGGER_SERVER_CONFIG": str(ini), "POOL_MIN": "3"}
    done = run_cli("check-config", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [tuple(line.split()) for line in done.stdout.splitlines()]
    assert ("settings", "file:", str(ini)) in rows
    assert ("[POOL]", "MIN", "3", "POOL_MIN") in rows
    assert ("[POOL]", "MAX", "7", "my.ini") in rows
    assert ("[POOL]", "TIMEOUT", "5", "default") in rows
    assert ("[POSTGRES]", "PW", "*****", "POSTGRES_PW") in rows
    assert "geheim" not in done.stdout
    last = r"database default: PostgreSQL \d+.*, max_connections \d+, room for \d+ workers with \[POOL\] MAX"
    assert any(re.fullmatch(last, line) for line in done.stdout.splitlines())


ARITHMETIC = """\
  the server gives: max_connections 30 - superuser_reserved_connections 3 = 27{limit}
  the service asks: {asked}
  that {verdict}
  recommended: {recommended}
{details}"""


@pytest.fixture
def small_server(no_settings: None) -> Iterator[PrivateServer]:
    with PrivateServer({"max_connections": "30"}) as server:
        yield server


def test_check_config_spells_the_arithmetic_of_connections_out(small_server: PrivateServer) -> None:
    env = settings_for(small_server.database())
    many = run_cli("check-config", "--workers", "8", "--instances", "2", env=env)
    assert many.returncode == 1
    failed = "database default does not fit: 320 connections are asked for, and there is room for 27"
    assert one_line(many.stderr) == f"swagger_server: {failed}"
    assert many.stdout.endswith(
        ARITHMETIC.format(
            limit="",
            asked="8 workers x MAX 20 = 160, x 2 instances = 320",
            verdict="does not fit",
            recommended="(27 - 3 for psql and migrations) / 2 instances = 12 for each instance",
            details="    without a budget: MIN = 1, MAX = 1 (8 workers x 1 = 8)\n"
            "    with a budget:    MIN = 1, MAX = 12, BUDGET = 12\n",
        )
    )
    small_server.database().execute("CREATE ROLE api LOGIN CONNECTION LIMIT 12")
    role = run_cli("check-config", env={**env, "POSTGRES_USER": "api", "POOL_BUDGET": "11"})
    assert (role.returncode, role.stderr) == (0, "")
    assert role.stdout.endswith(
        ARITHMETIC.format(
            limit=", and the role's CONNECTION LIMIT is 12",
            asked="a budget of 11",
            verdict="fits, 1 left for psql and migrations",
            recommended="(12 - 2 for psql and migrations) / 1 instance = 10 for each instance",
            details="    without a budget: MIN = 1, MAX = 2 (4 workers x 2 = 8)\n"
            "    with a budget:    MIN = 1, MAX = 10, BUDGET = 10\n",
        )
    )


def test_check_config_fails_for_the_database_that_does_not_answer(
    settings: Environment, database: Database
) -> None:
    missing = database.sibling("nosuch")
    env = {**settings, **settings_for(missing, "POSTGRES_REPORTS")}
    done = run_cli("check-config", "--workers", "1", env=env)
    assert done.returncode == 1
    assert "database default: PostgreSQL" in done.stdout
    line = one_line(done.stderr)
    assert line.startswith("swagger_server: database reports failed: no connection to ")
    assert 'database "nosuch" does not exist' in line


def test_check_config_prints_the_example(no_settings: None) -> None:
    example = Path(__file__).parents[2] / "config.ini.example"
    assert run_cli("check-config", "--example").stdout == example.read_text()


def test_connections_shows_the_services_sessions_and_no_others(
    settings: Environment, database: Database
) -> None:
    names = ("swagger_server worker 17", "psql", "swaggerXserver")
    with ExitStack() as stack:
        pids = {}
        for name in names:
            connection = stack.enter_context(closing(database.connect(application_name=name)))
            connection.cursor().execute("SELECT 1")
            pids[name] = connection.info.backend_pid
        done = run_cli("connections", env=settings)
    head, row = done.stdout.splitlines()
    assert re.split(r"  +", head) == [
        "PID", "WORKER", "STATE", "SINCE", "BACKEND START", "QUERY START", "CLIENT",
    ]  # fmt: skip
    found = re.split(r"  +", row)
    assert found[:3] == [str(pids["swagger_server worker 17"]), "worker 17", "idle in transaction"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", cell) for cell in found[3:6])


def test_connections_of_several_databases_have_a_heading_each(
    settings: Environment, database: Database
) -> None:
    done = run_cli("connections", env={**settings, **settings_for(database, "POSTGRES_REPORTS")})
    assert [line for line in done.stdout.splitlines() if line.startswith("[")] == ["[default]", "[reports]"]
