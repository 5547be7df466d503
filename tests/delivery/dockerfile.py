"""Reads a Dockerfile as far as its checks need: stages, instructions, and which files reach the image."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    text: str

    @property
    def command(self) -> list[str]:
        """The words of a CMD in exec form, also of the one inside HEALTHCHECK."""
        words: list[str] = json.loads(self.text[self.text.index("[") :])
        return words


def stages(dockerfile: Path) -> list[list[Instruction]]:
    """The instructions of each stage, FROM first."""
    found: list[list[Instruction]] = []
    for instruction in _instructions(dockerfile.read_text()):
        if instruction.name == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def copies_from_context(stage: list[Instruction]) -> list[tuple[list[str], str]]:
    """Sources and target of each COPY that takes files of the checkout."""
    found = []
    for instruction in stage:
        words = shlex.split(instruction.text)
        if instruction.name == "COPY" and not words[0].startswith("--"):
            found.append((words[:-1], words[-1]))
    return found


def is_sent(path: str, dockerignore: Path) -> bool:
    """Whether a path of the checkout is part of the build's context: the last pattern that fits it decides."""
    sent = True
    for line in dockerignore.read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and _fits(path, pattern):
            sent = line.startswith("!")
    return sent


def _fits(path: str, pattern: str) -> bool:
    """A pattern fits what it names and all below; `**/` is any folder, also none."""
    parts = path.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern[3:]) for part in parts)
    return any(fnmatch(folder, pattern) and folder.count("/") == pattern.count("/") for folder in above)


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    for line in joined.splitlines():
        name, rest = line.split(maxsplit=1)
        yield Instruction(name, " ".join(rest.split()))
