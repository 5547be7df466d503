"""schemathesis finds nothing in the service, and what is planted in one that breaks its contract."""

from pathlib import Path

import pytest

from tests.contract.verifying import Callers, Findings, schemathesis
from tests.support.process import CHECKOUT, Gunicorn

FAULTY = CHECKOUT / "tests" / "contract" / "faulty" / "openapi.yaml"


@pytest.fixture(scope="module")
def found(faulty: Gunicorn, callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What it finds in the faulty service."""
    folder = tmp_path_factory.mktemp("found")
    arguments = ("--phases", "fuzzing,stateful", "--max-examples", "15")
    return schemathesis(faulty.url, folder, *arguments, env=callers.environment, spec=FAULTY)


PLANTED = {
    "crash": "ServerError",
    "field-of-another-type": "JsonSchemaError",
    "field-that-is-not-in-the-schema": "JsonSchemaError",
    "good-request-that-is-refused": "RejectedPositiveData",
    "header-that-is-no-number": "JsonSchemaError",
    "key-that-nobody-checks": "IgnoredAuth",
    "media-type-that-is-not-announced": "UndefinedContentType",
    "status-that-is-not-announced": "UndefinedStatusCode",
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(found: Findings, fault: str) -> None:
    assert f"GET /{fault}" in found.failures[PLANTED[fault]], found.text
    assert not found.is_clean


def test_a_fault_planted_behind_a_link_is_found(found: Findings) -> None:
    assert "UseAfterFree" in found.failures, found.text
    assert "/v1/thing-that-outlives-its-end/1" in found.text


def test_what_is_sound_beside_the_faults_is_not_complained_of(found: Findings) -> None:
    assert not any("GET /sound" in operations for operations in found.failures.values())


def test_it_finds_nothing_in_the_service(sound: Gunicorn, callers: Callers, tmp_path: Path) -> None:
    arguments = ("--phases", "examples,fuzzing,stateful", "--max-examples", "4")
    found = schemathesis(sound.url, tmp_path, *arguments, env=callers.environment)
    assert found.is_clean, found.text
    assert found.cases > 100
    assert " ERROR " not in sound.log()
