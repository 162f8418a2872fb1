"""OpenAI's Responses."""

from __future__ import annotations

from typing import ClassVar

from torana.dialects.base import ChatDialect
from torana.dialects.openai_labels import labels_of
from torana.dialects.openai_responses.answers import decode_answer
from torana.dialects.openai_responses.costs import prompt_texts, read_costs
from torana.dialects.openai_responses.items import without_foreign
from torana.dialects.openai_responses.reader import ResponsesReader
from torana.dialects.openai_responses.reading import read_call
from torana.dialects.openai_responses.replies import read_reply
from torana.dialects.openai_responses.requests import decode_request, encode_upstream, is_stored
from torana.dialects.openai_responses.response_object import write_reply
from torana.dialects.openai_responses.streams import ResponsesFold
from torana.dialects.openai_responses.writer import ResponsesWriter
from torana.dialects.openai_responses.writing import write_call
from torana.dialects.wire import WireRequest


class OpenAIResponses(ChatDialect):
    """The dialect of `/responses`."""

    route: ClassVar[str] = "openai.responses"
    path: ClassVar[str] = "/responses"

    decode_request = staticmethod(decode_request)
    read_costs = staticmethod(read_costs)
    prompt_texts = staticmethod(prompt_texts)
    labels = staticmethod(labels_of)
    decode_answer = staticmethod(decode_answer)
    own = staticmethod(without_foreign)
    read_call = staticmethod(read_call)
    write_call = staticmethod(write_call)
    read_reply = staticmethod(read_reply)
    write_reply = staticmethod(write_reply)
    reader = staticmethod(ResponsesReader)
    writer = staticmethod(ResponsesWriter)

    def encode_upstream(
        self,
        request: WireRequest,
        *,
        model: str,
        max_output: int | None = None,
        max_output_field: str | None = None,
    ) -> bytes:
        """See `torana.dialects.openai_responses.requests`."""
        del max_output_field  # There is only one.
        return encode_upstream(request, model=model, max_output=max_output)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> ResponsesFold:
        """See `ResponsesFold`."""
        del request_id  # OpenAI tells it in a header.
        return ResponsesFold(stored=is_stored(request), model=model, keeps_text=keeps_text)


OPENAI_RESPONSES = OpenAIResponses()
