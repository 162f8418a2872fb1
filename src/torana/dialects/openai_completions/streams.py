"""Streams of legacy completions: as those of a chat, with a `text` in place of a `delta`."""

from __future__ import annotations

import msgspec

from torana.dialects.openai_chat.answers import Choice
from torana.dialects.openai_chat.streams import ChatFold
from torana.dialects.wire import BAD_JSON


class CompletionFold(ChatFold):
    """Looks at the frames of a stream as they pass; see `ChatFold`."""

    @staticmethod
    def _piece_of(choice: Choice) -> msgspec.Raw:
        return choice.text

    @staticmethod
    def _text_of(piece: msgspec.Raw) -> str:
        try:
            return msgspec.json.decode(piece, type=str | None) or ""
        except BAD_JSON:
            return bytes(piece).decode(errors="replace")
