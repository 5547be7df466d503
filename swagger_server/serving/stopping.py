"""How the worker stops, so that nobody who is connected to it loses a request.

Owns what uvicorn's server does from the signal to its end, and when a connection is closed that nothing happens on.
A client may send a request in the moment in which its connection is closed, and one that has just connected has sent
none yet; so a worker that stops leaves such connections open for a moment, answers what comes and says in the answer
that the connection ends.
"""

import asyncio
import logging
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

log = logging.getLogger(__name__)

LINGER = 2.0
"""Seconds that a stopping worker waits for a request on a connection; as long as gunicorn's own workers do."""

SILENCE = 60.0
"""Seconds between two looks at the connections, or gunicorn's keep-alive where that is longer. One whose client has
brought no request a step further by the second look is closed: others may need its descriptor, and the client may long
be gone without a word."""

_NOTIFY = 1.0
"""Seconds between two signs of life to gunicorn's master."""

_LET_GO = 0.05
"""Seconds that the loop gets to close its listening sockets; uvicorn waits for twice as long."""

_LOOK_AGAIN = 0.1
"""Seconds after which a connection is closed whose client had sent something when it was to be closed."""


class _State(ServerState):
    """What the server and its connections share."""

    is_stopping = False


class StoppingServer(Server):
    """uvicorn's server, which stops within `graceful` seconds.

    `notify` is called about every second while it stops. `owns_port` says that nobody else accepts connections from
    the same listening sockets, so that those which wait there are lost with it if they are not accepted.
    """

    def __init__(
        self, config: Config, *, graceful: float, notify: Callable[[], object], owns_port: bool
    ) -> None:
        super().__init__(config)
        self._state = self.server_state = _State()
        # The last quarter, at most two seconds, is for what ends requests that are under way then.
        self._graceful = max(graceful - 2.0, graceful * 0.75)
        self._last_part = min(1.0, graceful * 0.125)
        self._notify = notify
        self._owns_port = owns_port
        self._next_look = 0.0

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        now = monotonic()
        if now >= self._next_look:
            # Nobody who has not begun yet is to have less time than who may come back.
            self._next_look = now + max(SILENCE, self.config.timeout_keep_alive)
            for connection in list(self._state.connections):
                cast(StoppingProtocol, connection).close_if_silent()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let clients end what they are doing, and have the application stop."""
        loop = asyncio.get_running_loop()
        self._state.is_stopping = True
        if self._owns_port:
            # The copies keep the ports listening until the loop has let go of its own.
            copies = [socket.socket(fileno=os.dup(listener.fileno())) for listener in sockets or []]
            loop.call_later(_LET_GO, self._accept_those_waiting, copies)
        notifying = loop.create_task(self._keep_notifying())
        giving_up = loop.call_later(self._graceful, self._end_connections)
        try:
            async with asyncio.timeout(self._graceful + self._last_part):
                await super().shutdown(sockets)
        except TimeoutError:
            log.error("requests that do not end are left behind")
        finally:
            giving_up.cancel()
            notifying.cancel()

    async def _keep_notifying(self) -> None:
        while True:
            self._notify()
            await asyncio.sleep(_NOTIFY)

    def _end_connections(self) -> None:
        """Close what is open still: the application ends the work for a client that is gone."""
        log.warning("%d connections are ended, their time is up", len(self._state.connections))
        for connection in list(self._state.connections):
            connection.transport.abort()

    def _accept_those_waiting(self, listeners: list[socket.socket]) -> None:
        for listener in listeners:
            with listener, suppress(BlockingIOError):
                listener.setblocking(False)
                while True:
                    accepted, _ = listener.accept()
                    adopting = asyncio.create_task(self._adopt(accepted))
                    self._state.tasks.add(adopting)
                    adopting.add_done_callback(self._state.tasks.discard)

    async def _adopt(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._make_protocol, accepted, ssl=self.config.ssl)

    def _make_protocol(self) -> Any:
        protocol_class = cast(Any, self.config.http_protocol_class)
        return protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


class StoppingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 on one connection of such a server."""

    _steps_seen: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        super().connection_made(transport)
        if self._is_stopping():
            self.shutdown()

    def shutdown(self) -> None:
        """Answer what is under way and what comes within a moment, and close the connection then."""
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.loop.call_later(LINGER, self._close_idle)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, but not one on which a request has arrived that was not read yet."""
        if _has_input(self.transport):
            self.timeout_keep_alive_task = self.loop.call_later(_LOOK_AGAIN, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.end_with(cycle)
        super()._start_asgi_task(cycle, app)

    def end_with(self, cycle: RequestResponseCycle) -> None:
        """Have the answer say that the connection ends, if it does."""
        if not self.timeout_keep_alive or self._is_stopping():
            cycle.keep_alive = False

    def _is_stopping(self) -> bool:
        return cast(_State, self.server_state).is_stopping

    def is_idle(self) -> bool:
        """Whether nothing of a request has come that is not answered."""
        return self.cycle is None or self.cycle.response_complete

    def steps(self) -> int | None:
        """How far the client has come that is waited for; None while it is not."""
        return None

    def close_if_silent(self) -> None:
        """Close the connection if its client has come no further since this was last called."""
        steps = self.steps()
        if steps is not None and steps == self._steps_seen and not _has_input(self.transport):
            self.transport.close()
        self._steps_seen = steps

    def _close_idle(self) -> None:
        if self.is_idle() and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_handler()


def _has_input(transport: asyncio.Transport) -> bool:
    """Whether there is something to read; the loop looks at its timers before it looks at its sockets."""
    if transport.is_closing():
        return False
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poller.poll(0))
