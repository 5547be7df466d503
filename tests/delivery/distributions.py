"""What pip would install, told from what is installed here."""

import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(wanted: Iterable[str]) -> set[str]:
    """The distributions that `pip install WANTED` brings: those that are named, and those they need in turn."""
    waiting = [Requirement(text) for text in wanted]
    waiting = [requirement for requirement in waiting if _applies(requirement, set())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            further = [Requirement(text) for text in metadata.requires(requirement.name) or []]
            waiting += [need for need in further if _applies(need, requirement.extras)]
    return {name for name, _ in seen}


def link(name: str, packages: Path) -> None:
    """Install in the site-packages `packages` what is installed here, as links to the same files."""
    for file in metadata.files(name) or []:
        target = Path(os.path.normpath(packages / file))
        if target.is_relative_to(packages) and "__pycache__" not in target.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file.locate())
    for command in metadata.distribution(name).entry_points.select(group="console_scripts"):
        _write_script(packages.parents[2] / "bin" / command.name, command)


def _write_script(path: Path, command: metadata.EntryPoint) -> None:
    path.write_text(
        f"#!{path.with_name('python')}\nfrom {command.module} import {command.attr}\n{command.attr}()\n"
    )
    path.chmod(0o755)


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})
