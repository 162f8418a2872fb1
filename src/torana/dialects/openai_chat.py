"""OpenAI's chat completions: reading what Torana must know, passing on everything else.

Same dialect in and out: a request is split into its top-level fields as raw bytes and written again
from exactly those, so unknown fields, long numbers and escapes survive, and a duplicate key can't
show the price one model and the provider another. Source: OpenAI's public API reference and the
types of the openai SDK.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from torana.core.usage import Usage
from torana.dialects import sse
from torana.dialects.openai_errors import BAD_JSON, encode_error
from torana.errors import InvalidJson, InvalidRequest, ToranaError, UpstreamError, UpstreamGarbage

DONE = b"[DONE]"
_MAX_MODEL_LENGTH = 200
_MAX_CHOICES = 128
_MAX_OUTPUT_TOKENS = 10**9
_LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What Torana reads of a request; `fields` holds all of it, raw, in its order.

    Attributes:
        max_output: the caller's limit on output tokens per choice, if there is one.
        choices: how many answers are asked for (`n`).
        include_usage: whether the caller wants the usage chunk of a stream.
        size: bytes of the body.
    """

    model: str
    stream: bool
    include_usage: bool
    max_output: int | None
    choices: int
    size: int
    fields: dict[str, msgspec.Raw]


def decode_request(body: bytes) -> ChatRequest:
    """Read a request.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field that Torana reads is missing or malformed; `param` names it.
    """
    fields = _decode_fields(body)
    model = _required(fields, "model", str)
    if not model or len(model) > _MAX_MODEL_LENGTH or not model.isprintable():
        raise InvalidRequest(
            f"'model' must be a name of 1 to {_MAX_MODEL_LENGTH} printable characters.",
            param="model",
        )
    if "messages" not in fields:
        raise InvalidRequest("Missing required parameter: 'messages'.", param="messages")
    stream = _optional(fields, "stream", bool) or False
    options = _optional(fields, "stream_options", _StreamOptions)
    if options is not None and not stream:
        raise InvalidRequest(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    choices = _optional(fields, "n", int)
    choices = 1 if choices is None else choices
    if not 1 <= choices <= _MAX_CHOICES:
        raise InvalidRequest(f"'n' must be between 1 and {_MAX_CHOICES}.", param="n")
    return ChatRequest(
        model=model,
        stream=stream,
        include_usage=bool(options is not None and options.include_usage),
        max_output=_max_output(fields),
        choices=choices,
        size=len(body),
        fields=fields,
    )


def encode_upstream(
    request: ChatRequest,
    *,
    model: str,
    max_output: int | None = None,
    max_output_field: str = "max_tokens",
) -> bytes:
    """The body for a provider: the caller's own fields, with the provider's name of the model.

    A stream is always asked for its usage, because the ledger needs it; `StreamFold` takes the
    chunk out again when the caller did not want it.

    Args:
        request: the caller's.
        model: the provider's name of the model.
        max_output: output tokens a choice that a budget has room for, in place of the caller's.
        max_output_field: what to write them to, when the caller has no such field.
    """
    fields = dict(request.fields)
    fields["model"] = msgspec.Raw(_encoder.encode(model))
    if max_output is not None:
        names = [name for name in _LIMIT_FIELDS if name in fields] or [max_output_field]
        for name in names:
            fields[name] = msgspec.Raw(b"%d" % max_output)
    if request.stream and not request.include_usage:
        raw = request.fields.get("stream_options")
        options = _decode_fields(bytes(raw)) if raw is not None and bytes(raw) != b"null" else {}
        options["include_usage"] = msgspec.Raw(b"true")
        fields["stream_options"] = msgspec.Raw(_encoder.encode(options))
    return _encoder.encode(fields)


# --- answers -----------------------------------------------------------------------------------


_Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""A count that the ledger can hold; anything else is not a usage."""


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None
    audio_tokens: _Tokens | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: _Tokens | None = None
    audio_tokens: _Tokens | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Tokens
    completion_tokens: _Tokens = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None
    delta: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_answer_decoder = msgspec.json.Decoder(_Answer)


class ChatAnswer(msgspec.Struct, frozen=True):
    """A JSON answer: the bytes for the caller, and the usage if the provider told it."""

    body: bytes
    usage: Usage | None


def decode_answer(body: bytes, *, model: str | None = None) -> ChatAnswer:
    """Read a provider's JSON answer.

    Args:
        body: its bytes, which are passed on as they are.
        model: a name to put in the place of the provider's, if that is wanted.

    Raises:
        UpstreamGarbage: it is not a chat completion.
        UpstreamError: it is an error in the clothes of a success.
    """
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        answer = _answer_decoder.decode(body)
    except BAD_JSON as error:
        raise UpstreamGarbage("The provider's answer is not a chat completion.") from error
    if bytes(answer.error) != b"null":
        raise UpstreamError("The provider answered with an error under a success status.")
    if answer.choices is None:
        raise UpstreamGarbage("The provider's answer is not a chat completion.")
    if model is not None:
        try:
            body = _with_model(body, model)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider's answer is not a chat completion.") from error
    return ChatAnswer(body, None if answer.usage is None else _usage(answer.usage))


class StreamFold:
    """Looks at the frames of a stream as they pass and remembers what the ledger needs.

    Args:
        include_usage: whether the caller asked for the usage chunk; else it is taken out.
        model: a name to put in the place of the provider's, if that is wanted.
        keeps_text: whether to remember the text that passes, so that a stream that is cut can be
            counted.

    Attributes:
        usage: the usage that the provider has told so far.
        done: `[DONE]` was seen.
    """

    def __init__(
        self, *, include_usage: bool, model: str | None = None, keeps_text: bool = False
    ) -> None:
        self._include_usage = include_usage
        self._deltas: list[msgspec.Raw] | None = [] if keeps_text else None
        self._model = model
        self.usage: Usage | None = None
        self.done = False
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
        return "".join(_visible(delta) for delta in self._deltas)

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
            chunk = _answer_decoder.decode(data)
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
            return sse.encode(_with_model(data, self._model))
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not a chunk.") from error

    def _note(self, chunk: _Answer) -> None:
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            self._seen.add(choice.index)
            if self._deltas is not None:
                self._deltas.append(choice.delta.copy())
            if choice.finish_reason is not None:
                self._finished.add(choice.index)


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


def encode_done() -> bytes:
    """The end of a stream."""
    return sse.encode(DONE)


def encode_error_event(error: ToranaError) -> bytes:
    """An error after the first byte: the SDKs raise it, and nothing fakes a finish."""
    return sse.encode(_encoder.encode(encode_error(error)))


# --- parts -------------------------------------------------------------------------------------


def _decode_fields(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        return _fields_decoder.decode(body)
    except BAD_JSON as error:
        raise InvalidJson(
            "The body must be a JSON object.", hint=f"The parser says: {error}."
        ) from None


def _optional(fields: dict[str, msgspec.Raw], name: str, kind: type[Any]) -> Any:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except BAD_JSON as error:
        raise InvalidRequest(f"Invalid value for '{name}': {error}.", param=name) from None


def _required(fields: dict[str, msgspec.Raw], name: str, kind: type[Any]) -> Any:
    value = _optional(fields, name, kind)
    if value is None:
        raise InvalidRequest(f"Missing required parameter: '{name}'.", param=name)
    return value


def _max_output(fields: dict[str, msgspec.Raw]) -> int | None:
    """`max_completion_tokens` or the older `max_tokens`; a provider may obey either: the larger."""
    limits = []
    for name in _LIMIT_FIELDS:
        value = _optional(fields, name, int)
        if value is not None:
            if not 0 <= value <= _MAX_OUTPUT_TOKENS:
                raise InvalidRequest(
                    f"'{name}' must be between 0 and {_MAX_OUTPUT_TOKENS:,}.", param=name
                )
            limits.append(value)
    return max(limits, default=None)


def _usage(usage: _Usage) -> Usage:
    """OpenAI's arithmetic: prompt and completion include their cached, audio and reasoning parts.

    What was read from a cache may be audio; it is counted as cached, and once.
    """
    prompt = usage.prompt_tokens_details
    completion = usage.completion_tokens_details
    cached = (prompt.cached_tokens or 0) if prompt is not None else 0
    written = (prompt.cache_write_tokens or 0) if prompt is not None else 0
    uncached = max(usage.prompt_tokens - cached - written, 0)
    heard = min((prompt.audio_tokens or 0) if prompt is not None else 0, uncached)
    reasoning = (completion.reasoning_tokens or 0) if completion is not None else 0
    spoken = (completion.audio_tokens or 0) if completion is not None else 0
    return Usage(
        input_tokens=uncached - heard,
        cached_tokens=cached,
        cache_write_tokens=written,
        input_audio_tokens=heard,
        output_tokens=max(usage.completion_tokens - reasoning - spoken, 0),
        reasoning_tokens=reasoning,
        output_audio_tokens=spoken,
    )


def _with_model(body: bytes, model: str) -> bytes:
    fields = _fields_decoder.decode(body)
    fields["model"] = msgspec.Raw(_encoder.encode(model))
    return _encoder.encode(fields)
