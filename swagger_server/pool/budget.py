"""One pool's part in a budget that it shares with other processes: when it takes a share, and when it gives one up.

Knows no connections; the pool opens and closes them. The rules of sharing: a share that nobody uses goes to whoever
waits, first to those who have nothing; one that is in use goes, when it comes back, to who has at least two fewer;
and where there are fewer shares than pools, to who has none, once this pool has had its turn. So what is shared out
evenly stays where it is, and nobody waits for ever.
"""

import logging
import threading
from contextlib import suppress
from time import monotonic

from swagger_server.pool.ledger import Budget, Lease, Want, open_ledger

GRACE = 0.05
"""Seconds in which the server notices that an idle session's client has died."""

TURN = 0.2
"""Seconds for which a pool keeps its only share though others have none."""

UNUSED = 0.02
UNUSED_BEYOND_NEED = 0.1
UNUSED_FOR_LONG = 1.0
"""Seconds after which a connection that lies idle goes to others: the only one to those who have none; a further one
to those who want more; the only one to those who want more."""

LOOK = 0.03
"""Seconds between two looks at what others want. A look is two calls of the system while nobody wants anything."""

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.04
"""Seconds between two tries of a pool that waits for a share."""

PICKED_UP = 0.25
"""Seconds in which who waits finds the share of a session whose end was not awaited."""

TOUCH = 86_400.0
"""Seconds between two touches of the file: what nobody touches for weeks is cleaned away in some places."""

ENDING = 1.0
"""Seconds to wait for the server to end a session that was closed; after that its share counts as one of the dead."""

logger = logging.getLogger("swagger_server.pool")


class Share:
    """What one pool holds of a budget. All methods may be called from any thread, and none waits but `pause`.

    A file that cannot be used now has no shares to take: that is logged once, and raised by none of them.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.is_short = False
        """The pool asks for a share and there is none."""
        self._ledger = open_ledger(budget.path)
        self._lock = threading.Lock()
        self._leases: set[Lease] = set()
        self._ending: dict[Lease, float] = {}
        """Shares on their way to others, and until when they count as that."""
        self._is_failing = False
        self._touch_due = 0.0
        self._turn_began = 0.0
        self._since: float | None = None
        self._place: int | None = None
        self._pause = FIRST_PAUSE
        self._returned = threading.Event()

    @property
    def held(self) -> int:
        """How many shares this pool has."""
        return len(self._leases)

    def __del__(self) -> None:
        """A pool that was forgotten keeps nothing."""
        for lease in self._leases:
            with suppress(OSError):
                self._ledger.give_back(lease, in_order=False)
        if self._place is not None:
            with suppress(OSError):
                self._ledger.withdraw(self._place)

    def take(self, is_urgent: bool) -> Lease | None:
        """A share, or None when there is none now; `is_urgent` when a caller waits for it.

        Then it is remembered, and told to the others, that this pool wants one, until it gets one or `rest`s.
        """
        with self._lock:
            if is_urgent and self._since is None:
                self._since = monotonic()
            want = Want(self.held, self._since or 0.0) if is_urgent else _NO_HURRY
            try:
                lease = self._ledger.take(self.budget.size, want, self._place)
                if lease is not None:
                    self._taken(lease)
                elif is_urgent:
                    self.is_short = True
                    self._place = self._ledger.announce(want, self._place)
            except OSError as error:
                self._failed(error)
                return None
            return lease

    def _taken(self, lease: Lease) -> None:
        self._is_failing = False
        self._leases.add(lease)
        self._note_turn()
        self._rest()

    def _failed(self, error: OSError) -> None:
        first, self._is_failing = not self._is_failing, True
        if first:
            logger.warning("the budget's file %s cannot be used now: %s", self.budget.path, error)

    def pause(self) -> None:
        """Wait a moment, before another try."""
        self._returned.wait(self._pause)
        self._returned.clear()
        self._pause = min(2 * self._pause, LONGEST_PAUSE if self.held else FIRST_PAUSE)

    def rest(self) -> None:
        """No share is wanted any more."""
        with self._lock:
            self._rest()

    def _rest(self) -> None:
        self.is_short, self._since, self._pause = False, None, FIRST_PAUSE
        place, self._place = self._place, None
        if place is not None:
            try:
                self._ledger.withdraw(place)
            except OSError as error:
                self._failed(error)

    def opened(self, lease: Lease, pid: int, client_port: int) -> None:
        """A session was opened with a share."""
        try:
            self._ledger.note(lease, pid, client_port)
        except OSError as error:
            self._failed(error)

    def ends(self, lease: Lease) -> None:
        """The session was closed, and the server is waited for to end it: the share will be given back soon."""
        with self._lock:
            self._ending[lease] = float("inf")

    def give_back(self, lease: Lease, in_order: bool) -> None:
        """Give a share back. `in_order` when the server has ended its session, or there was none."""
        with self._lock:
            self._leases.discard(lease)
            if self._ending.pop(lease, None) and not in_order:
                self._ending[lease] = monotonic() + PICKED_UP  # still marked, and so not seen to be free
            self._note_turn()
            try:
                self._ledger.give_back(lease, in_order)
            except OSError as error:
                self._failed(error)
        self._returned.set()

    def _note_turn(self) -> None:
        if self.held == 1:
            self._turn_began = monotonic()

    def keep_file(self) -> None:
        """Keep the file from being cleaned away, and go on with another when it was. Due with every look."""
        if monotonic() >= self._touch_due:
            self._touch_due = monotonic() + TOUCH
            with suppress(OSError):
                self._ledger.touch()
        try:
            stranded = self._ledger.follow()
        except OSError as error:
            self._failed(error)
            return
        if stranded is not None:
            logger.warning(
                "the budget's file %s was removed; it is made again, and %d connections of this process are beyond it",
                self.budget.path,
                stranded,
            )

    def taken_by_all(self) -> int:
        """How much of the budget is taken, by whomever; by this pool, where nobody can tell."""
        try:
            return self._ledger.count_taken(self.budget.size)
        except OSError as error:
            self._failed(error)
            return self.held

    def should_give(self, idle_since: float | None) -> bool:
        """Whether this pool should give up a share now: an idle connection, or else the next that comes back.

        `idle_since` is when the one that was unused for longest became idle; None when none is idle.
        """
        if not self.held:
            return False
        try:
            wants = self._ledger.others(self._place)
        except OSError as error:
            self._failed(error)
            return False
        if not wants or self._count_ending() >= len(wants):  # nobody wants one, or as many are on their way
            return False
        if self.taken_by_all() + len(wants) <= self.budget.size:
            return False
        return self._goes_to(wants[0].held, idle_since)

    def _count_ending(self) -> int:
        with self._lock:
            now = monotonic()
            self._ending = {lease: until for lease, until in self._ending.items() if until > now}
            return len(self._ending)

    def _goes_to(self, others_share: int, idle_since: float | None) -> bool:
        if self.held - others_share >= 2:
            return True
        now = monotonic()
        if idle_since is not None and now - idle_since >= _unused_until(self.held, others_share):
            return True
        return not others_share and now - self._turn_began >= TURN


def _unused_until(held: int, others_share: int) -> float:
    if held > 1:
        return UNUSED_BEYOND_NEED if others_share else 0.0
    return UNUSED_FOR_LONG if others_share else UNUSED


class Unlimited:
    """In the place of a Share where there is no budget."""

    budget = None
    is_short = False
    held = 0

    def take(self, is_urgent: bool) -> Lease:  # noqa: ARG002 - as Share's
        return _UNLIMITED

    def pause(self) -> None: ...
    def rest(self) -> None: ...
    def opened(self, lease: Lease, pid: int, client_port: int) -> None: ...
    def ends(self, lease: Lease) -> None: ...
    def give_back(self, lease: Lease, in_order: bool) -> None: ...
    def keep_file(self) -> None: ...
    def taken_by_all(self) -> int:
        return 0

    def should_give(self, idle_since: float | None) -> bool:  # noqa: ARG002 - as Share's
        return False


def share_of(budget: Budget | None) -> Share | Unlimited:
    """A pool's share in a budget, or in none."""
    return Unlimited() if budget is None else Share(budget)


_UNLIMITED = Lease(-1, None)
_NO_HURRY = Want(1 << 30, float("inf"))
"""To come nearer to minconn: only when nobody else wants anything."""
