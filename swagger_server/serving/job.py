"""A request on its way through the threads of an ASGI worker, and the client that waits for it.

Owns the noticing of a client that goes away, and what is to be done then.
"""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from swagger_server.serving.messages import Handler, Request, Response, ServerBusy
from swagger_server.serving.threads import GaveUp, Job

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
T = TypeVar("T")


class RequestJob(Job[T]):
    """A request under way, and one context for all its pieces, on whichever threads they run.

    What is made of the response of `handler` depends on how it is to be sent.
    """

    __slots__ = ("_client", "_handler", "context", "receive", "request")

    def __init__(self, handler: Handler, request: Request, receive: Receive) -> None:
        super().__init__()
        self._handler = handler
        self.request = request
        self.context = contextvars.copy_context()
        self.receive = receive
        self._client: Client | None = None

    @property
    def client(self) -> "Client":
        """Who waits for the answer."""
        if self._client is None:
            self._client = Client(self.receive, self.request)
        return self._client

    def forget_client(self) -> None:
        """The answer is sent, or nobody wants it."""
        if self._client is not None:
            self._client.forget()

    def answer(self) -> Response:
        """What the handler answers."""
        return self.context.run(self._handler, self.request)

    def close(self, response: Response) -> None:
        """Close a response of the handler's, once nothing of it is under way, on any thread."""
        self.context.run(response.close)

    def failed(self, error: BaseException) -> None:
        if not isinstance(error, GaveUp):
            self.broke(error)
            return
        # A refusal is answered without waiting, so it may be made here.
        self.request.refusal = ServerBusy(error.waited)
        self.run_here()

    def run_here(self) -> None:
        """Make the call on the loop: for what does not wait."""
        try:
            value = self.call()
        except Exception as exc:
            self.broke(exc)
        else:
            self.returned(value)

    def broke(self, error: BaseException) -> None:
        """On the loop: the response could not be made; handlers do not raise."""
        raise NotImplementedError

    def turned_slow(self) -> None:
        # Most requests are answered before it is worth the trouble.
        self.client.watch()

    def abandoned(self) -> None:
        # The server gives the request up. A handler that runs comes to its end, its response is not sent.
        self.client.give_up()


class Client:
    """Who waits for the answer to a request. When it is known to be gone, the request's work is cancelled."""

    __slots__ = ("_receive", "_request", "_watcher", "is_gone")

    def __init__(self, receive: Receive, request: Request) -> None:
        self._receive = receive
        self._request = request
        self._watcher: asyncio.Task[None] | None = None
        self.is_gone = False

    def watch(self) -> None:
        """From now on notice when the client goes."""
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._wait_until_gone())

    async def _wait_until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self.give_up()

    @contextlib.contextmanager
    def may_be_gone(self) -> Iterator[None]:
        """Errors within the block are nobody's business once the client is gone: its work was cancelled."""
        try:
            yield
        except Exception as exc:
            if not self.is_gone:
                raise
            log.debug("after the client had gone: %s", exc)

    def give_up(self) -> None:
        """Cancel the request's work."""
        self._request.cancellation.cancel()

    def forget(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            self._watcher.cancel()
