"""A TCP proxy between a pool and its server, to do to the connections what networks do to them."""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any

CHUNK = 65_536


class Proxy:
    """Listens on 127.0.0.1 and passes bytes on to a server, until told otherwise. A context manager."""

    def __init__(self, host: str, port: int) -> None:
        """`host` may be a folder with the server's Unix socket."""
        self._server = (host, port)
        self.connect_delay = 0.0
        """Seconds that each new connection takes longer."""
        self.accepted = 0
        """Connections so far."""
        self.swallowed = 0
        """Bytes so far."""
        self._swallowing = False
        self._forgotten: set[socket.socket] = set()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    @classmethod
    def before(cls, connect_kwargs: dict[str, Any]) -> "Proxy":
        """A proxy in front of the server with these connection arguments."""
        return cls(str(connect_kwargs.get("host") or "127.0.0.1"), int(connect_kwargs.get("port") or 5432))

    def through(self, connect_kwargs: dict[str, Any]) -> dict[str, Any]:
        """The same connection arguments, but by way of the proxy."""
        return {**connect_kwargs, "host": "127.0.0.1", "port": self.port}

    def cut(self) -> None:
        """Break all connections off. New ones are taken."""
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            _shut_down(end)

    def swallow(self) -> None:
        """From now on all bytes vanish, in both directions; nobody is told. New connections are taken."""
        self._swallowing = True

    def pass_on(self) -> None:
        """Pass bytes on again. A connection that lost some in the meantime doesn't recover."""
        self._swallowing = False

    def forget(self) -> None:
        """Pass the bytes of new connections on again; those of all that there are now go on vanishing."""
        with self._lock:
            self._forgotten |= self._ends
        self._swallowing = False

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shut_down(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.accepted += 1
                threading.Thread(target=self._serve, args=(client,), name="proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        time.sleep(self.connect_delay)
        with client, contextlib.suppress(OSError), _connect(*self._server) as server:
            with self._lock:
                self._ends |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client), name="proxy", daemon=True)
            back.start()
            self._pump(client, server)
            back.join()
            with self._lock:
                self._ends -= {client, server}

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self._swallowing or source in self._forgotten:
                    self.swallowed += len(data)
                else:
                    target.sendall(data)
        # The end of one direction ends both: PostgreSQL has no use for half a connection.
        _shut_down(source)
        _shut_down(target)


def _connect(host: str, port: int) -> socket.socket:
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
    else:
        server = socket.create_connection((host, port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _shut_down(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
