"""`/metrics`: everything that was counted, by all workers of the service, also those that have ended.

Each worker writes its numbers into files in the service's folder, mapped into its memory: what it has counted
survives it, however it ends. Any worker can read them all. The gauges of a worker that lives no longer are removed.
"""

import logging
import os
from collections.abc import Callable, Iterable

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from swagger_server import __version__
from swagger_server.metrics import room
from swagger_server.metrics.definitions import WORKERS
from swagger_server.metrics.ended import merge_ended
from swagger_server.metrics.pools import PoolMetrics
from swagger_server.metrics.requests import RequestMetrics
from swagger_server.pool import ConnectionPool
from swagger_server.runtime import Folder

log = logging.getLogger(__name__)

PATH = "/metrics"

_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
"""The files that a process has, for the definitions' metrics."""

_ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The metrics of this process, and the page of those of all processes in `folder`.

    To be made before anything that defines metrics of its own through prometheus_client: those are then shown, too.
    """

    def __init__(self, folder: Folder, pools: Callable[[], Iterable[ConnectionPool]]) -> None:
        self._folder = folder
        self._pools = PoolMetrics(pools)
        self.observe = RequestMetrics().observe
        self._has_warned = False
        folder.enter()
        _share_values(folder)

    def start(self, folder: Folder) -> None:
        """In a worker, before its first request; `folder` is another one where the worker is another user's.

        OSError where nothing can be kept in it.
        """
        self._folder = folder
        folder.enter()
        for kind in _KINDS:
            room.reserve(folder.path / f"{kind}_{os.getpid()}.db")
        _share_values(folder)
        WORKERS.labels(__version__).set(1)
        self._pools.publish()

    def publish(self) -> None:
        """Bring what the pools count up to date: once a second, and before they are closed."""
        self._pools.publish()
        if not self._has_warned and (missing := room.shortage()):
            self._has_warned = True
            log.warning("/metrics does not show what is new since there is no room for it: %s", missing)

    def blueprint(self) -> Blueprint:
        """The page. It reads some files and waits for nothing else."""
        page = Blueprint("metrics", __name__)

        @page.get(PATH)
        def show() -> Response:
            self.publish()
            return Response(
                self._render(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
            )

        return page

    def _render(self) -> bytes:
        registry = CollectorRegistry()
        # One at a time: another one's removal of files must not come between finding and reading them.
        with self._folder.alone():
            self._forget_ended()
            MultiProcessCollector(registry, str(self._folder.path))  # type: ignore[no-untyped-call]
            return generate_latest(registry)

    def _forget_ended(self) -> None:
        self._folder.forget_ended()
        living = set(self._folder.living())
        for pid in _written_by(self._folder) - living:
            mark_process_dead(pid, str(self._folder.path))  # type: ignore[no-untyped-call]
        try:
            merge_ended(self._folder.path, living)
        except OSError as exc:  # the disk is full: more files are to be read
            log.debug("the counts of ended workers stay in their files: %s", exc)


def _written_by(folder: Folder) -> set[int]:
    """The processes that have gauges in the folder."""
    names = (file.stem.rpartition("_")[2] for file in folder.path.glob("gauge_live*_*.db"))
    return {int(name) for name in names if name.isdigit()}


def _share_values(folder: Folder) -> None:
    """Have the library keep all values in files of `folder`, from now on.

    It decides that when it is imported, by the variable, which nobody could have set then.
    """
    os.environ[_ENVIRONMENT] = str(folder.path)
    if not getattr(values.ValueClass, "_multiprocess", False):
        values.MmapedDict = room.AsFarAsThereIsRoom  # type: ignore[attr-defined]
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
