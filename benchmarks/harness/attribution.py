"""Which failed requests a fault excuses. The rules, and nothing else: no request and no fault is made here.

A read may fail only with a worker that was killed while it held the read's connection, or with a 503 while the server
was down for longer than the grace. A write that lost its session may, besides, be answered with a 503: it must not be
run again unasked. Everything else is unexplained.
"""

from collections.abc import Iterable, Sequence

from benchmarks.harness.answers import BACK_WITHIN, BROKEN
from benchmarks.harness.faulting import CUT, RESTART, SESSIONS, Fault
from benchmarks.harness.open_loop import Outcome

HELD = "held by a killed worker"
REFUSED = "refused while the server was down for longer than the grace"
SESSION_LOST = "a write whose session was ended"

_ENDS_SESSIONS = frozenset({SESSIONS, RESTART, CUT})


def reason(failed: Outcome, faults: Iterable[Fault], grace: float) -> str | None:
    """Why a failed request is excused; None where it is not. `grace` is OUTAGE_GRACE, in seconds."""
    for fault in faults:
        if failed.status == BROKEN and _was_held(failed, fault):
            return HELD
        if failed.status == 503 and _was_refused(failed, fault, grace):
            return REFUSED
        if failed.status == 503 and not failed.errand.is_read and _lost_its_session(failed, fault):
            return SESSION_LOST
    return None


def explain(
    failed: Sequence[Outcome], faults: Sequence[Fault], grace: float
) -> tuple[dict[str, list[Outcome]], list[Outcome]]:
    """Failed requests by the reason that excuses them, and those that nothing does."""
    excused: dict[str, list[Outcome]] = {HELD: [], REFUSED: [], SESSION_LOST: []}
    unexplained: list[Outcome] = []
    for each in failed:
        why = reason(each, faults, grace)
        (unexplained if why is None else excused[why]).append(each)
    return excused, unexplained


def _was_held(failed: Outcome, fault: Fault) -> bool:
    return failed.port in fault.ports and failed.sent <= fault.died and failed.ended >= fault.begun


def _was_refused(failed: Outcome, fault: Fault, grace: float) -> bool:
    """Answered when the grace was over, and sent before the server was there again, and a moment."""
    if fault.kind != RESTART or fault.seconds <= grace:
        return False
    return failed.ended >= fault.begun + grace and failed.sent <= fault.over + BACK_WITHIN


def _lost_its_session(failed: Outcome, fault: Fault) -> bool:
    """It was under way at some time between the fault's beginning and a moment after its end."""
    within = failed.sent <= fault.over + BACK_WITHIN and failed.ended >= fault.begun
    return fault.kind in _ENDS_SESSIONS and within
