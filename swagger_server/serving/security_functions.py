"""An app's security functions, as the security handlers of Connexion call them."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connexion.security import AbstractSecurityHandler

from swagger_server.serving.event_loop import finish, on_callers_thread


@contextmanager
def on_the_requests_thread() -> Iterator[None]:
    """Within the block, security handlers are made whose functions are called on the thread that has the request.

    There they may block, whatever thread the handler runs on; what they return may be a coroutine, which may wait.
    """
    own = AbstractSecurityHandler.__dict__["_get_function"]

    def get_function(cls: type, *args: Any, **kwargs: Any) -> Any:
        function = own.__func__(cls, *args, **kwargs)
        return None if function is None else _on_its_thread(function)

    AbstractSecurityHandler._get_function = classmethod(get_function)
    try:
        yield
    finally:
        AbstractSecurityHandler._get_function = own


def _on_its_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    # With its signature: by that Connexion sees what it is to be given.
    @functools.wraps(function, updated=())
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await finish(await on_callers_thread(lambda: function(*args, **kwargs)))

    return call
