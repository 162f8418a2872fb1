"""A text that is read aloud: the answer is the audio itself, or a stream of events with it.

Models are billed by the characters of the text, or by tokens. Only the events tell tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NoReturn

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import WireAnswer
from torana.dialects.costs import CallCosts, MediaCosts
from torana.dialects.media import Form, MediaDialect, Rule, required_text, text
from torana.dialects.media_events import Event, EventFold
from torana.dialects.openai_chat.answers import Tokens
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import InvalidRequest, UpstreamGarbage

FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        "input": Rule.SPOKEN,
        "model": Rule.FREE,
        "voice": Rule.FREE,
        "instructions": Rule.PROMPT,
        "response_format": Rule.FREE,
        "speed": Rule.LIMIT,
        "stream_format": Rule.FREE,
    }
)
"""Every field of the openai SDK's `SpeechCreateParams`."""
TOKENS_PER_BYTE = 16
"""Tokens of speech that a byte of text comes to at most: OpenAI's models make about 21 a second, so
this is three quarters of a second, for which a digit or a letter that is spelt out is enough."""
SLOWEST = 0.25


class OpenAISpeech(MediaDialect):
    """The dialect of `/audio/speech`."""

    route: ClassVar[str] = "openai.audio.speech"
    path: ClassVar[str] = "/audio/speech"
    rules: ClassVar[Mapping[str, Rule]] = FIELDS

    def check(self, request: WireRequest) -> None:
        """That there is a text, and how the answer shall come."""
        required_text(request, "input")
        text(request, "stream_format")
        speed = wire.optional(request.fields, "speed", float)
        if speed is not None and not SLOWEST <= speed <= 100:
            raise InvalidRequest(f"'speed' must be between {SLOWEST} and 100.", param="speed")

    def form(self, request: WireRequest) -> Form:
        """Events where they are asked for, else the audio."""
        return Form.EVENTS if text(request, "stream_format") == "sse" else Form.BINARY

    def used(self, request: WireRequest) -> Usage:
        """The characters of the text."""
        return Usage(characters=_characters(request))

    def read_costs(self, request: WireRequest) -> CallCosts:
        """The text by its characters and bytes, and the speech that they can come to."""
        found = self.look(request)
        spoken = len(request.fields["input"])
        slowness = 1 / min(wire.optional(request.fields, "speed", float) or 1.0, 1.0)
        media = MediaCosts(
            characters=_characters(request),
            speech_tokens_out=math.ceil(spoken * TOKENS_PER_BYTE * slowness),
        )
        return msgspec.structs.replace(found.costs(no_output=True), media=media)

    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """Refused: no answer of this route is JSON.

        Raises:
            UpstreamGarbage: always.
        """
        del body, model
        _refuse()

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> EventFold:
        """See `Dialect`."""
        del request_id, model, keeps_text
        characters = _characters(request)

        def usage_of(event: Event) -> Usage | None:
            return _usage_of(event.usage, characters)

        return EventFold(last={"speech.audio.done"}, usage_of=usage_of)


def _characters(request: WireRequest) -> int:
    return len(required_text(request, "input"))


def _refuse() -> NoReturn:
    raise UpstreamGarbage("The provider's answer is not audio.")


class _SpeechUsage(msgspec.Struct):
    input_tokens: Tokens
    output_tokens: Tokens


_usage_decoder = msgspec.json.Decoder(_SpeechUsage | None)


def _usage_of(raw: msgspec.Raw, characters: int) -> Usage | None:
    try:
        usage = _usage_decoder.decode(raw)
    except BAD_JSON:
        return None
    if usage is None:
        return Usage(characters=characters)
    return Usage(
        input_tokens=usage.input_tokens,
        output_audio_tokens=usage.output_tokens,
        characters=characters,
    )


OPENAI_SPEECH = OpenAISpeech()
