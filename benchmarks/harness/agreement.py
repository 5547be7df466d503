"""Before anything is measured: all services answer alike, and carry the same load."""

import http.client
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.services import FLOOR, Fleet, Service
from benchmarks.harness.workloads import Request, Workload

_ORIGIN = "https://app.example"
_ID = "an-id-of-the-client"


def check(fleet: Fleet, services: Sequence[Service], workload: Workload) -> None:
    """Compare every answer with that of the first service; BenchmarkError names the first that differs.

    Answers are compared as JSON values. Of a page only the items: each framework writes its cursor its own way,
    so that of `next` it only counts whether there is one. Of a 400 only the status, and of a write that it
    answers with a number.
    """
    able = [service for service in services if service.commands and workload.name not in service.lacks]
    expected = [_ask(fleet, able[0], workload, request) for request in workload.requests] if able else []
    for service in able[1:]:
        for request, wanted in zip(workload.requests, expected, strict=True):
            got = _ask(fleet, service, workload, request)
            if got != wanted:
                raise BenchmarkError(
                    f"{service.name} answers {request.path} differently:\n{got}\nnot\n{wanted}"
                )


def _ask(fleet: Fleet, service: Service, workload: Workload, request: Request) -> Any:
    """The comparable part of the answer."""
    address = urlsplit(fleet.get(service, workload.part).url).netloc
    connection = http.client.HTTPConnection(address, timeout=30)
    headers = {"Origin": _ORIGIN, "X-Request-ID": _ID, "Content-Type": "application/json"}
    connection.request(request.method, request.path, request.body or None, headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    where = f"{service.name}, {request.path}"
    if answer.status != workload.status:
        raise BenchmarkError(f"{where}: {answer.status} instead of {workload.status}: {body[:500]!r}")
    if service.name != FLOOR:
        _check_headers(where, answer)
    return _comparable(workload, json.loads(body))


def _check_headers(where: str, answer: http.client.HTTPResponse) -> None:
    if answer.headers["Access-Control-Allow-Origin"] not in ("*", _ORIGIN):
        raise BenchmarkError(f"{where}: no CORS headers")
    if answer.headers["X-Request-ID"] != _ID:
        raise BenchmarkError(f"{where}: the request id is not taken over")


def _comparable(workload: Workload, value: Any) -> Any:
    if workload.status == 400:
        return None
    if workload.status == 201:
        return type(value["number"])
    if "items" in value:
        return value["items"], bool(value["next"])
    return value
