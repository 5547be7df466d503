"""Making requests by hand, in few words."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.serving.sides import Call

Part = tuple[str, str | None, bytes, str | None]
"""Of a multipart body: its name, file name, content and type."""


def get(target: str, method: str = "GET", root_path: str = "", **headers: str) -> Call:
    return Call(method, target, _headers(headers), root_path=root_path)


def send(target: str, body: bytes, kind: str | None, method: str = "POST", **headers: str) -> Call:
    typed = _headers(headers) if kind is None else (("Content-Type", kind), *_headers(headers))
    return Call(method, target, typed, body)


def send_json(target: str, value: Any, method: str = "POST") -> Call:
    return send(target, json.dumps(value).encode(), "application/json", method)


def send_form(target: str, *fields: tuple[str, str]) -> Call:
    return send(target, urlencode(fields).encode(), "application/x-www-form-urlencoded")


def send_parts(target: str, *parts: Part, boundary: str = "boundary") -> Call:
    body = b"".join(_part(part, boundary) for part in parts) + f"--{boundary}--\r\n".encode()
    return send(target, body, f"multipart/form-data; boundary={boundary}")


def _part(part: Part, boundary: str) -> bytes:
    name, filename, content, kind = part
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind is not None else ""
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"


def _headers(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in headers.items())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def gets(base: str, *targets: str) -> Iterator[Call]:
    return (get(base + target) for target in targets)


@dataclass(frozen=True)
class Group:
    """Calls of one kind to one API."""

    name: str
    calls: tuple[Call, ...]

    def __str__(self) -> str:
        return self.name


def groups(bases: Iterable[str], *makers: Callable[[str], Iterable[Call]]) -> Iterator[Group]:
    for make in makers:
        for base in bases:
            yield Group(f"{make.__name__.strip('_')} of {base}", tuple(dict.fromkeys(make(base))))


_LENIENT, _STRICT = "/gallery", "/strict"
