"""Streams of OpenAI's Responses: frames that pass, and what is remembered of them."""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.base import WireFold
from torana.dialects.openai_responses.answers import (
    NULL,
    Summary,
    check,
    failure_of,
    summary_decoder,
    usage_of,
)
from torana.dialects.openai_responses.frames import PING, encode_error
from torana.dialects.openai_responses.values import decode
from torana.dialects.wire import BAD_JSON
from torana.errors import ToranaError, UpstreamError, UpstreamGarbage

DONE = b"[DONE]"
"""Some look-alikes send it, because their chat streams end so."""
TERMINAL = frozenset({"response.completed", "response.incomplete"})
_VISIBLE = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
    }
)


class ErrorBody(msgspec.Struct):
    """What an `error` event says."""

    code: str | int | None = None
    message: str | None = None
    param: str | None = None
    type: str | None = None


class Frame(msgspec.Struct):
    """An event, as far as Torana reads it as it passes."""

    type: str
    sequence_number: int = -1
    delta: msgspec.Raw = NULL
    response: msgspec.Raw = NULL
    error: ErrorBody | None = None


_frame_decoder = msgspec.json.Decoder(Frame)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_error_decoder = msgspec.json.Decoder(ErrorBody)


class ResponsesFold(WireFold):
    """Looks at the frames of a stream as they pass and remembers what the ledger needs.

    The terminal event is held back to `end`, because it tells the caller that all is well.

    Args:
        stored: whether the caller wants to come back to the answer.
        model: a name to put in the place of the provider's, if that is wanted.
        keeps_text: whether to remember the text that passes, so that a stream that is cut can be
            counted.
    """

    def __init__(
        self, *, stored: bool = True, model: str | None = None, keeps_text: bool = False
    ) -> None:
        self._stored = stored
        self._model = model
        self._deltas: list[msgspec.Raw] | None = [] if keeps_text else None
        self._sequence = -1
        self._last = b""
        self._response: bytes | None = None

    @property
    def finished(self) -> bool:
        """Whether the terminal event was seen: nothing else ends such a stream."""
        return self.done

    @property
    def visible(self) -> str | None:
        """The text that has passed, tool calls as their JSON; None when it was not remembered."""
        if self._deltas is None:
            return None
        return "".join(map(_text, self._deltas))

    @property
    def kept(self) -> bytes | None:
        """The JSON of the final `response`, where the caller can come back to it."""
        return self._response

    def pass_on(self, frame: bytes, data: bytes | None) -> bytes:
        """What the caller gets for a frame: its own bytes, changed ones, or nothing.

        Raises:
            UpstreamGarbage: the data is not an event.
            UpstreamError: the provider reports a failure.
        """
        if not data:
            return frame  # A comment: the provider keeps the connection alive.
        if data == DONE:
            return b""
        try:
            event, data = decode(_frame_decoder, data)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not an event.") from error
        kind = event.type
        if self._deltas is not None and kind in _VISIBLE:
            self._deltas.append(event.delta.copy())
        if kind == "error":
            raise error_of(data, event.error)
        if bytes(memoryview(event.response)[:1]) == b"{":
            frame = self._pass_response(frame, data, event)
        if not self.done:
            self._sequence = max(self._sequence + 1, event.sequence_number)
        return b"" if self.done else frame

    def end(self) -> bytes:
        """The terminal event."""
        return self._last

    def error(self, error: ToranaError) -> bytes:
        """An error after the first byte, numbered after the last frame that has passed."""
        return encode_error(error, self._sequence + 1)

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def _pass_response(self, frame: bytes, data: bytes, event: Frame) -> bytes:
        """An event with the whole response in it: the first two, and the last."""
        ended = event.type in TERMINAL
        try:
            if ended or event.type == "response.failed":
                self._note(summary_decoder.decode(event.response), failed=not ended)
            response = bytes(event.response)
            if ended:
                data.decode()  # The decoder checks the text only of what it reads.
            if self._model is not None:
                response = wire.with_model(response, self._model)
                fields = _fields_decoder.decode(data)
                fields["response"] = msgspec.Raw(response)
                name = event.type.encode()
                frame = b"event: %b\ndata: %b\n\n" % (name, wire.encode_fields(fields))
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not an event.") from error
        if ended:
            self._last = frame
            self.done = True
            self._response = response if self._stored else None
        return frame

    def _note(self, summary: Summary, *, failed: bool) -> None:
        if summary.usage is not None:
            self.usage = usage_of(summary.usage)
        if failed and summary.error is None:
            raise failure_of(None, None)
        check(summary)
        if summary.store is False:
            self._stored = False


def error_of(data: bytes, nested: ErrorBody | None) -> UpstreamError:
    """The error for an `error` event: flat, as OpenAI sends it, or nested as in a body."""
    try:
        found = nested or _error_decoder.decode(data)
    except BAD_JSON:
        found = ErrorBody()
    return failure_of(found.code, found.message, param=found.param)


def _text(delta: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(delta, type=str)
    except BAD_JSON:
        return bytes(delta).decode(errors="replace")
