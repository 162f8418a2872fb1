"""OpenAI's chat completions."""

from __future__ import annotations

from typing import ClassVar

from torana.dialects.base import ChatDialect
from torana.dialects.openai_chat.answers import decode_answer
from torana.dialects.openai_chat.call_reader import read_call
from torana.dialects.openai_chat.call_writer import write_call
from torana.dialects.openai_chat.costs import prompt_texts, read_costs
from torana.dialects.openai_chat.reader import ChatReader
from torana.dialects.openai_chat.replies import read_reply, write_reply
from torana.dialects.openai_chat.requests import decode_request, encode_upstream
from torana.dialects.openai_chat.streams import ChatFold
from torana.dialects.openai_chat.writer import ChatWriter
from torana.dialects.openai_labels import labels_of
from torana.dialects.wire import WireRequest


class OpenAIChat(ChatDialect):
    """The dialect of `/chat/completions`."""

    route: ClassVar[str] = "openai.chat.completions"
    path: ClassVar[str] = "/chat/completions"

    decode_request = staticmethod(decode_request)
    encode_upstream = staticmethod(encode_upstream)
    read_costs = staticmethod(read_costs)
    prompt_texts = staticmethod(prompt_texts)
    labels = staticmethod(labels_of)
    decode_answer = staticmethod(decode_answer)
    read_call = staticmethod(read_call)
    write_call = staticmethod(write_call)
    read_reply = staticmethod(read_reply)
    write_reply = staticmethod(write_reply)
    reader = staticmethod(ChatReader)
    writer = staticmethod(ChatWriter)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> ChatFold:
        """See `ChatFold`."""
        del request_id  # OpenAI tells it in a header.
        return ChatFold(include_usage=request.include_usage, model=model, keeps_text=keeps_text)


OPENAI_CHAT = OpenAIChat()
