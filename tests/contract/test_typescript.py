"""The types that openapi-typescript makes of the spec: a client of another spec does not compile.

That the client compiles with the spec as it is: make check; that it gets what its types promise: make verify.
"""

from pathlib import Path

from tests.contract.verifying import SPEC, compile_client
from tests.support.yaml_file import read_yaml, write_yaml


def test_a_field_whose_type_disagrees_and_one_that_is_gone_do_not_compile(
    node_programs: Path, tmp_path: Path
) -> None:
    spec = read_yaml(SPEC)
    spec["components"]["schemas"]["CityNumber"] = {"type": "string"}
    del spec["components"]["schemas"]["Site"]["properties"]["lat"]
    write_yaml(tmp_path / "spec.yaml", spec)
    compiled = compile_client(tmp_path / "spec.yaml", tmp_path)
    assert compiled.returncode != 0
    assert "Type 'string' is not assignable to type 'number'" in compiled.stdout
    assert "Property 'lat' does not exist on type" in compiled.stdout
