"""Imports point down only, and what is reusable does not know about places."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "swagger_server"

# From the top of the house to its foundation. A module imports from its own floor or from those below.
FLOORS = [
    {"wsgi", "__main__", "cli"},
    {"startup", "gunicorn_settings"},
    {"app", "site", "prepare", "capacity", "compare"},
    {"edge", "health", "controllers", "pool_page"},
    {"bulk", "idempotency", "paging", "preconditions", "security"},
    {"problems", "queries"},
    {"db", "encoder", "key_store", "sample", "embedded"},
    {
        "session",
        "serving",
        "affinity",
        "log",
        "schema",
        "rows",
        "cooperation",
        "orphans",
        "budgets",
        "metrics",
        "rate_limits",
        "worker_user",
    },
    {"pool", "config", "under_way", "request_id", "paths", "search_key", "prepared", "position", "spec_file"},
    {
        "timings",
        "cancellation",
        "runtime",
        "pulse",
        "our_gunicorn",
        "courtesy",
        "records",
        "allocation",
        "deferred",
    },
]

PLACES = {"__main__", "cli", "wsgi", "startup", "gunicorn_settings", "site", "prepare", "paths"} | {
    "controllers",
    "queries",
    "sample",
    "search_key",
}
"""What may know about places, or brings in what does; everything else serves any spec and any tables."""

FOREIGN = {
    "pool": {"psycopg2"},
    "compare": {"psycopg2"},
    "session": {"psycopg2"},
    "prepared": {"psycopg2"},
    "position": {"psycopg2"},
    "key_store": {"psycopg2"},
}
"""Modules that may import nothing but the standard library, their own package and these."""


def floor_of(module: str) -> int:
    (floor,) = [number for number, modules in enumerate(FLOORS) if module in modules]
    return floor


def modules() -> dict[str, list[Path]]:
    """The files of each module or package directly below swagger_server."""
    found: dict[str, list[Path]] = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            found.setdefault(parts[0], []).append(file)
    return found


def imports(file: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it; relative ones stay in their own package."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """The other modules of the package that this one imports."""
    names = {name.split(".")[1] for file in modules()[module] for name in imports(file) if is_own(name)}
    return names - {module, "__version__"}


def is_own(name: str) -> bool:
    return name.startswith("swagger_server.")


def test_every_module_has_a_floor():
    assert sorted(modules()) == sorted(set().union(*FLOORS))


def test_imports_point_down_only():
    upwards = {
        f"{module} -> {imported}"
        for module in modules()
        for imported in own_imports(module)
        if floor_of(imported) < floor_of(module)
    }
    assert upwards == set()


def test_what_is_reusable_does_not_know_about_places():
    guilty = {module: own_imports(module) & PLACES for module in modules() if module not in PLACES}
    assert {module: known for module, known in guilty.items() if known} == {}


def test_the_pool_stands_alone():
    assert own_imports("pool") == set()


def test_the_edge_knows_neither_the_database_nor_its_positions():
    assert own_imports("edge") == {"config", "problems", "rate_limits", "request_id", "serving"}


def test_serving_knows_neither_the_database_nor_the_settings():
    assert own_imports("serving") == {"under_way"}


def test_the_foundation_imports_only_what_it_says():
    import sys

    for module, allowed in FOREIGN.items():
        tops = {name.split(".")[0] for file in modules()[module] for name in imports(file)}
        assert tops - set(sys.stdlib_module_names) - {"swagger_server"} == allowed


def test_the_command_line_starts_without_a_web_framework():
    import subprocess
    import sys

    loaded = (
        "import sys, swagger_server.cli; print(sorted({'connexion', 'flask', 'werkzeug'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=PACKAGE.parent, text=True) == "[]\n"
