"""A page of a list: its items, and the address of the next one with a cursor."""

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode


def next_url(base: str, arguments: Iterable[tuple[str, str]], key: tuple[Any, ...] | None) -> str | None:
    """The address of the page behind `key`; `base` is the request's address without its query."""
    if key is None:
        return None
    cursor = base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")
    return f"{base}?{urlencode([*arguments, ('cursor', cursor)])}"


def page(items: str, url: str | None) -> bytes:
    """The page as JSON, from items that are JSON already."""
    return f'{{"items":{items},"next":{json.dumps(url)}}}'.encode()


def link(url: str | None) -> dict[str, str]:
    """The headers of a page."""
    return {} if url is None else {"Link": f'<{url}>; rel="next"'}
