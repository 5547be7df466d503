"""What /metrics says was answered, beside what the clients counted."""

from collections import Counter
from collections.abc import Iterable

from benchmarks.harness.answers import BROKEN
from benchmarks.harness.open_loop import Outcome

Key = tuple[str, str, str]
"""Operation, method, status: the labels of the request counter."""

OPERATIONS = "tests.second_spec.controllers."
OTHER = "other"
"""The operation of what was refused before it was looked at: all threads of its worker were busy for too long."""

_REFUSED_UNSEEN = "The server is busy."


def answered(outcomes: Iterable[Outcome]) -> "Counter[Key]":
    """The answers that clients got."""
    return Counter(
        (_operation(each), each.errand.method, str(each.status)) for each in outcomes if each.status != BROKEN
    )


def _operation(answer: Outcome) -> str:
    unseen = answer.status == 503 and _REFUSED_UNSEEN in answer.told
    return OTHER if unseen else OPERATIONS + answer.errand.operation


def differences(
    told: "Counter[Key]", counted: "Counter[Key]", held: Iterable[Outcome]
) -> tuple[int, list[str]]:
    """How many more answers the service counted than arrived, and where that cannot be.

    A worker counts an answer before it sends it. So it may have counted some of those that it held when it was killed,
    and there is no other way for the numbers to differ. Of `told`, the clients' operations count, and refusals.
    """
    might = Counter((OPERATIONS + each.errand.operation, each.errand.method) for each in held)
    more: Counter[tuple[str, str]] = Counter()
    wrong = []
    for key in sorted(told.keys() | counted.keys()):
        if key[0].startswith(OPERATIONS) or key[2] == "503":
            more[key[:2]] += told[key] - counted[key]
            if told[key] < counted[key]:
                wrong.append(f"{' '.join(key)}: {told[key]}, not {counted[key]}")
    wrong += [f"{' '.join(key)}: {more[key]} too many" for key in sorted(more) if more[key] > might[key]]
    return more.total(), wrong
