"""What /metrics says was answered, beside what the clients counted."""

from collections import Counter
from collections.abc import Iterable

from benchmarks.harness.answers import BROKEN
from benchmarks.harness.open_loop import Outcome

Key = tuple[str, str, str]
"""Operation, method, status: the labels of the request counter."""

OPERATIONS = "tests.second_spec.controllers."


def answered(outcomes: Iterable[Outcome]) -> "Counter[Key]":
    """The answers that clients got."""
    return Counter(
        (OPERATIONS + each.errand.operation, each.errand.method, str(each.status))
        for each in outcomes
        if each.status != BROKEN
    )


def differences(
    told: "Counter[Key]", counted: "Counter[Key]", held: Iterable[Outcome]
) -> tuple[int, list[str]]:
    """How many more answers the service counted than arrived, and where that cannot be.

    A worker counts an answer before it sends it. So it may have counted some of those that it held when it was killed,
    and there is no other way for the numbers to differ. Of `told`, only the operations of the clients count.
    """
    might = Counter((OPERATIONS + each.errand.operation, each.errand.method) for each in held)
    more: Counter[tuple[str, str]] = Counter()
    wrong = []
    for key in sorted(told.keys() | counted.keys()):
        if key[0].startswith(OPERATIONS):
            more[key[:2]] += told[key] - counted[key]
            if told[key] < counted[key]:
                wrong.append(f"{' '.join(key)}: {told[key]}, not {counted[key]}")
    wrong += [f"{' '.join(key)}: {more[key]} too many" for key in sorted(more) if more[key] > might[key]]
    return more.total(), wrong
