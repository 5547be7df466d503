"""Pages over HTTP: the opaque cursor, and the answer with its link to the next page.

A cursor holds the key of the last item shown and a mark of the list that it belongs to: the path and the
filters. It is no secret; a forged one can only start a page elsewhere in the same list.
"""

import base64
import binascii
import hashlib
import json
import re
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from swagger_server.encoder import json_response
from swagger_server.problems import BadRequest
from swagger_server.rows import Key, Page

_NO_TEXT = re.compile("[\0\ud800-\udfff]")

_NOT_OF_THE_LIST = frozenset({"cursor", "limit"})


def after(cursor: str | None, *types: type) -> Key | None:
    """The key in a cursor of the list that the request asks for; None without a cursor.

    `types` are those of the key's values. BadRequest for a cursor that is not ours or of another list.
    """
    if cursor is None:
        return None
    try:
        mark, *key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, TypeError):
        raise _refused() from None
    if mark != _mark() or [type(value) for value in key] != list(types) or not all(map(_is_storable, key)):
        raise _refused()
    return tuple(key)


def _is_storable(value: Any) -> bool:
    """Whether PostgreSQL can have the value: its text knows neither NUL nor half a surrogate pair."""
    return not isinstance(value, str) or not _NO_TEXT.search(value)


def page_response(page: Page) -> Response:
    """The page as `{"items": [...], "next": URL or null}`, the URL in a Link header too."""
    url = None if page.after is None else _url(page.after)
    headers = {} if url is None else {"Link": f'<{url}>; rel="next"'}
    return json_response(f'{{"items":{page.items},"next":{json.dumps(url)}}}', headers=headers)


def _refused() -> BadRequest:
    return BadRequest("The cursor is not of this list. Take it from the next link of a page of this list.")


def _mark() -> str:
    filters = sorted((name, value) for name, value in _arguments() if name not in _NOT_OF_THE_LIST)
    return hashlib.blake2s(json.dumps([request.path, filters]).encode(), digest_size=6).hexdigest()


def _arguments() -> list[tuple[str, str]]:
    return list(request.args.items(multi=True))


def _url(key: Key) -> str:
    raw = json.dumps([_mark(), *key], separators=(",", ":")).encode()
    cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    kept = [(name, value) for name, value in _arguments() if name != "cursor"]
    return f"{request.base_url}?{urlencode([*kept, ('cursor', cursor)])}"
