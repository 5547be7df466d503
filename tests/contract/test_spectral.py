"""spectral, with OpenAPI's rules and OWASP's, finds what is planted in the spec. That the spec has none: make check."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.contract.verifying import SPEC, spectral
from tests.support.process import CHECKOUT
from tests.support.yaml_file import read_yaml, write_yaml


def _plant(spec: dict[str, Any]) -> None:
    paths, components = spec["paths"], spec["components"]
    del paths["/sites/{id}"]["get"]["responses"]["401"]
    del paths["/sites"]["post"]["security"]
    del paths["/cities"]["get"]["responses"]["429"]
    paths["/sites/nearest"]["get"]["security"] = []
    del components["schemas"]["Name"]["maxLength"]
    del components["schemas"]["AlternateNames"]["maxItems"]
    components["schemas"]["CityNumber"]["type"] = "string"
    components["securitySchemes"]["apiKey"]["in"] = "query"
    paths["/stores/{id}"] = {"get": paths["/cities/{id}"]["get"]}


@pytest.fixture(scope="module")
def broken(node_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """The rules that the spec breaks with all faults in it, and where."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copy(CHECKOUT / ".spectral.yaml", folder)
    (folder / "node_modules").symlink_to(CHECKOUT / "node_modules")
    spec = read_yaml(SPEC)
    _plant(spec)
    write_yaml(folder / SPEC.name, spec)
    return spectral(folder / SPEC.name)


PLANTED = {
    "an operation without a 401": ("owasp:api8:2023-define-error-responses-401", "paths./sites/{id}.get"),
    "a write that asks nobody": ("owasp:api2:2023-write-restricted", "paths./sites.post"),
    "a read that asks nobody": ("owasp:api2:2023-read-restricted", "paths./sites/nearest.get"),
    "an operation without a 429": ("owasp:api4:2023-rate-limit-responses-429", "paths./cities.get"),
    "a text without an end": ("owasp:api4:2023-string-limit", "components.schemas.Name"),
    "a list without an end": ("owasp:api4:2023-array-limit", "components.schemas.AlternateNames"),
    "a key in the address": ("owasp:api2:2023-no-api-keys-in-url", "components.securitySchemes.apiKey"),
    "an example of another type": ("oas3-valid-media-example", "paths./cities.get"),
    "a new path that nobody has thought of": ("owasp:api2:2023-read-restricted", "paths./stores/{id}.get"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(broken: set[tuple[str, str]], fault: str) -> None:
    rule, place = PLANTED[fault]
    assert [where for code, where in broken if code == rule and where.startswith(place)], sorted(broken)


def test_what_is_excepted_is_not_found(broken: set[tuple[str, str]]) -> None:
    assert not [
        code for code, where in broken if code.startswith("owasp:") and where.startswith("paths./countries")
    ]
