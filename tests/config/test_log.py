"""Log lines in both formats, as they arrive on stderr."""

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from swagger_server import log, request_id
from swagger_server.config import ServerSettings

FIELDS = {
    "request_id": "abc",
    "method": "GET",
    "path": "/v1/cities",
    "operation": "cities.search",
    "status": 200,
    "ms": 3.25,
    "pool_ms": 0.0,
    "sql_ms": 1.5,
}
HEAD = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO \[\d+\] "

Configure = Callable[..., io.StringIO]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Configures logging and hands out what then takes the place of stderr."""
    root = logging.getLogger()
    connexion = logging.getLogger("connexion")
    before = root.handlers[:], root.level, connexion.level

    def configure(**settings: str) -> io.StringIO:
        stderr = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        log.configure(ServerSettings(**settings))
        return stderr

    yield configure
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    connexion.setLevel(before[2])


def log_access(path: str) -> None:
    fields = {**FIELDS, "path": path}
    logging.getLogger(log.ACCESS).info("%s %s %s", "GET", path, fields["status"], extra=fields)


def test_a_request_is_one_readable_line(configured: Configure) -> None:
    stderr = configured()
    log_access("/v1/cities")
    rest = "swagger_server.access GET /v1/cities 200"
    rest += " request_id=abc operation=cities.search ms=3.25 pool_ms=0 sql_ms=1.5\n"
    assert re.fullmatch(HEAD + re.escape(rest), stderr.getvalue())


def test_a_request_is_one_json_object(configured: Configure) -> None:
    stderr = configured(log_format="json")
    log_access("/v1/cities")
    found = json.loads(stderr.getvalue())
    assert {name: found[name] for name in FIELDS} == FIELDS
    assert found["message"] == "GET /v1/cities 200"
    assert (found["level"], found["logger"]) == ("INFO", "swagger_server.access")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["timestamp"])


def test_a_path_cannot_forge_lines(configured: Configure) -> None:
    stderr = configured()
    log_access("/a\n2026-01-01T00:00:00.000Z INFO [1] root forged\x1b[2J\r")
    (line,) = stderr.getvalue().splitlines()
    assert r"/a\x0a2026-01-01T00:00:00.000Z INFO [1] root forged\x1b[2J\x0d 200" in line


def test_further_lines_of_a_message_are_indented(configured: Configure) -> None:
    stderr = configured()
    logging.getLogger("some").warning("one\ntwo %s", "x\ny")
    assert [line[:7] for line in stderr.getvalue().splitlines()[1:]] == ["    two", "    y"]


def test_text_that_is_not_one_word_is_quoted(configured: Configure) -> None:
    stderr = configured()
    logging.getLogger("some").warning("said", extra={"a": "b c", "d": 'e="f"', "g": None, "h": ""})
    assert stderr.getvalue().endswith(' said a="b c" d="e=\\"f\\"" g=- h=""\n')


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_brings_its_traceback(configured: Configure, log_format: str) -> None:
    stderr = configured(log_format=log_format)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("some").exception("failed")
    text = json.loads(stderr.getvalue())["exc_info"] if log_format == "json" else stderr.getvalue()
    assert "Traceback (most recent call last):" in text
    assert text.rstrip().endswith("ValueError: broken")


def test_records_of_a_request_carry_its_id(configured: Configure) -> None:
    stderr = configured(log_format="json")
    logger = logging.getLogger("some")
    logger.warning("outside")
    token = request_id.current.set("r-1")
    logger.warning("inside")
    logger.warning("its own", extra={"request_id": "r-2"})
    request_id.current.reset(token)
    found = [json.loads(line).get("request_id") for line in stderr.getvalue().splitlines()]
    assert found == [None, "r-1", "r-2"]


def test_the_level_decides_what_is_written(configured: Configure) -> None:
    stderr = configured(log_level="ERROR")
    logging.getLogger("some").warning("no")
    logging.getLogger("some").error("yes")
    assert re.findall(r"some (\w+)", stderr.getvalue()) == ["yes"]


@pytest.mark.parametrize(("level", "said"), [("INFO", ["WARNING"]), ("DEBUG", ["INFO", "WARNING"])])
def test_connexion_is_quiet_unless_debugging(configured: Configure, level: str, said: list[str]) -> None:
    stderr = configured(log_level=level)
    logging.getLogger("connexion.middleware").info("chat")
    logging.getLogger("connexion.middleware").warning("trouble")
    assert [line.split()[1] for line in stderr.getvalue().splitlines()] == said


def test_configuring_again_does_not_double_the_lines(configured: Configure) -> None:
    before, stderr = configured(), configured()
    logging.getLogger("some").warning("once")
    assert (before.getvalue().count("once"), stderr.getvalue().count("once")) == (0, 1)


def test_gunicorns_own_lines_follow_the_json_format(configured: Configure) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.addHandler(handler)
    try:
        configured(log_format="json")
        gunicorn.warning("Worker exiting")
    finally:
        gunicorn.removeHandler(handler)
    assert json.loads(stream.getvalue())["message"] == "Worker exiting"
