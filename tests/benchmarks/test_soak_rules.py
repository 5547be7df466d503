"""What the soak excuses, and what it calls a miss: rules that nobody would notice to be too generous."""

from collections import Counter

import pytest

from benchmarks.harness.attribution import HELD, REFUSED, SESSION_LOST, explain, reason
from benchmarks.harness.counting import answered, differences
from benchmarks.harness.errands import Errand, Errands
from benchmarks.harness.faulting import CUT, KINDS, REPLICA, RESTART, SESSIONS, WORKER, Fault, draw_kinds
from benchmarks.harness.memory import Look, growth
from benchmarks.harness.open_loop import Outcome

GRACE = 2.0
READ = Errand("get", "/ledger/entries/1", "seed-1")
WRITE = Errand("create", "/ledger/entries", "written-1", "POST")
PORT = 4711


def failed(status: int, sent: float, ended: float, errand: Errand = READ, port: int = PORT) -> Outcome:
    return Outcome(sent, ended, status, errand, due=sent, port=port, told="", is_right=False)


def fault(kind: str, begun: float, over: float) -> Fault:
    ports = frozenset({PORT}) if kind == WORKER else frozenset()
    return Fault(kind, begun, over, ports=ports, died=begun + 0.1)


@pytest.mark.parametrize(
    ("what", "made", "why"),
    [
        # A worker was killed at 10 s, and had this connection.
        (failed(0, 9.9, 10.1), fault(WORKER, 10, 12), HELD),
        (failed(0, 9.9, 10.1, WRITE), fault(WORKER, 10, 12), HELD),
        (failed(0, 9.9, 10.1, port=PORT + 1), fault(WORKER, 10, 12), None),
        (failed(0, 9.8, 9.9), fault(WORKER, 10, 12), None),
        (failed(0, 10.2, 10.3), fault(WORKER, 10, 12), None),
        (failed(503, 9.9, 10.1), fault(WORKER, 10, 12), None),
        (failed(503, 9.9, 10.1, WRITE), fault(WORKER, 10, 12), None),
        # The server was away for three seconds, one more than the grace; and for one.
        (failed(503, 9.9, 12.1), fault(RESTART, 10, 13), REFUSED),
        (failed(503, 13.2, 13.3), fault(RESTART, 10, 13), REFUSED),
        (failed(503, 10.1, 11.9), fault(RESTART, 10, 13), None),
        (failed(503, 13.3, 13.4), fault(RESTART, 10, 13), None),
        (failed(504, 9.9, 12.1), fault(RESTART, 10, 13), None),
        (failed(500, 9.9, 12.1), fault(RESTART, 10, 13), None),
        (failed(0, 9.9, 12.1), fault(RESTART, 10, 13), None),
        (failed(503, 10.1, 12.1), fault(RESTART, 10, 11), None),
        # A write is not run again.
        (failed(503, 9.9, 10.0, WRITE), fault(SESSIONS, 10, 11), SESSION_LOST),
        (failed(503, 11.2, 11.3, WRITE), fault(CUT, 10, 11), SESSION_LOST),
        (failed(503, 10.1, 10.2, WRITE), fault(RESTART, 10, 11), SESSION_LOST),
        (failed(503, 10.1, 10.2, WRITE), fault(REPLICA, 10, 11), None),
        (failed(503, 11.3, 11.4, WRITE), fault(CUT, 10, 11), None),
        (failed(503, 9.8, 9.9, WRITE), fault(CUT, 10, 11), None),
        (failed(409, 10.1, 10.2, WRITE), fault(CUT, 10, 11), None),
        (failed(503, 10.1, 10.2), fault(CUT, 10, 11), None),
        (failed(503, 10.1, 10.2), fault(SESSIONS, 10, 11), None),
        # The wrong content of a success has no excuse.
        (failed(200, 10.1, 12.5), fault(RESTART, 10, 13), None),
    ],
)
def test_a_failure_is_excused_by_what_the_fault_did_to_it_and_nothing_else(what, made, why):
    assert reason(what, [made], GRACE) == why


def test_failures_are_told_apart_by_their_excuse():
    refused, strange = failed(503, 9.9, 12.1), failed(500, 9.9, 12.1)
    excused, unexplained = explain([refused, strange], [fault(REPLICA, 1, 2), fault(RESTART, 10, 13)], GRACE)
    assert excused == {HELD: [], REFUSED: [refused], SESSION_LOST: []}
    assert unexplained == [strange]


GET_200 = ("tests.second_spec.controllers.get", "GET", "200")
GET_503 = ("tests.second_spec.controllers.get", "GET", "503")
CREATE_201 = ("tests.second_spec.controllers.create", "POST", "201")


def test_the_services_numbers_may_be_higher_by_what_killed_workers_held_only():
    held = [failed(0, 1, 2), failed(0, 1, 2)]
    counted = Counter({GET_200: 10, CREATE_201: 5})
    other = ("other", "GET", "200")
    assert differences(Counter({GET_200: 10, CREATE_201: 5, other: 3}), counted, []) == (0, [])
    assert differences(Counter({GET_200: 11, GET_503: 1, CREATE_201: 5}), counted, held) == (2, [])
    assert differences(Counter({GET_200: 13, CREATE_201: 5}), counted, held)[1]
    assert differences(Counter({GET_200: 10, CREATE_201: 6}), counted, held)[1]
    assert differences(Counter({GET_200: 9, CREATE_201: 5}), counted, held)[1]
    assert differences(Counter({GET_200: 10}), counted, held)[1]


@pytest.mark.parametrize(
    ("before", "after", "is_flat"),
    [(80, 90, True), (80, 90.1, False), (200, 219.9, True), (200, 220.1, False)],
)
def test_a_worker_is_flat_that_grew_by_ten_megabytes_or_a_tenth(before: float, after: float, is_flat: bool):
    found = growth([Look(5, 1, 1), Look(61, before, before), Look(70, 999, 1), Look(120, after, after)])
    assert found is not None
    assert (found.warm.rss, found.last.rss, found.is_flat) == (before, after, is_flat)


def test_a_worker_that_lived_shortly_says_nothing_about_growth():
    assert growth([]) is None
    assert growth([Look(5, 80, 80), Look(59, 200, 200)]) is None
    assert growth([Look(5, 80, 80), Look(61, 80, 80), Look(90, 200, 200)]) is None


def test_every_kind_of_fault_comes_once_in_five_and_the_seed_decides_the_order():
    import random

    drawn = draw_kinds(random.Random(1))
    for _ in range(4):
        assert {next(drawn) for _ in KINDS} == set(KINDS)
    first, again = draw_kinds(random.Random(2)), draw_kinds(random.Random(2))
    assert [next(first) for _ in range(20)] == [next(again) for _ in range(20)]


def test_answers_are_compared_with_what_was_asked():
    assert READ.is_answered_by(200, b'{"number": 1, "name": "seed-1", "amount": 1}')
    assert not READ.is_answered_by(200, b'{"number": 1, "name": "seed-2", "amount": 1}')
    assert WRITE.is_answered_by(201, b'{"number": 1001}')
    assert not WRITE.is_answered_by(200, b'{"number": 1001}')


def test_writes_have_names_of_their_own_and_are_read_with_the_position_that_was_told():
    errands, names, own = Errands(1), Counter[str](), []
    for number in range(3000):
        errand = errands.draw()
        if not errand.is_read:
            names[errand.about] += 1
            errands.acknowledged(errand, b'{"number": %d}' % (number + 5000), f"0/{number}")
        elif errand.headers:
            own.append(errand)
    assert set(names.values()) == {1}
    assert 300 < len(names) < 600
    assert own
    for errand in own:
        number = int(errand.path.rpartition("/")[2]) - 5000
        assert errand.headers == {"X-Database-Position": f"0/{number}"}
        assert errand.about in names


def test_what_is_refused_unseen_is_no_operations_answer():
    detail = '{"detail":"The server is busy. Please try again shortly."}'
    busy = Outcome(1, 2, 503, READ, due=1, port=PORT, told=detail, is_right=False)
    assert answered([busy, failed(503, 1, 2), failed(0, 1, 2)]) == {("other", "GET", "503"): 1, GET_503: 1}
    assert differences(Counter({("other", "GET", "503"): 2}), Counter({("other", "GET", "503"): 1}), [])[1]
