"""A whole answer is what Flask's own response would be, attribute by attribute."""

from typing import Any

import pytest
from flask import Response
from hypothesis import given
from hypothesis import strategies as st

from swagger_server.serving import WholeAnswer

TEXT = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=20)


@given(
    body=st.binary(max_size=50),
    status=st.sampled_from([200, 201, 204, 404, 418, 503, 599]),
    headers=st.dictionaries(st.sampled_from(["ETag", "Link", "X-A"]), TEXT, max_size=3),
)
def test_it_has_what_flasks_has(body: bytes, status: int, headers: dict[str, str]):
    own = Response(body, status, headers, content_type="application/json")
    answer = WholeAnswer(body, status, "application/json", headers)
    assert _attributes(answer) == _attributes(own)
    assert list(answer.headers) == list(own.headers)
    assert (answer.status, answer.status_code, answer.get_data()) == (own.status, own.status_code, body)


def test_what_is_changed_later_changes_as_in_flasks():
    answer, own = WholeAnswer(b"{}", 200, "text/x"), Response(b"{}", 200, content_type="text/x")
    for response in (answer, own):
        response.set_data("longer")
        response.status_code = 201
        response.headers["Content-Type"] = "text/y"
        response.set_cookie("a", "b")
        response.headers.add("Link", "<x>")
    assert _attributes(answer) == _attributes(own)
    assert WholeAnswer(b"{}", 200, "text/x").status == "200 OK"


def test_a_header_with_a_line_break_is_refused():
    with pytest.raises(ValueError, match="newline"):
        WholeAnswer(b"", 200, "text/plain", {"Link": "a\r\nb"})


def _attributes(response: Response) -> dict[str, Any]:
    return {**vars(response), "headers": sorted(response.headers)}
