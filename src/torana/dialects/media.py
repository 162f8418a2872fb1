"""What the routes share that are passed on without translation: images, audio, moderations, rerank.

They go only to providers of the same dialect. What is read of a request is what bears on its cost;
what is read of an answer is its usage.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, NoReturn

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import Dialect, Labels, WireFold
from torana.dialects.costs import BAD, CallCosts, Found, PromptTexts
from torana.dialects.openai_labels import labels_of
from torana.dialects.uploads import (
    FormBody,
    FormField,
    Upload,
    UploadRequest,
    field_of,
    texts_of,
)
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import InvalidRequest, UnsupportedMediaType, UpstreamError, UpstreamGarbage

_TRUE, _FALSE = {"true", "True", "1"}, {"false", "False", "0", ""}
_NULL = b"null"


class Rule(StrEnum):
    """How a field bears on the cost."""

    FREE = "free"
    """Not at all."""
    LIMIT = "limit"
    """It says how much is made; the dialect reads it."""
    PROMPT = "prompt"
    """It is written into the prompt: its bytes."""
    SPOKEN = "spoken"
    """It is read aloud: its characters, its bytes, and what speech they can come to."""
    IMAGE = "image"
    """An image that the model looks at."""
    AUDIO = "audio"
    """A recording that the model listens to: its seconds at most."""
    NONE = "none"
    """It costs something that no price list of ours has: refused under a hard budget."""


class Form(StrEnum):
    """What a good answer is."""

    JSON = "json"
    TEXT = "text"
    BINARY = "binary"
    EVENTS = "events"


class MediaDialect(Dialect):
    """A route that is passed on as it is.

    Attributes:
        rules: every field that is known.
        takes_json, takes_forms: how its requests may come.
        repeated: files of a form that may come more than once under one name.
        nested: fields of a form whose parts are called `include[]` or `chunking_strategy[type]`.
        default_model: asked for when the caller names none.
    """

    rules: ClassVar[Mapping[str, Rule]]
    takes_json: ClassVar[bool] = True
    takes_forms: ClassVar[bool] = False
    repeated: ClassVar[tuple[str, ...]] = ()
    nested: ClassVar[frozenset[str]] = frozenset()
    default_model: ClassVar[str | None] = None

    def decode_request(self, body: bytes) -> WireRequest:
        """Read a request that came as JSON; see `Dialect`.

        Raises:
            UnsupportedMediaType: this route takes forms only.
        """
        if not self.takes_json:
            raise UnsupportedMediaType("Send the body as multipart/form-data, with the file in it.")
        fields = wire.decode_fields(body)
        request = WireRequest(**self._common(fields), size=len(body))
        self.check(request)
        return msgspec.structs.replace(request, stream=self.streams(request))

    def decode_upload(self, upload: Upload) -> UploadRequest:
        """Read a request that came as a form.

        Raises:
            UnsupportedMediaType: this route takes JSON only.
            InvalidRequest: a field that Torana reads is missing, malformed or there twice.
        """
        if not self.takes_forms:
            raise UnsupportedMediaType("Send the body as content-type application/json.")
        for part in upload.parts:
            field = field_of(part.name)
            # A server that reads `n[]` as `n` would make what nobody has priced.
            if part.name != field and field in self.rules and field not in self.nested:
                raise InvalidRequest(f"'{field}' is not a list.", param=field)
        fields = texts_of(upload, repeated=self.repeated)
        for file in upload.files():
            rule = self.rules.get(field_of(file.name))
            if rule not in {None, Rule.IMAGE, Rule.AUDIO}:
                raise InvalidRequest(f"'{file.name}' must be a text.", param=file.name)
            # Two forms are the same only if their files are.
            fields[file.name] = wire.raw(upload.digest)
        request = UploadRequest(**self._common(fields), size=upload.size, upload=upload)
        self.check(request)
        return msgspec.structs.replace(request, stream=self.streams(request))

    def _common(self, fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
        if self.default_model is not None and wire.optional(fields, "model", str) is None:
            fields = fields | {"model": wire.raw(self.default_model)}
        return {
            "model": wire.model_of(fields),
            "stream": False,
            "include_usage": True,
            "max_output": None,
            "choices": 1,
            "fields": fields,
        }

    @abstractmethod
    def check(self, request: WireRequest) -> None:
        """Read what must be right before a call is priced.

        Raises:
            InvalidRequest: something is not.
        """

    @abstractmethod
    def form(self, request: WireRequest) -> Form:
        """What a good answer to a request is."""

    def streams(self, request: WireRequest) -> bool:
        """Whether the answer is sent as it comes."""
        return self.form(request) in {Form.EVENTS, Form.BINARY}

    def used(self, request: WireRequest) -> Usage | None:
        """What a good answer has used that says nothing of it; None if only the answer can tell."""
        del request
        return None

    def encode_upstream(
        self,
        request: WireRequest,
        *,
        model: str,
        max_output: int | None = None,
        max_output_field: str | None = None,
    ) -> bytes:
        """The caller's own fields, with the provider's name of the model."""
        del max_output, max_output_field  # Nothing is written, or nothing limits it.
        return wire.encode_fields(request.fields | {"model": wire.raw(model)})

    def look(self, request: WireRequest) -> Found:
        """What of the fields is prompt, and what has no rule; never fails."""
        found = Found()
        for name, size in sizes(request):
            rule = self.rules.get(field_of(name), Rule.NONE)
            if rule is Rule.NONE:
                found.no_rule(name)
            if rule in {Rule.NONE, Rule.PROMPT, Rule.SPOKEN}:
                found.text_bytes += size
        return found

    def prompt_texts(self, request: WireRequest, costs: CallCosts) -> PromptTexts:
        """No texts: prompts of these routes are short, and are bounded by their bytes."""
        del request
        return PromptTexts(
            texts=(), messages=0, other_bytes=costs.text_bytes, all_bytes=costs.text_bytes
        )

    def labels(self, request: WireRequest) -> Labels:
        """`safety_identifier` or `user`."""
        return labels_of(request)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> WireFold:
        """Refused, unless a dialect knows streams of events.

        Raises:
            InvalidRequest: always.
        """
        del request, request_id, model, keeps_text
        refuse_stream()


def refuse_stream() -> NoReturn:
    """Say that a route has no streams.

    Raises:
        InvalidRequest: always.
    """
    raise InvalidRequest("This route can't be streamed.", param="stream")


class Outgoing(msgspec.Struct, frozen=True):
    """A request as it goes to a provider: bytes, or a form that is read anew for every try."""

    body: bytes | FormBody
    content_type: str = "application/json"


def outgoing(
    dialect: Dialect,
    request: WireRequest,
    *,
    model: str,
    max_output: int | None = None,
    max_output_field: str | None = None,
    dropped: Collection[str] = (),
) -> Outgoing:
    """A request of any dialect as it goes to a provider.

    Args:
        dialect: the provider's.
        request: in it.
        model: the provider's name of the model.
        max_output: see `Dialect.encode_upstream`.
        max_output_field: see there.
        dropped: names of a form's fields that the provider would refuse. Of JSON it leaves them out
            itself.
    """
    if isinstance(request, UploadRequest):
        form = FormBody(request, model=model, dropped=dropped)
        return Outgoing(form, form.content_type)
    body = dialect.encode_upstream(
        request, model=model, max_output=max_output, max_output_field=max_output_field
    )
    return Outgoing(body)


def decoded(dialect: Dialect, body: bytes | Upload) -> WireRequest:
    """A request of any dialect as it came.

    Raises:
        UnsupportedMediaType: the route does not take forms.
        InvalidJson, InvalidRequest: see `Dialect.decode_request`.
    """
    if isinstance(body, bytes):
        return dialect.decode_request(body)
    if not isinstance(dialect, MediaDialect):
        raise UnsupportedMediaType("Send the body as content-type application/json.")
    return dialect.decode_upload(body)


# --- fields ------------------------------------------------------------------------------------


def sizes(request: WireRequest) -> Iterable[tuple[str, int]]:
    """The names of all that a request has, files too, and the bytes of each; nulls are left out."""
    if isinstance(request, UploadRequest):
        for part in request.parts:
            yield part.name, len(part.value) if isinstance(part, FormField) else part.size
        return
    for name, raw in request.fields.items():
        if bytes(memoryview(raw)[:5]) != _NULL:
            yield name, len(raw)


def text(request: WireRequest, name: str) -> str | None:
    """A text of a request; None when it is absent, null or empty.

    Raises:
        InvalidRequest: it is none.
    """
    return wire.optional(request.fields, name, str) or None


def required_text(request: WireRequest, name: str) -> str:
    """A text that must be there.

    Raises:
        InvalidRequest: it is absent, empty or none.
    """
    found = text(request, name)
    if found is None:
        raise wire.missing(name)
    return found


def whole(request: WireRequest, name: str, *, least: int, most: int) -> int | None:
    """A whole number of a request, which a form has as text; None when it is absent.

    Raises:
        InvalidRequest: it is none, or not within the limits.
    """
    found = wire.optional(request.fields, name, int | str)
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 10:
        found = int(found)
    if found is None or (isinstance(found, int) and least <= found <= most):
        return found
    raise InvalidRequest(f"'{name}' must be between {least} and {most}.", param=name)


def flag(request: WireRequest, name: str) -> bool:
    """A yes or no of a request, which a form has as text; no when it is absent.

    Raises:
        InvalidRequest: it is neither.
    """
    found = wire.optional(request.fields, name, bool | str)
    if found is None or isinstance(found, bool):
        return bool(found)
    if found in _TRUE or found in _FALSE:
        return found in _TRUE
    raise InvalidRequest(f"'{name}' must be true or false.", param=name)


# --- answers -----------------------------------------------------------------------------------


def read_answer(
    body: bytes, decoder: msgspec.json.Decoder[Any], *, what: str, model: str | None
) -> tuple[Any, bytes]:
    """A JSON answer as its decoder reads it, and its bytes, with another name of the model.

    Args:
        body: of the answer.
        decoder: of a struct that has at least `error`, raw.
        what: what it should be, for the error.
        model: a name to put in the place of the provider's, if that is wanted.

    Raises:
        UpstreamGarbage: it is something else.
        UpstreamError: it is an error in the clothes of a success.
    """
    message = f"The provider's answer is not {what}."
    try:
        if not body.isascii():  # A copy of an image in base64 is not made for nothing.
            body.decode()
        answer = decoder.decode(body)
    except BAD_JSON as error:
        raise UpstreamGarbage(message) from error
    if bytes(answer.error) != _NULL:
        raise UpstreamError("The provider answered with an error under a success status.")
    if model is not None:
        body = wire.with_model(body, model)
    return answer, body


def items(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    """The items of a list; None when it is none."""
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except BAD:
        return None
