"""docker-compose.yml without an engine: its services fit each other, the image, and the service's settings."""

import json
import shlex
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from swagger_server.config import load_settings
from tests.support.process import CHECKOUT, environment, run_cli

COMPOSE = CHECKOUT / "docker-compose.yml"
REQUIRED_PASSWORD = "${POSTGRES_PASSWORD:?choose a password for the database}"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def test_docker_accepts_the_file() -> None:
    asked = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True)
    if not asked or asked.returncode != 0:
        pytest.skip("there is no `docker compose` here; Docker's own check of the file was not made")
    command = ["docker", "compose", "-f", str(COMPOSE), "config", "--format", "json"]
    env = environment({"POSTGRES_PASSWORD": "x"})
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["services"]) == {"database", "prepare", "api"}


def test_database_is_postgresql_18_with_a_volume_and_a_health_check(compose: dict[str, Any]) -> None:
    database = compose["services"]["database"]
    assert database["image"] == "postgres:18"
    # since version 18 the image keeps its data in a folder below this one
    assert database["volumes"] == ["database:/var/lib/postgresql"]
    assert "database" in compose["volumes"]
    assert database["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert "ports" not in database


def test_api_starts_after_the_one_shot_preparation_and_that_after_the_database(
    compose: dict[str, Any],
) -> None:
    api, prepare = compose["services"]["api"], compose["services"]["prepare"]
    assert prepare["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert prepare["restart"] == "no"
    assert prepare["healthcheck"] == {"disable": True}
    assert api["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}
    assert "command" not in api
    assert api["ports"] == ["127.0.0.1:8080:8080"]
    assert api["build"] == prepare["build"] == "."


@pytest.mark.parametrize("name", ["prepare", "api"])
def test_settings_are_the_services_own_and_name_the_database(compose: dict[str, Any], name: str) -> None:
    given = compose["services"][name]["environment"]
    database = compose["services"]["database"]["environment"]
    assert given["POSTGRES_PW"] == database["POSTGRES_PASSWORD"] == REQUIRED_PASSWORD
    settings = load_settings(CHECKOUT / "config.ini.example", {**given, "POSTGRES_PW": "secret"})
    assert settings.databases["default"].connect_kwargs() == {
        "host": "database",
        "port": 5432,
        "user": database["POSTGRES_USER"],
        "dbname": database["POSTGRES_DB"],
        "password": "secret",
    }


def test_preparation_runs_commands_that_exist(compose: dict[str, Any]) -> None:
    shell, flag, script = compose["services"]["prepare"]["command"]
    assert (shell, flag) == ("sh", "-c")
    commands = [shlex.split(part) for part in script.split("&&")]
    assert [command[:3] for command in commands] == [["python", "-m", "swagger_server"]] * 2
    assert [command[3:] for command in commands] == [["migrate"], ["load-places"]]
    for command in commands:
        assert run_cli(*command[3:], "--help").returncode == 0
