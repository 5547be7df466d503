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
from urllib.parse import quote, urlencode

from flask import Request, Response, request

from swagger_server.encoder import json_response
from swagger_server.problems import BadRequest
from swagger_server.rows import Key, Page

_NO_TEXT = re.compile("[\0\ud800-\udfff]")

_NOT_OF_THE_LIST = frozenset({"cursor", "limit"})

_SAFE = "!$&'()*+,/:;=@"
"""Characters of a path that stand for themselves (RFC 3986), and its slashes."""

Arguments = list[tuple[str, str]]
"""The query string's parameters, in their order."""


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
    asked = _asked()
    if (
        mark != _mark(asked, _arguments(asked))
        or [type(value) for value in key] != list(types)
        or not all(map(_is_storable, key))
    ):
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


def _mark(asked: Request, arguments: Arguments) -> str:
    filters = sorted(pair for pair in arguments if pair[0] not in _NOT_OF_THE_LIST)
    return hashlib.blake2s(json.dumps([asked.path, filters]).encode(), digest_size=6).hexdigest()


def _arguments(asked: Request) -> Arguments:
    return list(asked.args.items(multi=True))


def _url(key: Key) -> str:
    asked = _asked()
    arguments = _arguments(asked)
    raw = json.dumps([_mark(asked, arguments), *key], separators=(",", ":")).encode()
    cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    kept = [pair for pair in arguments if pair[0] != "cursor"]
    path = quote(f"{asked.root_path}{asked.path}", safe=_SAFE)
    # Not Flask's base_url: that is for people to read, with what is not ASCII as it is.
    return f"{asked.scheme}://{asked.host}{path}?{urlencode([*kept, ('cursor', cursor)])}"


def _asked() -> Request:
    """The request itself: each look through Flask's proxy costs as much as what it shows."""
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    return asked
