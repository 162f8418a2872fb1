"""OpenAI's legacy completions: a prompt is gone on with."""

from __future__ import annotations

from typing import ClassVar

from torana.dialects.base import ChatDialect
from torana.dialects.openai_chat.answers import decode_answer
from torana.dialects.openai_completions.calls import read_call, write_call
from torana.dialects.openai_completions.costs import prompt_texts, read_costs
from torana.dialects.openai_completions.replies import (
    CompletionReader,
    CompletionWriter,
    read_reply,
    write_reply,
)
from torana.dialects.openai_completions.requests import decode_request, encode_upstream
from torana.dialects.openai_completions.streams import CompletionFold
from torana.dialects.openai_labels import labels_of
from torana.dialects.wire import WireRequest


class OpenAICompletions(ChatDialect):
    """The dialect of `/completions`."""

    route: ClassVar[str] = "openai.completions"
    path: ClassVar[str] = "/completions"

    decode_request = staticmethod(decode_request)
    read_costs = staticmethod(read_costs)
    prompt_texts = staticmethod(prompt_texts)
    labels = staticmethod(labels_of)
    decode_answer = staticmethod(decode_answer)
    read_call = staticmethod(read_call)
    write_call = staticmethod(write_call)
    read_reply = staticmethod(read_reply)
    write_reply = staticmethod(write_reply)
    reader = staticmethod(CompletionReader)
    writer = staticmethod(CompletionWriter)

    def encode_upstream(
        self,
        request: WireRequest,
        *,
        model: str,
        max_output: int | None = None,
        max_output_field: str | None = None,
    ) -> bytes:
        """See `torana.dialects.openai_completions.requests`."""
        del max_output_field  # There is one name only.
        return encode_upstream(request, model=model, max_output=max_output)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> CompletionFold:
        """See `CompletionFold`."""
        del request_id  # OpenAI tells it in a header.
        return CompletionFold(
            include_usage=request.include_usage, model=model, keeps_text=keeps_text
        )


OPENAI_COMPLETIONS = OpenAICompletions()
