"""A spec is read as Connexion reads it, and what only Connexion understands is left to it."""

from pathlib import Path

import pytest
from connexion.spec import Specification
from yaml import YAMLError

from swagger_server.paths import SPEC
from swagger_server.spec_file import read_spec

SECOND = Path(__file__).parents[1] / "second_spec" / "openapi.yaml"


@pytest.mark.parametrize("path", [SPEC, SECOND], ids=["places", "second"])
def test_it_is_what_connexion_reads(path: Path):
    read = read_spec(path)
    assert isinstance(read, dict)
    assert Specification.load(read).raw == Specification.load(path).raw


@pytest.mark.parametrize(
    "text",
    [
        "info: {title: '{{ title }}'}",
        "a: 1\n{% if b %}c: 2{% endif %}",
        "{# a comment #}\na: 1",
        "a: {$ref: other.yaml#/a}",
        "a:\n  '$ref': './other.yaml'",
        '{"a": {"$ref":"https://elsewhere.example/spec.json"}}',
        "- no mapping",
    ],
)
def test_what_only_connexion_understands_is_left_to_it(tmp_path: Path, text: str):
    path = tmp_path / "openapi.yaml"
    path.write_text(text)
    assert read_spec(path) == "openapi.yaml"


def test_a_reference_within_the_file_is_none_to_another(tmp_path: Path):
    path = tmp_path / "openapi.yaml"
    path.write_text("a: {$ref: '#/b'}\nb: {'$ref': \"#/c\"}\nc: {\"$ref\": '#/a'}")
    assert read_spec(path) == {"a": {"$ref": "#/b"}, "b": {"$ref": "#/c"}, "c": {"$ref": "#/a"}}


def test_what_is_no_yaml_is_said(tmp_path: Path):
    path = tmp_path / "openapi.yaml"
    path.write_text("a: [")
    with pytest.raises(YAMLError):
        read_spec(path)
