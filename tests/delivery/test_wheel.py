"""The wheel holds everything that it needs: installed into an empty environment, it serves from anywhere."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import requests

from swagger_server.schema import SCHEMA_VERSION
from tests.service.conftest import environment_for
from tests.support.process import CHECKOUT, start_gunicorn
from tests.support.servers import Database

from .distributions import link, needed

PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def requirements(name: str) -> list[str]:
    lines = (CHECKOUT / name).read_text().splitlines()
    return [line.replace('"', "'") for line in lines if line and not line.startswith(("#", "-"))]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds nothing but the wheel and what it asks for.

    The latter is linked to from here: pip took a minute to bring the same.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source, wheels, environment = folder / "source", folder / "wheels", folder / "environment"
    copy_of_the_project(source)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels), str(source))
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    (wheel,) = wheels.iterdir()
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    [packages] = environment.glob("lib/python*/site-packages")
    [asked] = packages.glob("swagger_server-*.dist-info")
    for name in needed(metadata.PathDistribution(asked).requires or []):
        link(name, packages)
    return python


def copy_of_the_project(target: Path) -> None:
    """Its own files only; a build in the checkout itself would leave traces there."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT)
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((CHECKOUT / name).read_bytes())


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_depends_on_what_the_requirements_files_name():
    assert PYPROJECT["dependencies"] == requirements("requirements-server.txt")
    assert PYPROJECT["optional-dependencies"]["embedded"] == requirements("requirements.txt")


def test_the_installed_wheel_serves_from_any_folder(installed: Path, places: Database, tmp_path: Path):
    keys = environment_for({"default": places})
    lines = "".join(f"{name.removeprefix('POSTGRES_')} = {value}\n" for name, value in keys.items())
    (tmp_path / "config.ini").write_text(f"[POSTGRES]\n{lines}")
    with start_gunicorn("-w", "2", cwd=tmp_path, python=str(installed)) as service:
        assert requests.get(f"{service.url}/v1/countries/de", timeout=20).json()["name"] == "Germany"
        assert requests.get(f"{service.url}/v1/ui/", timeout=20).status_code == 200
        assert "<html" in requests.get(service.url, headers={"Accept": "text/html"}, timeout=20).text
    command = (str(installed), "-m", "swagger_server")
    assert f"schema version {SCHEMA_VERSION}\n" in run(*command, "migrate", cwd=tmp_path)
    assert "= swagger_server.serving.worker.Worker" in run(*command, "serve", "--print-config", cwd=tmp_path)


def test_without_a_database_the_installed_wheel_says_what_to_do(installed: Path, tmp_path: Path):
    done = subprocess.run(
        [installed, "-m", "swagger_server", "migrate"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "embedded" in line
