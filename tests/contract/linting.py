"""Answers as they come over the wire, and what httplint, REDbot's linter, has to say of their headers."""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

_SAID_ON_PURPOSE = {
    # That a request was bad is what a 400 is to say.
    "STATUS_BAD_REQUEST",
}


class Exchange:
    """A request on a connection of its own, and the bytes that answered it."""

    def __init__(
        self, url: str, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.method, self.target = method, target
        place = urlsplit(url)
        sent = {"Host": place.netloc, "User-Agent": "tests", "Connection": "close", **(headers or {})}
        if body:
            sent["Content-Length"] = str(len(body))
        self.sent = [(name.encode(), value.encode()) for name, value in sent.items()]
        head = b"".join(b"%s: %s\r\n" % pair for pair in self.sent)
        with socket.create_connection((place.hostname or "", place.port or 80), timeout=30) as client:
            client.sendall(f"{method} {target} HTTP/1.1\r\n".encode() + head + b"\r\n" + body)
            raw = b"".join(iter(lambda: client.recv(65536), b""))
        first, _, rest = raw.partition(b"\r\n")
        fields, _, self.content = rest.partition(b"\r\n\r\n")
        self.version, status, self.phrase = first.split(b" ", 2)
        self.status = int(status)
        self.fields = [_field(line) for line in fields.split(b"\r\n")]

    def header(self, name: str) -> str | None:
        """The value of a header, or None."""
        return next((value.decode() for key, value in self.fields if key.decode().lower() == name), None)

    def faults(self) -> list[str]:
        """What is wrong with the answer: notes of the levels bad and warning, by their names."""
        request = HttpRequestLinter()
        request.process_request_topline(self.method.encode(), self.target.encode(), b"1.1")
        request.process_headers(self.sent)
        # The answer to a HEAD has a length and no body.
        linter = HttpResponseLinter(no_content=self.method == "HEAD")
        linter.request = request
        linter.process_response_topline(
            self.version.removeprefix(b"HTTP/"), str(self.status).encode(), self.phrase
        )
        linter.process_headers(self.fields)
        linter.feed_content(_unchunked(self.content) if self.header("transfer-encoding") else self.content)
        linter.finish_content(True)
        notes = [(type(note).__name__, note) for note in linter.notes]
        return [
            f"{name}: {note.summary}"
            for name, note in notes
            if note.level in (levels.BAD, levels.WARN) and name not in _SAID_ON_PURPOSE
        ]


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip()


def _unchunked(content: bytes) -> bytes:
    whole = b""
    while content:
        size, _, content = content.partition(b"\r\n")
        length = int(size, 16)
        whole, content = whole + content[:length], content[length + 2 :]
    return whole
