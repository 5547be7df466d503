"""connexion_handler answers like Connexion's own stack, whatever the app does and the client sends.

The same app is run by both, and each request is compared: status, headers, the JSON value or the bytes,
and what happened meanwhile: who was called with which values of which types, and which hooks ran in which
order. SAME_ANSWERS=all compares every combination of features instead of a choice of them.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import calls
from tests.serving.calls.making import Group, get
from tests.serving.comparing import comparable
from tests.serving.conftest import WAYS, Sides
from tests.serving.differences import DIFFERENCES, LINE_ENDS, WRONG_FORMATS, Difference
from tests.serving.sides import Call

# Connexion's own stack leaves uploads open and, where its error handlers fail, a coroutine unawaited.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

EVERYTHING = os.environ.get("SAME_ANSWERS") == "all"

GROUPS = calls.ALL_GROUPS if EVERYTHING else calls.CHOSEN_GROUPS

CHUNKED = tuple(
    Call("POST", target, (("Content-Type", kind),), body, chunked=True)
    for target, kind, body in (
        ("/gallery/body/person", "application/json", b'{"name": "Ada"}'),
        ("/gallery/body/person", "application/json", b'{"name": 5}'),
        ("/gallery/body/optional", "application/json", b'{"n": 5}'),
        ("/gallery/form", "application/x-www-form-urlencoded", b"name=Ada"),
        ("/gallery/text", "text/plain", b"Ada"),
    )
)

TO_BE_MENDED = {
    get(
        f"/gallery/answer/{path}"
    ): "Flask is told of an exception that comes up after its contexts have ended"
    for path in ("text/list", "text/nan", "bytes/list", "bytes/nan")
}


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_answers_are_the_same(gallery: Sides, group: Group):
    found: list[str] = []
    for number, call in enumerate(group.calls):
        if call not in TO_BE_MENDED:
            found += gallery.differences(call, _ways(number))
    assert not found, "\n\n".join(found)


def _ways(number: int) -> tuple[str, ...]:
    """Both protocols have all but the translation in common, so only every third request takes both ways."""
    return WAYS if EVERYTHING or number % 3 == 0 else ("wsgi",)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call, id=call.target, marks=pytest.mark.xfail(reason=reason, strict=True))
        for call, reason in TO_BE_MENDED.items()
    ],
)
def test_known_differences(gallery: Sides, call: Call):
    assert gallery.differences(call) == []


@pytest.mark.parametrize("call", [*CHUNKED, *WRONG_FORMATS, *LINE_ENDS], ids=str)
def test_what_is_mended(gallery: Sides, call: Call):
    assert gallery.differences(call) == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.reason)
def test_each_difference_is_one(gallery: Sides, difference: Difference):
    """A reason that has become idle would hide that the answers are the same after all."""
    reference = gallery.reference(difference.example)
    assert difference.applies(difference.example, reference)
    expected = difference.expected(difference.example, reference, gallery.reference)
    assert expected != comparable(reference)
    assert gallery.differences(difference.example) == []


def test_requests_at_once_do_not_mix(gallery: Sides):
    """What is made once for all requests must not carry anything from one to another."""
    asked = [get(f"/gallery/request/connexion/text{n}?number={n}", Cookie=f"n={n}") for n in range(200)]
    in_turn = [comparable(gallery.ours["wsgi"](call)) for call in asked]
    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(lambda call: comparable(gallery.ours["wsgi"](call)), asked))
    assert at_once == in_turn
