"""The files of the sample data: tab-separated, gzipped, one row a line, a field left empty if unknown.

Owns where they are and how they are read and written; knows nothing of what is in them.
"""

import gzip
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

FOLDER: Traversable = files(__package__) / "data"
_SUFFIX = ".tsv.gz"


def read_rows(name: str) -> Iterator[list[str]]:
    """The rows of the file `name` ("cities"), as they stand there."""
    with (FOLDER / (name + _SUFFIX)).open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n").split("\t")


def write_rows(folder: Path, name: str, rows: Iterable[Iterable[object]]) -> None:
    """Write the file `name`; the same rows give the same bytes, as the time is left out of it."""
    text = "".join("\t".join("" if f is None else str(f) for f in row) + "\n" for row in rows)
    (folder / (name + _SUFFIX)).write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
