"""Streams of Anthropic's messages: frames that pass, and what is remembered of them."""

from __future__ import annotations

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.anthropic.answers import NULL, WireUsage, decoded, merged, usage_of
from torana.dialects.anthropic_errors import encode_error_event, frame
from torana.dialects.base import WireFold
from torana.dialects.wire import BAD_JSON
from torana.errors import (
    ToranaError,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
)

PING = frame(b"ping", b'{"type": "ping"}')
STOP = frame(b"message_stop", b'{"type":"message_stop"}')
_DELTAS = (b'{"type":"content_block_delta"', b'{"type": "content_block_delta"')
"""How nearly every frame begins: there is nothing in these that must be known to pass them on."""


class _Message(msgspec.Struct):
    usage: WireUsage | None = None


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    """An event, as far as Torana reads it to pass it on."""

    type: str
    message: _Message | None = None
    delta: _Delta | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(_Event)


class _Error(msgspec.Struct):
    type: str | None = None


def error_of(raw: msgspec.Raw, *, began: bool) -> UpstreamError:
    """The error of an error event.

    Args:
        raw: its `error` object.
        began: the answer had begun, so the provider may charge for what it did.
    """
    try:
        kind = msgspec.json.decode(raw, type=_Error).type
    except BAD_JSON:
        kind = None
    if kind == "overloaded_error" and not began:
        return UpstreamOverloaded("The provider is overloaded.")
    if kind == "rate_limit_error" and not began:
        return UpstreamRateLimited("The provider's rate limit is used up.")
    return UpstreamGarbage("The provider reported an error in the middle of its answer.")


class MessageFold(WireFold):
    """Looks at the frames of a stream as they pass and remembers what the ledger needs.

    Args:
        request_id: for error frames.
        model: a name to put in the place of the provider's, if that is wanted.
        keeps_text: whether to remember the text that passes, so that a stream that is cut can be
            counted.

    Attributes:
        usage: the usage of the whole answer, once the provider has told it.
        done: `message_stop` was seen.
    """

    def __init__(
        self, *, request_id: str, model: str | None = None, keeps_text: bool = False
    ) -> None:
        self._request_id = request_id
        self._model = model
        self._passed: list[bytes] | None = [] if keeps_text else None
        self._told: WireUsage | None = None
        self._began = False
        self._stopped = False
        self._end = STOP
        self.usage: Usage | None = None
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether the stream has come to an end of its own: a reason to stop was told."""
        return self.done or self._stopped

    @property
    def visible(self) -> str | None:
        """The text that has passed, tool calls as their JSON; None when it was not remembered."""
        if self._passed is None:
            return None
        return "".join(map(_visible, self._passed))

    def pass_on(self, frame: bytes, data: bytes | None) -> bytes:
        """What the caller gets for a frame: its own bytes, changed ones, or nothing.

        Args:
            frame: the frame's bytes.
            data: what `sse.data_of` says of it.

        Raises:
            UpstreamOverloaded: the provider said so before its answer began.
            UpstreamGarbage: the data is not an event, or is an error of the provider.
        """
        if not data:
            return frame  # A comment: the provider keeps the connection alive.
        if data.startswith(_DELTAS):
            if self._passed is not None:
                self._passed.append(data)
            return frame
        try:
            event, readable = decoded(_decoder, data)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not an event.") from error
        return self._look(event, frame, readable)

    def end(self) -> bytes:
        """The provider's own last frame."""
        return self._end

    def error(self, error: ToranaError) -> bytes:
        """An error after the first byte: the SDKs raise it, and nothing fakes a finish."""
        return encode_error_event(error, self._request_id)

    def ping(self) -> bytes:
        """A `ping`, as the provider sends it."""
        return PING

    def _look(self, event: _Event, frame: bytes, data: bytes) -> bytes:
        kind = event.type
        if kind == "error":
            raise error_of(event.error, began=self._began)
        if kind == "message_start":
            self._began = True
            if event.message is not None and event.message.usage is not None:
                # It is known what was read, and nothing of what will be written.
                self._told = merged(self._told, event.message.usage)
            return frame if self._model is None else _renamed(data, self._model)
        if kind == "message_delta":
            self._stopped = self._stopped or (
                event.delta is not None and event.delta.stop_reason is not None
            )
            self._note(event.usage)
        elif kind == "message_stop":
            self.done = True
            self._end = frame
            return b""
        elif self._passed is not None and kind.startswith("content_block_"):
            self._passed.append(data)
        return frame

    def _note(self, usage: WireUsage | None) -> None:
        if usage is not None:
            self._told = merged(self._told, usage)
            # Before the end it is what there was so far: too little.
            self.usage = usage_of(self._told) if self._stopped else None


def _renamed(data: bytes, model: str) -> bytes:
    """A `message_start` with another name of the model."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        fields["message"] = msgspec.Raw(wire.with_model(bytes(fields["message"]), model))
    except (*BAD_JSON, KeyError) as error:
        raise UpstreamGarbage("The provider sent something that is not an event.") from error
    return frame(b"message_start", wire.encode_fields(fields))


class _Grown(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    name: str = ""


class _Content(msgspec.Struct):
    delta: _Grown | None = None
    content_block: _Grown | None = None


_content_decoder = msgspec.json.Decoder(_Content)


def _visible(data: bytes) -> str:
    try:
        found, _ = decoded(_content_decoder, data)
    except BAD_JSON:
        return data.decode(errors="replace")
    grown = found.delta or found.content_block or _Grown()
    return f"{grown.name}{grown.thinking}{grown.text}{grown.partial_json}"
