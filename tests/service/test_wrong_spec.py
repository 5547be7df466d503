"""A spec that cannot be used ends the start with one line, which says where and what is wrong."""

import re
from pathlib import Path

import pytest

from tests.support.process import run_gunicorn

SPEC = """
openapi: 3.0.3
info: {title: Till, version: 1.0.0}
paths:
  /till:
    get:
      operationId: till.open
      parameters: [{name: n, in: query, schema: {type: integer}}]
      responses: {'200': {description: Open}}
"""

WSGI = """
from pathlib import Path

from swagger_server.startup import load_application

application = load_application(Path(__file__).with_name("openapi.yaml"))
"""

NOBODY = {"POSTGRES_URL": "127.0.0.1", "POSTGRES_PORT": "1", "POSTGRES_USER": "me", "POSTGRES_DB": "till"}


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("paths:", "path:", "$: 'paths' is a required property"),
        (
            "{type: integer}",
            "{type: integr}",
            "$.paths['/till'].get.parameters[0].schema.type: 'integr' is not one of"
            " ['array', 'boolean', 'integer', 'number', 'object', 'string']",
        ),
        ("in: query, ", "", "$.paths['/till'].get.parameters[0]: 'in' is a required property"),
        (
            "{description: Open}",
            "{}",
            "$.paths['/till'].get.responses['200']: 'description' is a required property",
        ),
        ("till.open", "till.opn", "module 'till' has no attribute 'opn'"),
    ],
)
def test_a_wrong_spec_is_told_by_place_and_fault(tmp_path: Path, right: str, wrong: str, line: str):
    spec = tmp_path / "openapi.yaml"
    spec.write_text(SPEC.replace(right, wrong))
    (tmp_path / "till.py").write_text("def open(n=0): ...\n")
    (tmp_path / "service.py").write_text(WSGI)
    done = run_gunicorn("-w", "1", "--pythonpath", str(tmp_path), app="service", env=NOBODY)
    assert re.findall("^swagger_server: .*$", done.stderr, re.MULTILINE) == [
        f"swagger_server: {spec}: {line}"
    ]
