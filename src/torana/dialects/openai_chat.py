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
from torana.errors import InvalidJson, InvalidRequest, ToranaError, UpstreamError, UpstreamGarbage

DONE = b"[DONE]"
_MAX_MODEL_LENGTH = 200
_MAX_CHOICES = 128
_MAX_OUTPUT_TOKENS = 10**9
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for bytes that are not the JSON that is wanted."""
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


def encode_upstream(request: ChatRequest, *, model: str) -> bytes:
    """The body for a provider: the caller's own fields, with the provider's name of the model.

    A stream is always asked for its usage, because the ledger needs it; `StreamFold` takes the
    chunk out again when the caller did not want it.
    """
    fields = dict(request.fields)
    fields["model"] = msgspec.Raw(_encoder.encode(model))
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


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: _Tokens | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Tokens
    completion_tokens: _Tokens = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


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
    except _BAD_JSON as error:
        raise UpstreamGarbage("The provider's answer is not a chat completion.") from error
    if bytes(answer.error) != b"null":
        raise UpstreamError("The provider answered with an error under a success status.")
    if answer.choices is None:
        raise UpstreamGarbage("The provider's answer is not a chat completion.")
    if model is not None:
        try:
            body = _with_model(body, model)
        except _BAD_JSON as error:
            raise UpstreamGarbage("The provider's answer is not a chat completion.") from error
    return ChatAnswer(body, None if answer.usage is None else _usage(answer.usage))


class StreamFold:
    """Looks at the frames of a stream as they pass and remembers what the ledger needs.

    Args:
        include_usage: whether the caller asked for the usage chunk; else it is taken out.
        model: a name to put in the place of the provider's, if that is wanted.

    Attributes:
        usage: the usage that the provider has told so far.
        done: `[DONE]` was seen.
    """

    def __init__(self, *, include_usage: bool, model: str | None = None) -> None:
        self._include_usage = include_usage
        self._model = model
        self.usage: Usage | None = None
        self.done = False
        self._seen: set[int] = set()
        self._finished: set[int] = set()

    @property
    def finished(self) -> bool:
        """Whether the stream has come to an end of its own: `[DONE]`, or every choice's reason."""
        return self.done or (bool(self._finished) and self._seen == self._finished)

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
        except _BAD_JSON as error:
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
        except _BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not a chunk.") from error

    def _note(self, chunk: _Answer) -> None:
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            self._seen.add(choice.index)
            if choice.finish_reason is not None:
                self._finished.add(choice.index)


def encode_done() -> bytes:
    """The end of a stream."""
    return sse.encode(DONE)


def encode_error(error: ToranaError) -> dict[str, Any]:
    """An error object: all four keys, `param` and `code` strings or null."""
    return {
        "error": {
            "message": error.public_message,
            "type": error.kind,
            "param": error.param,
            "code": error.public_code,
        }
    }


def encode_error_event(error: ToranaError) -> bytes:
    """An error after the first byte: the SDKs raise it, and nothing fakes a finish."""
    return sse.encode(_encoder.encode(encode_error(error)))


class UpstreamErrorBody(msgspec.Struct, frozen=True):
    """What a provider's error body says, as far as it can be read."""

    message: str | None = None
    kind: str | None = None
    param: str | None = None
    code: str | None = None


def decode_error(body: bytes) -> UpstreamErrorBody:
    """Read a provider's error body; anything that can't be read is left out."""
    try:
        parsed = msgspec.json.decode(body)
    except _BAD_JSON:
        return UpstreamErrorBody()
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return UpstreamErrorBody(message=error)
    if not isinstance(error, dict):
        return UpstreamErrorBody()
    texts = {key: value for key, value in error.items() if isinstance(value, str)}
    code = error.get("code")
    return UpstreamErrorBody(
        message=texts.get("message"),
        kind=texts.get("type"),
        param=texts.get("param"),
        # Some servers number their codes; ours are strings.
        code=str(code) if isinstance(code, (str, int)) and not isinstance(code, bool) else None,
    )


# --- parts -------------------------------------------------------------------------------------


def _decode_fields(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        return _fields_decoder.decode(body)
    except _BAD_JSON as error:
        raise InvalidJson(
            "The body must be a JSON object.", hint=f"The parser says: {error}."
        ) from None


def _optional(fields: dict[str, msgspec.Raw], name: str, kind: type[Any]) -> Any:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except _BAD_JSON as error:
        raise InvalidRequest(f"Invalid value for '{name}': {error}.", param=name) from None


def _required(fields: dict[str, msgspec.Raw], name: str, kind: type[Any]) -> Any:
    value = _optional(fields, name, kind)
    if value is None:
        raise InvalidRequest(f"Missing required parameter: '{name}'.", param=name)
    return value


def _max_output(fields: dict[str, msgspec.Raw]) -> int | None:
    """`max_completion_tokens` or the older `max_tokens`; a provider may obey either: the larger."""
    limits = []
    for name in ("max_completion_tokens", "max_tokens"):
        value = _optional(fields, name, int)
        if value is not None:
            if not 0 <= value <= _MAX_OUTPUT_TOKENS:
                raise InvalidRequest(
                    f"'{name}' must be between 0 and {_MAX_OUTPUT_TOKENS:,}.", param=name
                )
            limits.append(value)
    return max(limits, default=None)


def _usage(usage: _Usage) -> Usage:
    """OpenAI's arithmetic: the prompt includes cached tokens, the completion includes reasoning."""
    prompt = usage.prompt_tokens_details
    completion = usage.completion_tokens_details
    cached = (prompt.cached_tokens or 0) if prompt is not None else 0
    written = (prompt.cache_write_tokens or 0) if prompt is not None else 0
    reasoning = (completion.reasoning_tokens or 0) if completion is not None else 0
    return Usage(
        input_tokens=max(usage.prompt_tokens - cached - written, 0),
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=max(usage.completion_tokens - reasoning, 0),
        reasoning_tokens=reasoning,
    )


def _with_model(body: bytes, model: str) -> bytes:
    fields = _fields_decoder.decode(body)
    fields["model"] = msgspec.Raw(_encoder.encode(model))
    return _encoder.encode(fields)
