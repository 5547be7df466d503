"""The files of workers that have ended, gathered into one: a service that renews its workers for months must not read
thousands of files at each look.

The sum is made beside the files that it is of, and takes their place when it is renamed: its name holds a generation,
and a list of what is in it, written before, tells whoever comes after a process that died in between what to remove.
Only one process does this at a time.
"""

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from swagger_server.metrics.room import Reserved

MOST = 8
"""Files of ended workers, of a kind, that are left as they are."""

_KINDS = ("counter", "histogram", "summary")


def merge_ended(folder: Path, living: Container[int]) -> None:
    """Gather the counts of processes that are not `living`, where they have become many.

    OSError where there is no room for that; then they are left as they are.
    """
    for kind in _KINDS:
        _finish(folder, kind)
        ended = [file for file in folder.glob(f"{kind}_*.db") if _process(file) not in living]
        if len(ended) > MOST:
            _merge(folder, kind, ended)
            _finish(folder, kind)


def _process(file: Path) -> int | None:
    """The process whose file it is; None for a sum."""
    name = file.stem.rpartition("_")[2]
    return int(name) if name.isdigit() else None


def _merge(folder: Path, kind: str, files: list[Path]) -> None:
    generation = 1 + max((_generation(file) for file in files), default=0)
    made = folder / f"{kind}_sum.tmp"
    made.unlink(missing_ok=True)
    try:
        _write_sum(made, files)
    except OSError:
        made.unlink(missing_ok=True)
        raise
    parts = [file.name for file in files]
    _list_of(folder, kind, generation).write_text(json.dumps(parts))
    made.rename(folder / f"{kind}_ended-{generation}.db")


def _generation(file: Path) -> int:
    name = file.stem.rpartition("_ended-")[2]
    return int(name) if "_ended-" in file.stem else 0


def _list_of(folder: Path, kind: str, generation: int) -> Path:
    return folder / f"{kind}-{generation}.parts"


def _finish(folder: Path, kind: str) -> None:
    """Remove what the sums hold; a list whose sum was never put in its place says nothing."""
    for listed in folder.glob(f"{kind}-*.parts"):
        generation = listed.stem.rpartition("-")[2]
        if (folder / f"{kind}_ended-{generation}.db").exists():
            for name in json.loads(listed.read_text()):
                (folder / name).unlink(missing_ok=True)
        listed.unlink()


def _write_sum(target: Path, files: list[Path]) -> None:
    merged: Any = MultiProcessCollector.merge([str(file) for file in files], accumulate=False)  # type: ignore[no-untyped-call]
    store: Any = Reserved(str(target))
    try:
        for metric in merged:
            for sample in metric.samples:
                names, told = list(sample.labels), list(sample.labels.values())
                key = mmap_key(metric.name, sample.name, names, told, metric.documentation)
                store.write_value(key, sample.value, 0.0)
    finally:
        store.close()
