"""The terminal event of a stream is read to its last byte, for nothing comes after it."""

from __future__ import annotations

import json

import pytest

from torana.dialects import sse
from torana.dialects.openai_responses.streams import ResponsesFold
from torana.errors import UpstreamGarbage

RESPONSE = json.dumps({"id": "resp_1", "object": "response", "status": "completed"}).encode()


@pytest.mark.parametrize("place", ["beside the response", "in the response"])
def test_bytes_that_are_no_text_in_the_terminal_event_are_garbage(place):
    inside = b',"odd":"\xff"' if place == "in the response" else b""
    beside = b',"odd":"\xff"' if place == "beside the response" else b""
    data = b'{"type":"response.completed"%b,"response":%b}' % (
        beside,
        RESPONSE[:-1] + inside + b"}",
    )
    fold = ResponsesFold(stored=True)
    with pytest.raises(UpstreamGarbage):
        fold.pass_on(sse.encode(data), data)
    assert not fold.done
