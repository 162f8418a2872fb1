"""A conversation, the call that continues it, and the reply, in terms that no wire format owns.

Used only where the caller's dialect is not the provider's. Every dialect can be read into these
values and written from them; what a dialect can't say is named by its writer, and what these values
can't hold is named by its reader (`ChatCall.unsaid`, `ChatReply.lost`), never passed over.

One normal form for each meaning, so that reading what was written gives the value back:

- The results of tools are parts of a user message, in the order of their calls; a dialect with a
  role of its own for them splits and joins.
- A message of one text is a message with one `Text`. A message has at least one part.
- Instructions are messages with the role `system` or `developer`, wherever they stand.
- Arguments of a tool call are the JSON text of the model; no arguments are `{}`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

from torana.core.usage import Usage

# --- contents ----------------------------------------------------------------------------------

Vendor = Literal["anthropic", "openai"]
"""Whose model has signed a piece of thinking: nobody else can use the signature."""


class CacheMark(msgspec.Struct, frozen=True):
    """The prompt up to and with this part shall be kept in the provider's prompt cache.

    Attributes:
        ttl: `5m` or `1h`; None leaves it to the provider.
    """

    ttl: Literal["5m", "1h"] | None = None


class Url(msgspec.Struct, frozen=True, tag="url"):
    """Content that the provider fetches."""

    url: str


class Inline(msgspec.Struct, frozen=True, tag="inline"):
    """Content in the request.

    Attributes:
        media_type: such as `image/png`.
        data: in base64.
    """

    media_type: str
    data: str


class FileRef(msgspec.Struct, frozen=True, tag="file"):
    """Content that the provider keeps under an id of its own."""

    file_id: str
    vendor: Vendor


class PlainText(msgspec.Struct, frozen=True, tag="plain"):
    """A document that is nothing but text."""

    text: str


class UrlCitation(msgspec.Struct, frozen=True, tag="url_citation"):
    """A passage rests on a page of the web.

    Attributes:
        start, end: characters of the part's text; both 0 when the whole part is meant.
        cited_text: of the page.
        token: Anthropic's `encrypted_index`, which later turns must repeat.
    """

    url: str
    title: str | None = None
    start: int = 0
    end: int = 0
    cited_text: str | None = None
    token: str | None = None


class DocumentCitation(msgspec.Struct, frozen=True, tag="document_citation"):
    """A passage rests on a document of the request; only Anthropic's dialect can say it.

    Attributes:
        unit: what `start` and `end` count.
        fields: the citation as its dialect wrote it.
    """

    unit: str
    fields: dict[str, Any]


Citation: TypeAlias = UrlCitation | DocumentCitation


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Visible text."""

    text: str
    citations: tuple[Citation, ...] = ()
    cache: CacheMark | None = None


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The model's words when it declines."""

    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture.

    Attributes:
        detail: OpenAI's `low`, `high`, `auto` ...
    """

    source: Url | Inline | FileRef
    detail: str | None = None
    cache: CacheMark | None = None


class Document(msgspec.Struct, frozen=True, tag="document"):
    """A PDF or a text to be read.

    Attributes:
        title: a name of it; OpenAI's `filename`.
        context: what the model is told about it and must not cite.
        cited: whether the answer shall cite it.
    """

    source: Url | Inline | FileRef | PlainText
    title: str | None = None
    context: str | None = None
    cited: bool = False
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """A recording.

    Attributes:
        data: in base64.
        format: `wav`, `mp3` ...
    """

    data: str
    format: str


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """What the model thought before it spoke, or a summary of it.

    Attributes:
        text: may be empty where only the signature is told.
        signature: what lets `vendor` take it back in the next turn; None when it is mere text.
        vendor: who signed; None without a signature.
        id: the item's id, where its dialect has one (`rs_...`).
    """

    text: str
    signature: str | None = None
    vendor: Vendor | None = None
    id: str | None = None


class HiddenThinking(msgspec.Struct, frozen=True, tag="hidden_thinking"):
    """Thinking that only its vendor can read; goes back as it came."""

    data: str
    vendor: Vendor
    id: str | None = None


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """The model asks its caller to run a tool.

    Attributes:
        id: which the result repeats.
        arguments: JSON text, or free text of a custom tool.
        custom: the tool takes free text.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: CacheMark | None = None


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What a tool has brought."""

    call_id: str
    parts: tuple[Text | Image | Document, ...] = ()
    is_error: bool = False
    custom: bool = False
    cache: CacheMark | None = None


Part: TypeAlias = (
    Text | Refusal | Image | Document | Audio | Thinking | HiddenThinking | ToolCall | ToolResult
)

Role = Literal["system", "developer", "user", "assistant"]


class Message(msgspec.Struct, frozen=True):
    """One turn.

    Attributes:
        name: of the speaker, which only OpenAI's chat can say.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# --- the call ----------------------------------------------------------------------------------


class FunctionTool(msgspec.Struct, frozen=True, tag="function"):
    """A tool that the caller runs.

    Attributes:
        schema: JSON schema of the arguments; None for none.
        strict: the arguments shall surely follow it.
    """

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache: CacheMark | None = None


class CustomTool(msgspec.Struct, frozen=True, tag="custom"):
    """A tool of the caller's that takes free text; OpenAI only.

    Attributes:
        format: a grammar, as OpenAI's Responses write it (`{"type": "grammar", "syntax": ...,
            "definition": ...}`).
    """

    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


Tool: TypeAlias = FunctionTool | CustomTool


class ToolChoice(msgspec.Struct, frozen=True):
    """Which tools the model may or must call.

    Attributes:
        mode: `auto`, `none`, `required` (any one), `named` (this one: `names[0]`).
        names: with `auto` and `required`: only these; empty for all.
    """

    mode: Literal["auto", "none", "required", "named"]
    names: tuple[str, ...] = ()


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The form that the visible text must have.

    Attributes:
        schema: None for any JSON object.
        name, description, strict: OpenAI's.
    """

    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model shall think.

    Attributes:
        mode: `off`, `on` (with a `budget`), `adaptive`; None leaves it to the model.
        effort: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
        budget: tokens.
        visible: whether the caller wants to see a summary of it; None leaves it to the provider.
        summary: OpenAI's `auto`, `concise`, `detailed`.
    """

    mode: Literal["off", "on", "adaptive"] | None = None
    effort: str | None = None
    budget: int | None = None
    visible: bool | None = None
    summary: str | None = None


class ChatCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the next turn.

    Attributes:
        max_output: tokens, thinking included; None for no limit of the caller's.
        choices: how many replies (`n`).
        stop: texts that end the reply.
        end_user: the caller's own name for whom it calls.
        metadata: the caller's labels.
        service_tier: as its dialect calls it; `auto`, `default`, `flex`, `priority`,
            `standard_only`.
        cache_key: OpenAI's `prompt_cache_key`.
        cache: a mark on the last part that can bear one (Anthropic's top-level `cache_control`).
        verbosity: `low`, `medium`, `high`.
        stream: the reply shall come as a stream.
        include_usage: the caller wants the usage of a stream.
        unsaid: fields of the caller's that this value can't hold, as their dialect names them.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_output: int | None = None
    choices: int = 1
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    format: OutputFormat | None = None
    reasoning: Reasoning | None = None
    end_user: str | None = None
    metadata: dict[str, str] = {}
    service_tier: str | None = None
    cache_key: str | None = None
    cache: CacheMark | None = None
    verbosity: str | None = None
    stream: bool = False
    include_usage: bool = False
    unsaid: tuple[str, ...] = ()


# --- the reply ---------------------------------------------------------------------------------


class Finish(StrEnum):
    """Why a reply has ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT = "context"
    """The model's context window is full."""
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    """Declined by the model or held back by the provider's filter."""
    PAUSE = "pause"
    """A long turn was interrupted; the same messages with the reply go on."""


class ChatReply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply.

    Attributes:
        id: the provider's.
        created: seconds since 1970; 0 where the dialect does not tell.
        parts: thinking, text, tool calls and so on in their order; may be empty.
        stop_sequence: which one ended it.
        usage: None when the provider told none.
        service_tier: which one was used.
        lost: what the provider said and this value can't hold.
    """

    id: str
    model: str
    created: int = 0
    parts: tuple[Part, ...] = ()
    finish: Finish = Finish.STOP
    stop_sequence: str | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    lost: tuple[str, ...] = ()
