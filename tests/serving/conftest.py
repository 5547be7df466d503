"""The gallery, run by Connexion's own ASGI stack and by this project's two ways."""

import asyncio
import gc
import itertools
import logging
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import connexion
import pytest
from connexion.json_schema import Draft4RequestValidator, Draft4ResponseValidator
from jsonschema import Draft3Validator, Draft4Validator

from swagger_server.serving import VALIDATORS, Application, connexion_handler
from tests.serving.comparing import assert_length_is_right, comparable
from tests.serving.differences import INDISTINCT_IN_WSGI, UNCHECKED_FORMATS, expected_of
from tests.serving.gallery import gallery_app
from tests.serving.gallery.record import note_signals
from tests.serving.sides import Answer, Call, Side, asgi_side, wsgi_side

WAYS = ("wsgi", "asgi")


@dataclass(frozen=True)
class Sides:
    """One app, run three ways."""

    reference: Side
    ours: dict[str, Side]

    def differences(self, call: Call, ways: Container[str] = WAYS) -> list[str]:
        """In which respects the answers are not the same."""
        expected = expected_of(call, self.reference(call), self.reference)
        return [
            f"{call} by {name}, {key}: {explained(expected[key], found[key])}"
            for name, found in self._found(call, ways)
            for key in expected
            if found[key] != expected[key]
        ]

    def _found(self, call: Call, ways: Container[str]) -> Iterator[tuple[str, dict[str, object]]]:
        for name, side in self.ours.items():
            untold = name == "wsgi" and any(picks(call) for picks in INDISTINCT_IN_WSGI.values())
            if untold or name not in ways:
                continue
            answer = side(call)
            assert_length_is_right(call, answer)
            yield name, comparable(answer)


def explained(expected: Any, found: Any) -> str:
    if isinstance(expected, list):
        pairs = enumerate(itertools.zip_longest(expected, found))
        number, (expected, found) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
        return f"no. {number} is\n  {found}\nnot\n  {expected}"
    return f"is\n  {str(found)[:1000]}\nnot\n  {str(expected)[:1000]}"


@pytest.fixture(scope="session")
def event_loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def gallery(event_loop: asyncio.Runner) -> Sides:
    return sides_of(gallery_app(), gallery_app(VALIDATORS), event_loop)


def sides_of(reference: connexion.FlaskApp, ours: connexion.FlaskApp, runner: asyncio.Runner) -> Sides:
    """Two apps that are alike, the first to be run by Connexion and the second by this project."""
    for app in (reference, ours):
        note_signals(app.app)
    application = Application(connexion_handler(ours), threads=2, max_body=10_000_000)
    return Sides(
        _unmended(asgi_side(reference, runner)),
        {"wsgi": wsgi_side(application), "asgi": asgi_side(application, runner)},
    )


def _unmended(side: Side) -> Side:
    """The side as it is without this project: it has Connexion's validator check more formats, and `$` in patterns."""

    def ask(call: Call) -> Answer:
        with _formats_of_draft_4(), _patterns_of_python():
            return side(call)

    return ask


@contextmanager
def _formats_of_draft_4() -> Iterator[None]:
    checker = Draft4Validator.FORMAT_CHECKER
    mended = checker.checkers
    checker.checkers = {name: check for name, check in mended.items() if name not in UNCHECKED_FORMATS}
    try:
        yield
    finally:
        checker.checkers = mended


@contextmanager
def _patterns_of_python() -> Iterator[None]:
    plain = Draft3Validator.VALIDATORS["pattern"]
    with ExitStack() as mended:
        for kind in (Draft4Validator, Draft4RequestValidator, Draft4ResponseValidator):
            mended.enter_context(patch.dict(kind.VALIDATORS, pattern=plain))
        yield


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of refused requests are logged on purpose; what they say is not looked at here."""
    for name in ("connexion", "tests.serving.gallery", "swagger_server"):
        caplog.set_level(logging.CRITICAL + 1, name)


@pytest.fixture(scope="module", autouse=True)
def _leave_no_garbage() -> Iterator[None]:
    """Starlette leaves uploads open, for which a later test would be blamed."""
    yield
    gc.collect()
