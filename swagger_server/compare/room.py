"""How many clients a comparison may have without taking a connection that somebody else needs.

Owns the arithmetic, and the shares of the host's budget that a comparison holds.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from swagger_server.capacity import left_to_others
from swagger_server.compare.server import Server
from swagger_server.pool import Budget
from swagger_server.pool.budget import GRACE
from swagger_server.pool.ledger import LARGEST, Lease, Want, open_ledger

_LAST = Want(LARGEST, float("inf"))
"""Everybody else's wish comes first."""


@dataclass(frozen=True)
class Fitting:
    """How many clients there may be; `reason` says why they are not as many as were asked for."""

    clients: int
    reason: str = ""


def sessions_of(clients: int, maxconn: int) -> int:
    """Those of the clients that connect, those that the pool keeps meanwhile, and the one that looks on."""
    return clients + min(clients, maxconn) + 1


def _clients_with(sessions: int, maxconn: int) -> int:
    """The most clients that need no more than so many sessions."""
    return max(0, (sessions - 1) // 2, sessions - 1 - maxconn)


class Shares:
    """What a comparison holds of a budget. It gives none up before its end, so it takes what nobody wants."""

    def __init__(self, budget: Budget) -> None:
        self.size = budget.size
        self._ledger = open_ledger(budget.path)
        self._leases: list[Lease] = []

    @property
    def held(self) -> int:
        return len(self._leases)

    def take(self, most: int) -> int:
        """Take shares until there are `most`, but leave some of the free ones to others; how many are held then.

        Waits a moment where a share's last holder died.
        """
        while len(self._leases) < most + left_to_others(LARGEST) and (lease := self._take()):
            self._leases.append(lease)
        keep = max(1, min(most, self.held - left_to_others(self.held)))
        for lease in self._leases[keep:]:
            self._ledger.give_back(lease, in_order=lease.remains is None)
        del self._leases[keep:]
        if any(lease.remains is not None for lease in self._leases):
            time.sleep(GRACE)
        return self.held

    def _take(self) -> Lease | None:
        return self._ledger.take(self.size, _LAST)

    def give_back(self, but: int, *, in_order: bool) -> None:
        """Give all but some back; `in_order` when the server is known to have ended their sessions."""
        for lease in self._leases[but:]:
            self._ledger.give_back(lease, in_order)
        del self._leases[but:]


@contextmanager
def shares_of(budget: Budget | None) -> Iterator[Shares | None]:
    """Shares for a block, none of them taken yet; None where there is no budget."""
    if budget is None:
        yield None
        return
    shares = Shares(budget)
    try:
        yield shares
    finally:
        shares.give_back(0, in_order=False)


def fitting(clients: int, maxconn: int, server: Server, shares: Shares | None) -> Fitting:
    """As many of `clients` as have room in the server now and in the budget, whose shares they take.

    A pooler's own limits are not known: behind one the budget alone counts.
    """
    fit = Fitting(clients)
    if not server.limits.is_pooled:
        fit = _in_server(fit, maxconn, server)
    return fit if shares is None else _in_budget(fit, maxconn, shares)


def _in_server(fit: Fitting, maxconn: int, server: Server) -> Fitting:
    free = server.free()
    others = left_to_others(free)
    clients = _clients_with(free - others, maxconn)
    if clients >= fit.clients:
        return fit
    reason = (
        f"{_need(fit.clients, maxconn)}, and the server has {free} free ({server.limits.spelled_out()}; others use"
        f" {server.others}), {others} of them for others"
    )
    return Fitting(clients, reason)


def _in_budget(fit: Fitting, maxconn: int, shares: Shares) -> Fitting:
    held = shares.take(sessions_of(fit.clients, maxconn))
    clients = _clients_with(held, maxconn)
    if clients >= fit.clients:
        return fit
    reason = f"{_need(fit.clients, maxconn)}, and the budget of {shares.size} has {held} to spare"
    return Fitting(clients, reason)


def _need(clients: int, maxconn: int) -> str:
    plural = "s" * (clients != 1)
    return f"{clients} client{plural} would need {sessions_of(clients, maxconn)} connections"
