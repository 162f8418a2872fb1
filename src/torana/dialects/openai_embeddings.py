"""OpenAI's embeddings: texts or tokens in, vectors out.

Source: OpenAI's public API reference and the types of the openai SDK, which always asks for vectors
in base64 (little-endian, four bytes a number). Compatible servers that know only numbers answer
with them all the same; `OpenAIEmbeddings.fit` mends that.
"""

from __future__ import annotations

import array
import base64
import binascii
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, NoReturn

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import Dialect, Labels, WireAnswer
from torana.dialects.costs import BAD, CallCosts, Found, PromptTexts
from torana.dialects.openai_chat.answers import Tokens
from torana.dialects.openai_chat.rules import Rule
from torana.dialects.openai_chat.streams import ChatFold
from torana.dialects.openai_labels import labels_of
from torana.dialects.wire import ABSENT, BAD_JSON, WireRequest
from torana.errors import InvalidRequest, UpstreamError, UpstreamGarbage

MAX_INPUTS = 2048
Encoding = Literal["float", "base64"]

FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        # The numbers of tokens are more bytes than tokens.
        "input": Rule.PROMPT,
        "model": Rule.FREE,
        "dimensions": Rule.FREE,
        "encoding_format": Rule.FREE,
        "user": Rule.FREE,
    }
)
"""Every field of the openai SDK's `EmbeddingCreateParams`."""


class OpenAIEmbeddings(Dialect):
    """The dialect of `/embeddings`."""

    route: ClassVar[str] = "openai.embeddings"
    path: ClassVar[str] = "/embeddings"

    def decode_request(self, body: bytes) -> WireRequest:
        """Read a request.

        Raises:
            InvalidJson: not JSON, or not an object.
            InvalidRequest: a field that Torana reads is missing or malformed; `param` names it.
        """
        fields = wire.decode_fields(body)
        model = wire.model_of(fields)
        _check_input(fields)
        if wire.optional(fields, "stream", bool):
            _refuse_stream()
        dimensions = wire.optional(fields, "dimensions", int)
        if dimensions is not None and dimensions < 1:
            raise InvalidRequest("'dimensions' must be at least 1.", param="dimensions")
        wire.optional(fields, "encoding_format", Encoding)
        return WireRequest(
            model=model,
            stream=False,
            include_usage=False,
            max_output=None,
            choices=1,
            size=len(body),
            fields=fields,
        )

    def encode_upstream(
        self,
        request: WireRequest,
        *,
        model: str,
        max_output: int | None = None,
        max_output_field: str | None = None,
    ) -> bytes:
        """The caller's own fields, with the provider's name of the model."""
        del max_output, max_output_field  # Nothing is written.
        return wire.encode_fields(request.fields | {"model": wire.raw(model)})

    def read_costs(self, request: WireRequest) -> CallCosts:
        """The input by its bytes; never fails, what can't be read has no rule."""
        found = Found()
        for name, raw in request.fields.items():
            rule = FIELDS.get(name, Rule.NONE)
            if rule is Rule.FREE or (len(raw) == 4 and bytes(raw) == b"null"):
                continue
            if rule is Rule.NONE:
                found.no_rule(name)
            found.text_bytes += len(raw)
        return found.costs(no_output=True)

    def prompt_texts(self, request: WireRequest, costs: CallCosts) -> PromptTexts:
        """The texts; tokens that are given as numbers count by their bytes."""
        texts: list[str] = []
        counted = 0
        for raw in _items(request.fields.get("input", ABSENT)):
            try:
                texts.append(msgspec.json.decode(raw, type=str))
            except BAD:
                continue
            counted += len(raw)
        return PromptTexts(
            texts=tuple(texts),
            messages=0,
            other_bytes=costs.text_bytes - counted,
            all_bytes=costs.text_bytes,
        )

    def labels(self, request: WireRequest) -> Labels:
        """`user`."""
        return labels_of(request)

    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """See `Dialect`; vectors come as the provider wrote them, see `fit`."""
        try:
            body.decode()  # The decoder checks the text only of what it reads.
            answer = _answer_decoder.decode(body)
            if model is not None:
                body = wire.with_model(body, model)
        except BAD_JSON as error:
            raise UpstreamGarbage(_NOT_AN_ANSWER) from error
        if bytes(answer.error) != b"null":
            raise UpstreamError("The provider answered with an error under a success status.")
        if answer.data is None:
            raise UpstreamGarbage(_NOT_AN_ANSWER)
        usage = answer.usage
        return WireAnswer(body, None if usage is None else Usage(input_tokens=usage.prompt_tokens))

    def fit(self, request: WireRequest, answer: WireAnswer) -> WireAnswer:
        """Vectors in the encoding that was asked for; look-alikes know only numbers."""
        body = with_encoding(answer.body, encoding_of(request))
        return msgspec.structs.replace(answer, body=body)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> ChatFold:
        """Refused: there are no streams of embeddings.

        Raises:
            InvalidRequest: always.
        """
        del request, request_id, model, keeps_text
        _refuse_stream()


OPENAI_EMBEDDINGS = OpenAIEmbeddings()


# --- requests ----------------------------------------------------------------------------------


def encoding_of(request: WireRequest) -> Encoding:
    """How the caller wants its vectors; numbers, unless it says so."""
    return wire.optional(request.fields, "encoding_format", Encoding) or "float"


def _refuse_stream() -> NoReturn:
    raise InvalidRequest("Embeddings can't be streamed.", param="stream")


def _check_input(fields: dict[str, msgspec.Raw]) -> None:
    given = wire.required(fields, "input", str | list[str | int | list[int]])
    if isinstance(given, str) or (given and all(isinstance(item, int) for item in given)):
        inputs = [given]
    else:
        inputs = given
    kinds = {type(item) for item in inputs}
    if len(kinds) > 1 or int in kinds:
        raise InvalidRequest(
            "'input' must be a text, an array of texts, an array of tokens, or an array of those.",
            param="input",
        )
    if not inputs or any(len(item) == 0 for item in inputs):
        raise InvalidRequest("'input' must not be empty, nor hold an empty item.", param="input")
    if len(inputs) > MAX_INPUTS:
        raise InvalidRequest(f"'input' has more than {MAX_INPUTS:,} items.", param="input")


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    if bytes(memoryview(raw)[:1]) != b"[":
        return [raw]
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except BAD:
        return []


# --- answers -----------------------------------------------------------------------------------

_NOT_AN_ANSWER = "The provider's answer is not a list of embeddings."


_ENCODINGS: Mapping[bytes, Encoding] = {b'"': "base64", b"[": "float"}
"""How a vector begins."""


class _Usage(msgspec.Struct):
    prompt_tokens: Tokens


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_answer_decoder = msgspec.json.Decoder(_Answer)
_items_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_numbers_decoder = msgspec.json.Decoder(list[float])


def with_encoding(body: bytes, wanted: Encoding) -> bytes:
    """An answer's body with its vectors in this encoding; the same one where they are.

    Args:
        body: a JSON answer; everything but the vectors stays byte for byte.
        wanted: numbers, or base64 of little-endian numbers of four bytes.

    Raises:
        UpstreamGarbage: the vectors are none.
    """
    try:
        fields = wire.decode_fields(body)
        items = _items_decoder.decode(fields["data"])
        changed = False
        for item in items:
            vector = item["embedding"]
            if _ENCODINGS[bytes(memoryview(vector)[:1])] != wanted:
                item["embedding"] = _packed(vector) if wanted == "base64" else _unpacked(vector)
                changed = True
    except (*BAD_JSON, KeyError, ValueError, OverflowError, InvalidRequest) as error:
        raise UpstreamGarbage(_NOT_AN_ANSWER) from error
    return wire.encode_fields(fields | {"data": wire.raw(items)}) if changed else body


def _packed(vector: msgspec.Raw) -> msgspec.Raw:
    numbers = array.array("f", _numbers_decoder.decode(vector))
    if sys.byteorder != "little":
        numbers.byteswap()
    return msgspec.Raw(b'"' + base64.b64encode(numbers.tobytes()) + b'"')


def _unpacked(vector: msgspec.Raw) -> msgspec.Raw:
    try:
        data = base64.b64decode(msgspec.json.decode(vector, type=str), validate=True)
    except binascii.Error as error:
        raise ValueError from error
    numbers = array.array("f")
    numbers.frombytes(data)
    if sys.byteorder != "little":
        numbers.byteswap()
    # Nine digits tell every number of four bytes from every other one.
    return wire.raw([float(f"{number:.9g}") for number in numbers])
