"""The hand-picked requests: every feature of the gallery, used well and badly."""

from tests.serving.calls import answers, bodies, others, parameters
from tests.serving.calls.making import Group, groups

_LENIENT, _STRICT = "/gallery", "/strict"
_BOTH = (_LENIENT, _STRICT)

_OTHERS = (
    Group("pages", tuple(others.pages())),
    Group("secured", tuple(others.secured())),
    Group("old", tuple(others.old())),
)

CHOSEN_GROUPS = (
    *groups([_LENIENT], parameters.paths, parameters.headers),
    *groups([_LENIENT], bodies.raw_bodies, bodies.uploads, bodies.large_bodies, bodies.other_bodies),
    *groups([_LENIENT], answers.answers, answers.raised, answers.visible, others.methods, others.ui),
    *groups(_BOTH, parameters.queries, bodies.bodies, bodies.forms, answers.written),
    *groups([_STRICT], answers.checked_answers),
    *_OTHERS,
)
"""What differs from each other."""

ALL_GROUPS = (
    *groups(_BOTH, parameters.paths, parameters.queries, parameters.headers),
    *groups(_BOTH, bodies.bodies, bodies.raw_bodies, bodies.large_bodies, bodies.forms, bodies.uploads),
    *groups(
        _BOTH, bodies.other_bodies, answers.all_answers, answers.raised, answers.visible, answers.written
    ),
    *groups(_BOTH, others.methods, others.ui),
    *_OTHERS,
)
"""Every combination."""
