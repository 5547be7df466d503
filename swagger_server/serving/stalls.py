"""A watch over the streams that are being sent: a client that takes nothing of its own for too long is cut off.

It would hold what the stream holds, a connection to the database say, until its socket ends. What counts is what the
kernel has of the answer and could not yet deliver (TIOCOUTQ): while that changes, or is nothing, the client is not what
is waited for. So one that reads slowly keeps its stream, and so does one that waits for us. How slowly depends on the
client's kernel: one whose buffer was full takes more only once a good part of it has been read, which is a megabyte or
more behind a fast start. So the time must be long.
"""

import asyncio
import fcntl
import logging
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

log = logging.getLogger(__name__)

_LOOKS = 10
"""In the time that a client has."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket whose end is a reset: nobody is to take what has come for the whole answer."""


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Stalls:
    """Cuts off a client that takes nothing of its stream for `seconds` (0: never). One thread, or the loop, looks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._interval = min(max(seconds / _LOOKS, 0.05), 1.0)
        self._watched: dict[object, tuple[socket.socket, _Undelivered]] = {}
        self._watch: threading.Thread | None = None
        self._ending = threading.Lock()

    def begin(self, sock: socket.socket | None) -> Callable[[], None]:
        """Watch the socket of a WSGI server until the result is called; sending to it then raises OSError."""
        if not self._seconds or sock is None:
            return _nothing
        stream = object()
        self._watched[stream] = sock, _Undelivered(sock)
        if self._watch is None or not self._watch.is_alive():
            # Not in __init__: a thread would not survive the fork of a preloaded application.
            self._watch = threading.Thread(target=self._look_after_all, name="stalls", daemon=True)
            self._watch.start()

        def end() -> None:
            # Not while it is cut off: by then its descriptor may be another's.
            with self._ending:
                self._watched.pop(stream, None)

        return end

    def _look_after_all(self) -> None:
        while True:
            time.sleep(self._interval)
            for stream, (sock, undelivered) in list(self._watched.items()):
                if undelivered.seconds() >= self._seconds:
                    self._cut(stream, sock)

    def _cut(self, stream: object, sock: socket.socket) -> None:
        with self._ending:
            if not self._watched.pop(stream, None):
                return
            # Through another object for it: to gevent's own, and to ssl's, a shutdown is more than that.
            with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as same:
                _reset_at_end(same)
                same.shutdown(socket.SHUT_RDWR)
        self._tell()

    @contextmanager
    def over(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """On the loop: watch the transport while the block lasts. Its server hears of a lost connection."""
        sock = transport.get_extra_info("socket") if transport is not None else None
        if not self._seconds or transport is None or sock is None:
            yield
            return
        watch = asyncio.get_running_loop().create_task(self._look_after(transport, sock))
        try:
            yield
        finally:
            watch.cancel()

    async def _look_after(self, transport: asyncio.Transport, sock: socket.socket) -> None:
        undelivered = _Undelivered(sock)
        while not transport.is_closing():  # then its descriptor may be another's soon
            if undelivered.seconds() >= self._seconds:
                self._tell()
                with suppress(OSError):
                    _reset_at_end(sock)
                transport.abort()
                return
            await asyncio.sleep(self._interval)

    def _tell(self) -> None:
        log.warning("a client has taken nothing of a stream for %g s: it is cut off", self._seconds)


class _Undelivered:
    """What a socket's kernel could not deliver yet."""

    def __init__(self, sock: _HasDescriptor) -> None:
        self._sock = sock
        self._bytes = 0
        self._since = time.monotonic()

    def seconds(self) -> float:
        """For how long there has been something, and always as much; to be asked again and again."""
        now, size = time.monotonic(), _undelivered(self._sock)
        if not size or size != self._bytes:
            self._bytes, self._since = size, now
        return now - self._since


def _undelivered(sock: _HasDescriptor) -> int:
    """Bytes; 0 too where the system does not tell."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):
        return 0


def _reset_at_end(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def transport_of(receive: Any, send: Any) -> asyncio.Transport | None:
    """That of an ASGI server's connection, by what the server calls with: uvicorn's, gunicorn's; None of others."""
    cycle = getattr(send, "__self__", None)
    protocol = getattr(getattr(receive, "__self__", None), "protocol", None)
    found: asyncio.Transport | None = getattr(cycle or protocol, "transport", None)
    return found


def _nothing() -> None:
    """Nothing was begun."""
