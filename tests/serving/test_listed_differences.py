"""What the README lists as different from plain Connexion, where that shows in a setup of its own."""

import asyncio

import connexion
import pytest

from tests.serving.calls.making import get, send_json
from tests.serving.conftest import Sides, sides_of
from tests.serving.sides import Answer
from tests.serving.test_same_answers_configurations import WAITING, app_of, json_body, operation, spec

# Connexion's own stack leaves a coroutine unawaited where an answer breaks off.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def by_both(sides: Sides, path: str) -> tuple[Answer, Answer]:
    return sides.reference(get(path)), sides.ours["wsgi"](get(path))


def test_a_teardown_function_that_raises_is_a_500_and_no_answer_that_breaks_off(event_loop: asyncio.Runner):
    def make() -> connexion.FlaskApp:
        app = app_of(spec({"/nothing": {"get": operation("nothing")}}))

        @app.app.teardown_request
        def fail(_exc: BaseException | None) -> None:
            raise ValueError("in the teardown")

        return app

    theirs, ours = by_both(sides_of(make(), make(), event_loop), "/nothing")
    assert (theirs.status, theirs.broken) == (200, True)
    assert (ours.status, ours.broken) == (500, False)
    assert ours.header("content-type") == "application/problem+json"


def test_a_body_that_was_read_can_be_read_again(event_loop: asyncio.Runner):
    def make() -> connexion.FlaskApp:
        again = operation(f"{WAITING}.reads_again", requestBody=json_body(type="object"))
        return app_of(spec({"/again": {"post": again}}))

    sides = sides_of(make(), make(), event_loop)
    call = send_json("/again", {"a": 1})
    assert sides.reference(call).body == b'{\n  "read": null\n}\n'
    for side in sides.ours.values():
        assert side(call).body == b'{\n  "read": {\n    "a": 1\n  }\n}\n'
