"""The page and its JSON. For the people who run the service: it names operations and request ids."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory

from swagger_server.encoder import json_response
from swagger_server.pool import ConnectionPool
from swagger_server.pool_page import snapshot
from swagger_server.pool_page.colleagues import Colleagues
from swagger_server.pool_page.history import History, together
from swagger_server.pool_page.snapshot import Picture

PATHS = ("/pool", "/pool.json")
"""What is to be answered while everything else waits."""

_FILES = Path(__file__).parent

_POLICY = (
    "default-src 'self'",
    "img-src data:",  # the icon, which is none
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
)

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "; ".join(_POLICY),
}

_SUMS = ("max", "in_use", "idle", "cleaning", "opening", "waiting")


class PoolPage:
    """The page for the pools of all processes in the folder that `start` is given; `pools` are those of this one."""

    def __init__(
        self,
        pools: Callable[[], Iterable[ConnectionPool]],
        queued: Callable[[], Iterable[snapshot.Queued]],
    ) -> None:
        """`queued` are the requests that wait for a thread."""
        self._pools = pools
        self._queued = queued
        self._history = History()
        self._colleagues = Colleagues(self._picture)
        self.start = self._colleagues.start
        self.stop = self._colleagues.stop

    def _picture(self) -> Picture:
        return snapshot.take(self._pools(), self._queued(), self._history)

    def remember(self) -> None:
        """Once a second: note how the pools of this process stand."""
        for pool in self._pools():
            self._history.remember(pool.stats())

    def blueprint(self) -> Blueprint:
        """`/pool` (a page, or JSON for programs), `/pool.json`, and the page's own files."""
        page = Blueprint("pool_page", __name__)

        @page.get("/pool")
        def show() -> Response:
            wanted = request.accept_mimetypes.best_match(["application/json", "text/html"])
            answer = _file("page.html") if wanted == "text/html" else self._answer()
            answer.vary.add("Accept")
            return answer

        @page.get("/pool.json")
        def tell() -> Response:
            return self._answer()

        @page.get("/pool/<any('page.js', 'page.css'):name>")
        def file(name: str) -> Response:
            return _file(name)

        return page

    def _answer(self) -> Response:
        workers, silent = self._colleagues.ask()
        return json_response(_all_together(workers, silent, time.time()), headers=_HEADERS)


def _file(name: str) -> Response:
    answer = send_from_directory(_FILES, name)
    answer.headers.update(_HEADERS)
    return answer


def _all_together(workers: list[Picture], silent: list[int], now: float) -> Picture:
    """The pools summed over the workers, and the workers one by one."""
    names = list(dict.fromkeys(pool["name"] for worker in workers for pool in worker["pools"]))
    told = {
        name: [pool for worker in workers for pool in worker["pools"] if pool["name"] == name]
        for name in names
    }
    return {
        "at": round(now, 3),
        "silent": silent,
        "pools": [_summed(name, parts, int(now)) for name, parts in told.items()],
        "workers": [_without_history(worker) for worker in workers],
    }


def _summed(name: str, parts: list[Picture], now: int) -> Picture:
    sums = {key: sum(part[key] for part in parts) for key in _SUMS}
    down = any(part["down"] for part in parts)
    return {"name": name, **sums, "down": down, "history": together((part["history"] for part in parts), now)}


def _without_history(worker: Picture) -> Picture:
    pools = [{key: value for key, value in pool.items() if key != "history"} for pool in worker["pools"]]
    return {**worker, "pools": pools}
