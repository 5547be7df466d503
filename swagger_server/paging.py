"""Pages over HTTP: the opaque cursor, and the answer with its link to the next page.

A cursor holds the key of the last item shown and a mark of the list that it belongs to: the path and the
filters. It is no secret; a forged one can only start a page elsewhere in the same list.
"""

import base64
import binascii
import hashlib
import json
import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus

from flask import Response, request
from werkzeug.sansio.utils import get_host

from swagger_server import under_way
from swagger_server.encoder import json_response
from swagger_server.problems import BadRequest
from swagger_server.rows import Key, Page
from swagger_server.serving import Request

_NO_TEXT = re.compile("[\0\ud800-\udfff]")

_SAFE = "!$&'()*+,/:;=@"
"""Characters of a path that stand for themselves (RFC 3986), and its slashes."""

_PLAIN = re.compile("[A-Za-z0-9_.~-]*")
"""What quote_plus would leave as it is; to find that out here takes a fifth of the time."""

_PLAIN_QUERY = re.compile(rb"[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~+-]*(&[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~+-]*)*")
"""A query string that would come out as it is when it is taken apart and put together again."""

_compact = json.JSONEncoder(separators=(",", ":")).encode

Arguments = list[tuple[str, str]]
"""The query string's parameters but for the cursor, in their order: the name, and all of it as it is in a URL."""


class _Asked(NamedTuple):
    """The address that was asked for, in its parts."""

    scheme: str
    host: str
    root_path: str
    path: str
    query_string: bytes


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


def _arguments(asked: _Asked) -> Arguments:
    if _PLAIN_QUERY.fullmatch(asked.query_string):
        pieces = [(piece.partition("=")[0], piece) for piece in asked.query_string.decode().split("&")]
        return [each for each in pieces if each[0] != "cursor"]
    # As Flask's request.args: what is not UTF-8 stays percent-encoded.
    text = asked.query_string.decode(errors="replace")
    pairs = parse_qsl(text, keep_blank_values=True, errors="werkzeug.url_quote")
    return [(name, f"{_quoted(name)}={_quoted(value)}") for name, value in pairs if name != "cursor"]


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote_plus(text)


def _mark(asked: _Asked, arguments: Arguments) -> str:
    filters = sorted(text for name, text in arguments if name != "limit")
    return hashlib.blake2s("&".join([asked.path, *filters]).encode(), digest_size=6).hexdigest()


def _url(key: Key) -> str:
    asked = _asked()
    arguments = _arguments(asked)
    raw = _compact([_mark(asked, arguments), *key]).encode()
    cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    path = quote(asked.root_path + asked.path, safe=_SAFE)
    return f"{asked.scheme}://{asked.host}{path}?{'&'.join([*(text for _, text in arguments), f'cursor={cursor}'])}"


_host = lru_cache(maxsize=256)(get_host)


def _asked() -> _Asked:
    """What is asked for, without Flask's request where nobody has looked at it: that is only made then."""
    current = under_way.current.get()
    if not isinstance(current, Request):
        return _Asked(request.scheme, request.host, request.root_path, request.path, request.query_string)
    scope = current.scope
    server = scope.get("server")
    host = _host(scope["scheme"], current.header("host"), server and tuple(server))  # ASGI allows a list
    return _Asked(scope["scheme"], host, current.root_path, current.path_in_app, scope["query_string"])
