"""Validators and lifetimes for what was read: ETag, Cache-Control, and 304 when nothing changed."""

import hashlib

from werkzeug.http import is_resource_modified

from swagger_server.serving import Request, Response

_KEPT_BY_304 = frozenset({"cache-control", "content-location", "date", "etag", "expires", "link", "vary"})
"""What a 304 repeats of the 200 that it stands for (RFC 9110, section 15.4.5), and Link."""


class Caching:
    """`seconds` is how long an answer may be reused without asking; after that its ETag is asked for."""

    def __init__(self, seconds: int) -> None:
        self._lifetime = f"max-age={seconds}"

    def complete(self, request: Request, response: Response) -> None:
        """Give the answer to a successful GET the ETag and Cache-Control that it does not have yet."""
        whole = response.whole
        if response.status != 200 or whole is None:
            return
        if response.header("etag") is None:
            # Weak: the same tag stands for the plain and the compressed body.
            response.set_header("ETag", f'W/"{hashlib.blake2b(whole, digest_size=12).hexdigest()}"')
        if response.header("cache-control") is None:
            scope = "private" if request.header("authorization") or request.header("cookie") else "public"
            response.set_header("Cache-Control", f"{scope}, {self._lifetime}")


def answer_not_modified(request: Request, response: Response) -> bool:
    """Make the answer a 304 if the client says that it has it; whether it did."""
    etag = response.header("etag")
    if response.status != 200 or etag is None or is_resource_modified(request.environ, etag=etag):
        return False
    response.status = 304
    response.headers = [(name, value) for name, value in response.headers if name.lower() in _KEPT_BY_304]
    response.body = []
    return True
