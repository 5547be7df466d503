"""Takes files of any size and says what has come."""

import hashlib
from typing import Any, BinaryIO, cast

from flask import request

_stored: list[str] = []

fails: list[Exception] = []
"""What the next runs raise once they have read the file."""


looked_up: list[str] = []
"""The keys that were, one by one."""


def check_key(key: str) -> dict[str, Any] | None:
    looked_up.append(key)
    owner = {"right": "ada", "bobs": "bob"}.get(key)
    return None if owner is None else {"sub": owner}


def store(name: str, copies: int) -> dict[str, Any]:
    file = cast(BinaryIO, request.stream)
    found = _described(file)
    if fails:
        raise fails.pop()
    file.seek(0)
    assert _described(file) == found
    _stored.append(name)
    return {"copies": copies, "type": request.content_type, "length": request.content_length, **found}


def _described(file: BinaryIO) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while piece := file.read(65_536):
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def store_small(body: dict[str, Any]) -> dict[str, Any]:
    return {"members": len(body)}


def runs() -> int:
    return len(_stored)
