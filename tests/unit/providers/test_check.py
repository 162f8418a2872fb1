"""Lists of models in the forms in which servers write them."""

from __future__ import annotations

import pytest

from torana.errors import UpstreamGarbage
from torana.providers.check import read_models


@pytest.mark.parametrize(
    ("body", "models"),
    [
        (b'{"object":"list","data":[{"id":"a"},{"id":"b/c"}]}', ("a", "b/c")),
        (b'[{"id":"a"},{"id":"b/c"}]', ("a", "b/c")),
        (b'{"models":[{"name":"a"}]}', ("a",)),
        (b'{"data":["a", 7, {"id": 7}, {}, {"id": ""}, null]}', ("a",)),
        (b'{"data":[]}', ()),
        (b'{"error":null,"data":[{"id":"a"}]}', ("a",)),
        (b'{"data":{"usage":1}}', None),
        (b"{}", None),
        (b"7", None),
    ],
)
def test_names_are_read_from_any_list_of_models(body, models):
    assert read_models(body) == models


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":"Unexpected endpoint"}', b"[" * 9999])
def test_what_is_no_answer_is_garbage(body):
    with pytest.raises(UpstreamGarbage):
        read_models(body)


def test_a_list_without_end_is_cut():
    listed = b'["' + b'","'.join([b"m" * 300] * 6000) + b'"]'
    models = read_models(listed)
    assert models is not None
    assert (len(models), {len(name) for name in models}) == (5000, {200})
