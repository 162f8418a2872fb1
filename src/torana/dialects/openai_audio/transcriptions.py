"""Recordings that are written down, or translated into English.

Models are billed by the length of the recording or by tokens; `json` and `verbose_json` tell. The
plain formats (`text`, `srt`, `vtt`) tell nothing, so they cost what the recording's bytes can
come to; only of a plain WAV file is that exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

import msgspec

from torana.core.usage import Usage
from torana.dialects.base import WireAnswer, WireFold
from torana.dialects.costs import CallCosts, MediaCosts
from torana.dialects.media import Form, MediaDialect, Rule, flag, read_answer, refuse_stream, text
from torana.dialects.media_events import Event, EventFold
from torana.dialects.openai_audio.lengths import SLOWEST_BYTES, seconds_at_most
from torana.dialects.openai_chat.answers import Tokens
from torana.dialects.uploads import UploadRequest
from torana.dialects.wire import BAD_JSON, WireRequest, missing
from torana.errors import InvalidRequest, UpstreamGarbage

_SHARED: Mapping[str, Rule] = {
    "file": Rule.AUDIO,
    "model": Rule.FREE,
    "prompt": Rule.PROMPT,
    "response_format": Rule.FREE,
    "temperature": Rule.FREE,
}
FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        **_SHARED,
        "chunking_strategy": Rule.FREE,
        "include": Rule.FREE,
        "keywords": Rule.PROMPT,
        "known_speaker_names": Rule.PROMPT,
        # Short recordings, as data in a text.
        "known_speaker_references": Rule.AUDIO,
        "language": Rule.FREE,
        "languages": Rule.FREE,
        "stream": Rule.FREE,
        "timestamp_granularities": Rule.FREE,
    }
)
"""Every field of the openai SDK's `TranscriptionCreateParams`."""
TRANSLATION_FIELDS: Mapping[str, Rule] = MappingProxyType(dict(_SHARED))
"""Every field of its `TranslationCreateParams`."""
AUDIO_TOKENS_A_SECOND = 50
"""More than any model is known to make of a second of audio: 10 to 32."""
TEXT_TOKENS_A_SECOND = 25
"""More than anybody says in a second."""
TEXT_TOKENS = 256
"""Marks around what was said, however short it is."""
_PLAIN_FORMATS = {"text", "srt", "vtt"}
_MOST_SECONDS = 10**9


class _Listening(MediaDialect):
    """What both routes share."""

    takes_json: ClassVar[bool] = False
    takes_forms: ClassVar[bool] = True

    def check(self, request: WireRequest) -> None:
        """That there is one recording."""
        files = request.upload.files("file") if isinstance(request, UploadRequest) else []
        if not files:
            raise missing("file")
        if len(files) > 1:
            raise InvalidRequest("The field 'file' occurs twice.", param="file")
        text(request, "response_format")

    def form(self, request: WireRequest) -> Form:
        """Text in the plain formats, else JSON."""
        plain = text(request, "response_format") in _PLAIN_FORMATS
        return Form.TEXT if plain else Form.JSON

    def read_costs(self, request: WireRequest) -> CallCosts:
        """The recording by the seconds that its bytes can be, all else by its bytes."""
        found = self.look(request)
        seconds = 0
        if isinstance(request, UploadRequest):
            for file in request.upload.files("file"):
                seconds += seconds_at_most(file.size, file.read)
            seconds += sum(
                -(-len(raw) // SLOWEST_BYTES)
                for name, raw in request.fields.items()
                if name.startswith("known_speaker_references")
            )
        media = MediaCosts(
            audio_seconds=seconds,
            audio_tokens_in=seconds * AUDIO_TOKENS_A_SECOND,
            text_tokens_out=seconds * TEXT_TOKENS_A_SECOND + TEXT_TOKENS,
        )
        return msgspec.structs.replace(found.costs(no_output=True), media=media)

    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """See `Dialect`; an answer does not name the model."""
        del model
        answer, body = read_answer(body, _decoder, what="a transcription", model=None)
        if answer.text is None:
            raise UpstreamGarbage("The provider's answer is not a transcription.")
        return WireAnswer(body, _usage_of(answer.usage, answer.duration))


class OpenAITranscriptions(_Listening):
    """The dialect of `/audio/transcriptions`."""

    route: ClassVar[str] = "openai.audio.transcriptions"
    path: ClassVar[str] = "/audio/transcriptions"
    rules: ClassVar[Mapping[str, Rule]] = FIELDS
    nested: ClassVar[frozenset[str]] = frozenset(
        {
            *("chunking_strategy", "include", "keywords", "languages"),
            *("known_speaker_names", "known_speaker_references", "timestamp_granularities"),
        }
    )

    def check(self, request: WireRequest) -> None:
        """Also that `stream` is yes or no."""
        super().check(request)
        flag(request, "stream")

    def form(self, request: WireRequest) -> Form:
        """Events where they are asked for."""
        return Form.EVENTS if flag(request, "stream") else super().form(request)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> WireFold:
        """See `Dialect`."""
        del request, request_id, model, keeps_text
        return EventFold(last={"transcript.text.done"}, usage_of=_usage_of_event)


class OpenAITranslations(_Listening):
    """The dialect of `/audio/translations`."""

    route: ClassVar[str] = "openai.audio.translations"
    path: ClassVar[str] = "/audio/translations"
    rules: ClassVar[Mapping[str, Rule]] = TRANSLATION_FIELDS

    def check(self, request: WireRequest) -> None:
        """Also that no stream is asked for."""
        super().check(request)
        if flag(request, "stream"):
            refuse_stream()


# --- answers -----------------------------------------------------------------------------------

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=_MOST_SECONDS)]


class _Details(msgspec.Struct):
    audio_tokens: Tokens | None = None
    text_tokens: Tokens | None = None


class _AudioUsage(msgspec.Struct):
    """Usage by tokens or by duration; which, its members tell."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    input_token_details: _Details | None = None
    seconds: _Seconds | None = None


class _Answer(msgspec.Struct):
    text: str | None = None
    duration: msgspec.Raw = msgspec.Raw(b"null")
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Answer)
_usage_decoder = msgspec.json.Decoder(_AudioUsage | None)
_text_seconds_decoder = msgspec.json.Decoder(_Seconds | None, strict=False)


def _usage_of(raw: msgspec.Raw, duration: msgspec.Raw) -> Usage | None:
    """What an answer reports, in tokens, in seconds, or both; None when it is neither."""
    try:
        usage = _usage_decoder.decode(raw) or _AudioUsage()
        # Older servers write the duration as a text.
        seconds = _text_seconds_decoder.decode(duration)
    except BAD_JSON:
        return None
    if usage.seconds is not None:
        seconds = usage.seconds
    heard = 0 if seconds is None else math.ceil(seconds)
    if usage.input_tokens is None or usage.output_tokens is None:
        return None if seconds is None else Usage(audio_seconds=heard)
    details = usage.input_token_details
    words = min((details.text_tokens or 0) if details is not None else 0, usage.input_tokens)
    return Usage(
        input_tokens=words,
        input_audio_tokens=usage.input_tokens - words,
        output_tokens=usage.output_tokens,
        audio_seconds=heard,
    )


def _usage_of_event(event: Event) -> Usage | None:
    return _usage_of(event.usage, msgspec.Raw(b"null"))


OPENAI_TRANSCRIPTIONS = OpenAITranscriptions()
OPENAI_TRANSLATIONS = OpenAITranslations()
