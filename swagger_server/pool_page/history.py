"""The last minutes of each pool, a line a second, and those of several workers as one."""

import time
from collections import deque
from collections.abc import Iterable, Sequence

from swagger_server.pool import PoolStats

SECONDS = 300
"""How far back it goes."""

_GAP = 3
"""Seconds without a line after which a worker counts for nothing: it has ended, or began later."""

Line = Sequence[int]
"""A second since 1970; connections in use, idle, and callers who wait, at one moment of it; connections lent so far."""

_NOTHING = (0, 0, 0)


class History:
    """What the pools of this process were like. Safe from any thread."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Line]] = {}

    def remember(self, stats: PoolStats) -> None:
        """Add a line: to be called once a second."""
        lines = self._lines.setdefault(stats.name, deque(maxlen=SECONDS))
        lines.append((int(time.time()), stats.in_use, stats.idle, stats.waiting, stats.gets))

    def of(self, pool: str) -> list[Line]:
        """The lines of a pool, the oldest first."""
        return list(self._lines.get(pool, ()))


def together(histories: Iterable[Sequence[Line]], now: int) -> list[list[int]]:
    """The sum of all workers for each of the last SECONDS: second, in use, idle, waiting, lent in that second.

    The second `now` is left out, since not every worker has had its turn in it.
    """
    sums = [[second, 0, 0, 0, 0] for second in range(now - SECONDS, now)]
    for lines in histories:
        _add(sums, lines)
    return sums


def _add(sums: list[list[int]], lines: Sequence[Line]) -> None:
    """Add a worker's lines; a second in which it had no turn, or two, is like the one before."""
    by_second = {line[0]: line for line in lines}
    for total in sums:
        second = total[0]
        last = next((by_second[at] for at in range(second, second - _GAP, -1) if at in by_second), None)
        if last is None:
            continue
        for place in (1, 2, 3):
            total[place] += last[place]
        before = next(
            (by_second[at] for at in range(last[0] - 1, last[0] - 1 - _GAP, -1) if at in by_second), None
        )
        if before is not None and last[0] == second:
            total[4] += max(0, last[4] - before[4])
