"""The pages in docs/ name what exists: commands and links."""

import re
import shlex
from pathlib import Path

import pytest

from swagger_server.cli import _parser
from swagger_server.cli import serve as serve_command
from tests.support.process import CHECKOUT

PAGES = sorted((CHECKOUT / "docs").glob("*.md"))
COMMAND = re.compile(r"python -m swagger_server ([^`)\n]*)")


def commands(page: Path) -> list[list[str]]:
    """The arguments of each command of ours that a page shows."""
    return [shlex.split(text, comments=True) for text in COMMAND.findall(page.read_text())]


@pytest.mark.parametrize("page", [*PAGES, CHECKOUT / "README.md"], ids=lambda page: page.name)
def test_every_command_parses(page: Path):
    shown = commands(page)
    assert shown
    for words in shown:
        # argparse leaves with SystemExit, and pytest shows what it had to say.
        arguments, rest = _parser().parse_known_args(words)
        assert rest == [] or arguments.command is serve_command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert [target for target in linked if not (page.parent / target).exists()] == []
    assert f"docs/{page.name}" in (CHECKOUT / "README.md").read_text()
