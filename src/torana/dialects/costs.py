"""What of a request bears on its cost, in the same terms for every dialect.

What it comes to is for `torana.ledger.bounds`. What has no rule is named, never passed over: a
provider's new field may cost anything. A prompt is bounded by the bytes of the fields that become
part of it, because a token stands for at least one byte, and JSON only adds to the bytes of a text.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from torana.errors import InvalidRequest

BAD = (msgspec.DecodeError, ValueError, RecursionError)
SCHEMA_EXPANSION = 3
"""A provider may write a schema with escapes: two bytes of `é` become the six of `\\u00e9`."""
AND_MORE = "..."
"""The last name of a list that was cut; no administrator can declare it free."""
_MAX_NAMES = 16
_MAX_NAME = 80
MAX_ODD_BYTES = 8 * 1024 * 1024
"""Odd content above this size is not read to the end: that would hold up other calls."""


class MediaNames(msgspec.Struct, frozen=True, kw_only=True):
    """How a dialect names what is more than text, for refusals and for fields declared free."""

    image: str = "messages[].content[].type=image_url"
    file: str = "messages[].content[].type=file"
    audio_in: str = "messages[].content[].type=input_audio"
    audio_out: str = "modalities=audio"
    unseen_prompt: str = "previous_response_id"


OPENAI_NAMES = MediaNames()


class MediaCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request bears on its cost where more than text is made or heard, at most.

    Attributes:
        images_in: pieces that the model looks at.
        images_out, image_tokens_out: pieces that it makes, and the tokens of all of them.
        size, quality: of these, as asked for.
        odd_quality: the name of a quality of which nobody has said how many tokens it comes to.
        characters: that are read aloud.
        speech_tokens_out: tokens of all the speech that is made.
        audio_seconds: that are listened to.
        audio_tokens_in: their tokens.
        text_tokens_out: tokens of what is written, where the request has no limit for it.
        searches: units of search.
    """

    images_in: int = 0
    images_out: int = 0
    image_tokens_out: int = 0
    size: str | None = None
    quality: str | None = None
    odd_quality: str | None = None
    characters: int = 0
    speech_tokens_out: int = 0
    audio_seconds: int = 0
    audio_tokens_in: int = 0
    text_tokens_out: int = 0
    searches: int = 0


class CallCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request bears on its cost.

    Attributes:
        text_bytes: of what becomes part of the prompt, without the data of images.
        images: pieces in the prompt.
        files: pieces in the prompt, by reference or as data.
        audio_in: there is audio in the prompt, by reference or as data.
        unseen_prompt: a part of the prompt is not in the request (an earlier turn that the
            provider keeps), so it may fill the context window.
        tools: tools are offered, which a provider may explain to the model in words of its own.
        choices: how many answers are asked for.
        max_output: the caller's limit on output tokens per choice. A limit of zero is none: some
            servers take it for absent.
        no_output: the model writes nothing (embeddings).
        audio_out: the answer may be audio.
        prediction_bytes: of a predicted output.
        service_tier: as asked for.
        web_search: the provider is asked to search.
        media: what else is made or heard, on routes that are no conversations.
        unruled: names of what has no rule, such as `messages[].content[].type=video_url`.
        names: of what has a rule, but whose price or size a target may not tell.
    """

    text_bytes: int
    images: int = 0
    files: int = 0
    audio_in: bool = False
    unseen_prompt: bool = False
    tools: bool = False
    choices: int = 1
    max_output: int | None = None
    no_output: bool = False
    audio_out: bool = False
    prediction_bytes: int = 0
    service_tier: str | None = None
    web_search: bool = False
    media: MediaCosts | None = None
    unruled: tuple[str, ...] = ()
    names: MediaNames = OPENAI_NAMES

    @property
    def has_media(self) -> bool:
        """Whether the prompt or the answer is more than text."""
        return bool(self.images or self.files or self.audio_in or self.audio_out)


class PromptTexts(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt for a tokenizer.

    Attributes:
        texts: contents of messages.
        messages: how many there are; each has a role and marks around it.
        other_bytes: of everything else that becomes part of the prompt (names, tool calls, tools,
            schemas): what a provider makes of it is not public, so it is bounded by its bytes.
        all_bytes: of the texts and everything else, as they were sent.
    """

    texts: tuple[str, ...]
    messages: int
    other_bytes: int
    all_bytes: int


class Found:
    """What has been found in a request so far; the attributes are those of `CallCosts`."""

    __slots__ = (
        "audio_in",
        "audio_out",
        "files",
        "images",
        "prediction_bytes",
        "service_tier",
        "text_bytes",
        "tools",
        "unruled",
        "unseen_prompt",
    )

    def __init__(self) -> None:
        self.text_bytes = 0
        self.images = 0
        self.files = 0
        self.audio_in = False
        self.unseen_prompt = False
        self.tools = False
        self.audio_out = False
        self.prediction_bytes = 0
        self.service_tier: str | None = None
        self.unruled: dict[str, None] = {}

    def no_rule(self, name: str) -> None:
        """Note the name of something that has no rule."""
        # It is told to the caller, and half a character can't be.
        self.unruled[name[:_MAX_NAME].encode("utf-8", "replace").decode()] = None

    def add_schema(self, raw: msgspec.Raw) -> None:
        """A schema becomes part of the prompt, in a form of the provider's own."""
        self.text_bytes += len(raw) * (1 if bytes(raw).isascii() else SCHEMA_EXPANSION)

    def costs(
        self,
        *,
        choices: int = 1,
        max_output: int | None = None,
        web_search: bool = False,
        no_output: bool = False,
        names: MediaNames = OPENAI_NAMES,
    ) -> CallCosts:
        """What was found, as a value."""
        return CallCosts(
            text_bytes=self.text_bytes,
            images=self.images,
            files=self.files,
            audio_in=self.audio_in,
            unseen_prompt=self.unseen_prompt,
            tools=self.tools,
            choices=choices,
            max_output=max_output,
            no_output=no_output,
            audio_out=self.audio_out,
            prediction_bytes=self.prediction_bytes,
            service_tier=self.service_tier,
            web_search=web_search,
            unruled=_cut(self.unruled) if self.unruled else (),
            names=names,
        )


def _cut(names: dict[str, None]) -> tuple[str, ...]:
    listed = tuple(names)
    return listed if len(listed) <= _MAX_NAMES else (*listed[:_MAX_NAMES], AND_MORE)


def objects(raw: msgspec.Raw, field: str) -> list[dict[str, Any]] | None:
    """A list of objects; None when it is none, or too large to be looked at so closely.

    Args:
        raw: a field's value.
        field: its name, for the error.

    Raises:
        InvalidRequest: a key occurs twice in one of them.
    """
    if len(raw) > MAX_ODD_BYTES:
        return None
    try:
        items = json.loads(bytes(raw), object_pairs_hook=_without_twins)
    except _TwinError as twin:
        name = str(twin)[:_MAX_NAME]
        raise InvalidRequest(f"The key {name!r} occurs twice in '{field}'.", param=field) from None
    except BAD:
        return None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    return items


class _TwinError(Exception):
    """A key occurs twice in one object."""


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwinError(name)
            seen.add(name)
    return members
