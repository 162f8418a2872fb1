"""Streams of OpenAI's chat completions: frames that pass, and what is remembered of them."""

from __future__ import annotations

import msgspec

from torana.dialects import sse, wire
from torana.dialects.base import WireFold
from torana.dialects.openai_chat.answers import Choice, Chunk, decode_chunk, usage_of
from torana.dialects.openai_errors import encode_error
from torana.dialects.wire import BAD_JSON
from torana.errors import ToranaError, UpstreamGarbage

DONE = b"[DONE]"
PING = b": ping\n\n"


class ChatFold(WireFold):
    """Looks at the frames of a stream as they pass and remembers what the ledger needs.

    Args:
        include_usage: whether the caller asked for the usage chunk; else it is taken out.
        model: a name to put in the place of the provider's, if that is wanted.
        keeps_text: whether to remember the text that passes, so that a stream that is cut can be
            counted.

    Attributes:
        usage: the usage of the whole answer, once the provider has told it.
        done: `[DONE]` was seen.
    """

    def __init__(
        self, *, include_usage: bool, model: str | None = None, keeps_text: bool = False
    ) -> None:
        self._include_usage = include_usage
        self._deltas: list[msgspec.Raw] | None = [] if keeps_text else None
        self._model = model
        self._seen: set[int] = set()
        self._finished: set[int] = set()

    @property
    def finished(self) -> bool:
        """Whether the stream has come to an end of its own: `[DONE]`, or every choice's reason."""
        return self.done or (bool(self._finished) and self._seen == self._finished)

    @property
    def visible(self) -> str | None:
        """The text that has passed, tool calls as their JSON; None when it was not remembered."""
        if self._deltas is None:
            return None
        return "".join(self._text_of(delta) for delta in self._deltas)

    def pass_on(self, frame: bytes, data: bytes | None) -> bytes:
        """What the caller gets for a frame: its own bytes, changed ones, or nothing.

        Args:
            frame: the frame's bytes.
            data: what `sse.data_of` says of it.

        Raises:
            UpstreamGarbage: the data is not a chunk, or is an error of the provider.
        """
        if not data:
            return frame  # A comment: the provider keeps the connection alive.
        if data == DONE:
            self.done = True
            return b""
        try:
            chunk, readable = decode_chunk(data)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not a chunk.") from error
        if bytes(chunk.error) != b"null":
            raise UpstreamGarbage("The provider reported an error in the middle of its answer.")
        self._note(chunk)
        if chunk.usage is not None and not chunk.choices and not self._include_usage:
            return b""
        if self._model is None:
            return frame
        try:
            return sse.encode(wire.with_model(readable, self._model))
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not a chunk.") from error

    def end(self) -> bytes:
        """The end of a stream."""
        return sse.encode(DONE)

    def error(self, error: ToranaError) -> bytes:
        """An error after the first byte: the SDKs raise it, and nothing fakes a finish."""
        return encode_error_event(error)

    def ping(self) -> bytes:
        """A comment."""
        return PING

    @staticmethod
    def _piece_of(choice: Choice) -> msgspec.Raw:
        """What of a choice is to be remembered."""
        return choice.delta

    @staticmethod
    def _text_of(piece: msgspec.Raw) -> str:
        """The visible text of what was remembered."""
        return _visible(piece)

    def _note(self, chunk: Chunk) -> None:
        for choice in chunk.choices or ():
            self._seen.add(choice.index)
            if self._deltas is not None:
                self._deltas.append(self._piece_of(choice).copy())
            if choice.finish_reason is not None:
                self._finished.add(choice.index)
        if chunk.usage is not None and (not chunk.choices or self.finished):
            # Some servers tell it with every chunk: so far, it is too little.
            self.usage = usage_of(chunk.usage)


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"")


def _visible(delta: msgspec.Raw) -> str:
    try:
        found = msgspec.json.decode(delta, type=_Delta | None)
    except BAD_JSON:
        return bytes(delta).decode(errors="replace")
    if found is None:
        return ""
    calls = bytes(found.tool_calls).decode(errors="replace")
    return f"{found.content or ''}{found.refusal or ''}{calls}"


def encode_error_event(error: ToranaError) -> bytes:
    """A data object with a top-level `error`, as OpenAI's server sends it in mid-stream."""
    return sse.encode(wire.encode_fields(encode_error(error)))
