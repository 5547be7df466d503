"""Just enough of PostgreSQL's protocol to ask a socket who is there. No password, no query."""

import enum
import os
import socket
import struct
import sys
from pathlib import Path

from .cluster import PORT, USER

_TIMEOUT = 2.0  # seconds for each step; the other side is on this machine
_TERMINATE = b"X\0\0\0\4"
_READY_FOR_QUERY = b"Z\0\0\0\5I"


class State(enum.Enum):
    """What answers at a socket."""

    ABSENT = "nobody listens"
    BUSY = "somebody listens but takes no queries: starting, stopping, or not answering"
    READY = "a server takes queries"


def probe(folder: Path, port: int = PORT) -> State:
    """Ask at the socket in `folder`. Waits a few seconds at most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_TIMEOUT)
        try:
            line.connect(_address(folder, port))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return State.ABSENT
        except OSError:
            return State.BUSY
        return _greet(line)


def server_pid(folder: Path, port: int = PORT) -> int | None:
    """The process that listens at the socket, as the kernel knows it; None when nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_TIMEOUT)
        try:
            line.connect(_address(folder, port))
        except OSError:
            return None
        return _peer(line)


def _address(folder: Path, port: int) -> bytes:
    return os.fsencode(folder / f".s.PGSQL.{port}")


def _greet(line: socket.socket) -> State:
    try:
        line.sendall(_startup())
        answer = b""
        while not answer.endswith(_READY_FOR_QUERY):
            part = line.recv(4096)
            if not part:
                return State.BUSY
            answer += part
        line.sendall(_TERMINATE)
    except OSError:
        return State.BUSY
    return State.READY


def _startup() -> bytes:
    words = (
        b"user",
        USER.encode(),
        b"database",
        b"postgres",
        b"application_name",
        b"swagger_server supervisor",
    )
    body = struct.pack("!i", 196608) + b"\0".join(words) + b"\0\0"
    return struct.pack("!i", len(body) + 4) + body


def _peer(line: socket.socket) -> int:
    if sys.platform == "darwin":
        local, local_peerpid = 0, 2
        return line.getsockopt(local, local_peerpid)
    credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
