"""OpenAI's images: made from a text, or from other images.

Source: OpenAI's public API reference and the types of the openai SDK. Models are billed by the
image, by its size and quality, or by tokens, which they report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from torana.core.usage import Usage
from torana.dialects.base import WireAnswer
from torana.dialects.costs import CallCosts, MediaCosts
from torana.dialects.media import (
    Form,
    MediaDialect,
    Rule,
    flag,
    items,
    read_answer,
    required_text,
    text,
    whole,
)
from torana.dialects.media_events import Event, EventFold
from torana.dialects.openai_chat.answers import Tokens
from torana.dialects.uploads import UploadRequest, field_of
from torana.dialects.wire import BAD_JSON, WireRequest, missing
from torana.errors import UpstreamGarbage

_SHARED: Mapping[str, Rule] = {
    "prompt": Rule.PROMPT,
    "model": Rule.FREE,
    "background": Rule.FREE,
    "n": Rule.LIMIT,
    "output_compression": Rule.FREE,
    "output_format": Rule.FREE,
    "partial_images": Rule.LIMIT,
    "quality": Rule.LIMIT,
    "response_format": Rule.FREE,
    "safety_identifier": Rule.FREE,
    "size": Rule.LIMIT,
    "stream": Rule.FREE,
    "user": Rule.FREE,
    # Nobody has said what these cost.
    "complexity": Rule.NONE,
    "frame_count": Rule.NONE,
    "frame_duration_ms": Rule.NONE,
    "svg": Rule.NONE,
}
FIELDS: Mapping[str, Rule] = MappingProxyType(
    {**_SHARED, "moderation": Rule.FREE, "style": Rule.FREE}
)
"""Every field of the openai SDK's `ImageGenerateParams`."""
EDIT_FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        **_SHARED,
        "image": Rule.IMAGE,
        "images": Rule.IMAGE,
        # How closely images are looked at, within what each is bounded by.
        "input_fidelity": Rule.FREE,
        "markup": Rule.IMAGE,
        "mask": Rule.IMAGE,
        "moderation": Rule.FREE,
    }
)
"""Every field of its `ImageEditParams`, and `images` of the form in JSON."""
_PICTURES = ("image", "images", "mask", "markup")

MOST_IMAGES = 128
MOST_PARTIAL = 16
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
LARGEST_USUAL = 1024 * 1536
"""Pixels assumed where the caller leaves the size to the model."""
PARTIAL_TOKENS = 100
"""What OpenAI bills for each image that is sent before it is finished."""
_MEGAPIXEL = 1024 * 1024
TOKENS_BY_QUALITY: Mapping[str, int] = MappingProxyType(
    {"low": 272, "medium": 1056, "high": 4160, "standard": 4160, "hd": 4160, "auto": 4160}
)
"""Tokens of an image of 1024x1024 pixels, as OpenAI publishes them for its GPT Image models; other
sizes count by their pixels. `auto` may be the best."""


class _ImageDialect(MediaDialect):
    """What both routes share."""

    last_event: ClassVar[str]

    def check(self, request: WireRequest) -> None:
        """See `MediaDialect`."""
        required_text(request, "prompt")
        whole(request, "n", least=1, most=MOST_IMAGES)
        whole(request, "partial_images", least=0, most=MOST_PARTIAL)
        text(request, "size")
        text(request, "quality")
        flag(request, "stream")

    def form(self, request: WireRequest) -> Form:
        """Events where they are asked for, else JSON."""
        return Form.EVENTS if flag(request, "stream") else Form.JSON

    def read_costs(self, request: WireRequest) -> CallCosts:
        """The prompt by its bytes, images by their number, size and quality."""
        found = self.look(request)
        count = whole(request, "n", least=1, most=MOST_IMAGES) or 1
        partial = whole(request, "partial_images", least=0, most=MOST_PARTIAL) or 0
        size, quality = text(request, "size"), text(request, "quality")
        tokens = tokens_of(size, quality)
        media = MediaCosts(
            images_in=self.images_in(request),
            images_out=count,
            image_tokens_out=count * (tokens + PARTIAL_TOKENS * partial),
            size=size,
            quality=quality,
            odd_quality=None if knows_quality(quality) else f"quality={quality}",
        )
        return msgspec.structs.replace(found.costs(no_output=True), media=media)

    def images_in(self, request: WireRequest) -> int:
        """How many images the model looks at."""
        del request
        return 0

    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """See `Dialect`; an answer does not name the model."""
        del model
        answer, body = read_answer(body, _decoder, what="a list of images", model=None)
        if answer.data is None:
            raise UpstreamGarbage("The provider's answer is not a list of images.")
        return WireAnswer(body, _usage_of(answer.usage, len(answer.data), answer.svg_usage))

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> EventFold:
        """See `Dialect`."""
        del request, request_id, model, keeps_text
        return EventFold(last={self.last_event}, usage_of=_usage_of_event)


class OpenAIImages(_ImageDialect):
    """The dialect of `/images/generations`."""

    route: ClassVar[str] = "openai.images.generations"
    path: ClassVar[str] = "/images/generations"
    rules: ClassVar[Mapping[str, Rule]] = FIELDS
    last_event: ClassVar[str] = "image_generation.completed"


class OpenAIImageEdits(_ImageDialect):
    """The dialect of `/images/edits`: a form with images, or JSON that refers to them."""

    route: ClassVar[str] = "openai.images.edits"
    path: ClassVar[str] = "/images/edits"
    rules: ClassVar[Mapping[str, Rule]] = EDIT_FIELDS
    takes_forms: ClassVar[bool] = True
    repeated: ClassVar[tuple[str, ...]] = ("image",)
    nested: ClassVar[frozenset[str]] = frozenset({"image", "images"})
    last_event: ClassVar[str] = "image_edit.completed"

    def check(self, request: WireRequest) -> None:
        """Also that there is an image."""
        super().check(request)
        if not self.images_in(request):
            raise missing("image" if isinstance(request, UploadRequest) else "images")

    def images_in(self, request: WireRequest) -> int:
        """All that a form has of them, of JSON what refers to them."""
        if isinstance(request, UploadRequest):
            return sum(field_of(part.name) in _PICTURES for part in request.upload.parts)
        count = 0
        for name in _PICTURES:
            raw = request.fields.get(name)
            if raw is not None and bytes(memoryview(raw)[:5]) != b"null":
                listed = items(raw)
                count += 1 if listed is None else len(listed)
        return count


def tokens_of(size: str | None, quality: str | None) -> int:
    """The most tokens of one image that is made."""
    found = _SIZE.fullmatch(size or "")
    pixels = int(found[1]) * int(found[2]) if found else LARGEST_USUAL
    each = TOKENS_BY_QUALITY.get(quality or "auto", TOKENS_BY_QUALITY["high"])
    return -(-pixels * each // _MEGAPIXEL)


def knows_quality(quality: str | None) -> bool:
    """Whether it is known how many tokens a quality comes to."""
    return quality is None or quality in TOKENS_BY_QUALITY


# --- answers -----------------------------------------------------------------------------------


class _InputDetails(msgspec.Struct):
    image_tokens: Tokens | None = None


class _OutputDetails(msgspec.Struct):
    image_tokens: Tokens | None = None
    text_tokens: Tokens | None = None


class _ImageUsage(msgspec.Struct):
    input_tokens: Tokens
    output_tokens: Tokens
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    svg_usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Answer)
_usage_decoder = msgspec.json.Decoder(_ImageUsage | None)


def _usage_of(raw: msgspec.Raw, images: int, other: msgspec.Raw) -> Usage | None:
    """The usage of an answer with so many images; None where a part of it can't be told.

    Args:
        raw: what the provider reports.
        images: pieces.
        other: what it reports of another model that has helped, whose price is not this one's.
    """
    if bytes(other) != b"null":
        return None
    try:
        usage = _usage_decoder.decode(raw)
    except BAD_JSON:
        return None
    if usage is None:
        return Usage(images=images)
    read, made = usage.input_tokens_details, usage.output_tokens_details
    seen = min((read.image_tokens or 0) if read is not None else 0, usage.input_tokens)
    # Without more words all that is made is the image.
    written = min((made.text_tokens or 0) if made is not None else 0, usage.output_tokens)
    return Usage(
        input_tokens=usage.input_tokens - seen,
        input_image_tokens=seen,
        output_tokens=written,
        output_image_tokens=usage.output_tokens - written,
        images=images,
    )


def _usage_of_event(event: Event) -> Usage | None:
    return _usage_of(event.usage, 1, msgspec.Raw(b"null"))


OPENAI_IMAGES = OpenAIImages()
OPENAI_IMAGE_EDITS = OpenAIImageEdits()
