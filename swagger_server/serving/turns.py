"""How much of one kind of work a worker does at once, in all and for one caller: what is beyond that is refused.

Nobody waits for a turn: who waits would hold what the bound is there to save.
"""

import threading
from collections.abc import Callable, Hashable


class NoTurn(Exception):
    """So much of `what` is under way already, in all or, where it `is_callers`, for this caller."""

    def __init__(self, what: str, *, is_callers: bool) -> None:
        whose = "of this caller" if is_callers else "at once"
        super().__init__(f"There are too many {what} {whose}.")
        self.is_callers = is_callers


class Turns:
    """The work of one kind, `what` (in the plural), of this process. For any thread."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._lock = threading.Lock()
        self._under_way: dict[object, Hashable] = {}

    def take(self, caller: Hashable | None, most: int, most_each: int) -> Callable[[], None]:
        """Begin such work, of which there are at most so many (0: no bound) in all and for the caller, if known.

        The result ends it, and may be called more than once. Raises NoTurn; waits for nothing.
        """
        turn = object()
        with self._lock:
            callers = list(self._under_way.values())
            if most_each and caller is not None and callers.count(caller) >= most_each:
                raise NoTurn(self.what, is_callers=True)
            if most and len(callers) >= most:
                raise NoTurn(self.what, is_callers=False)
            self._under_way[turn] = caller

        def end() -> None:
            # Without the lock: the garbage collector may call this in the middle of `take`.
            self._under_way.pop(turn, None)

        return end
