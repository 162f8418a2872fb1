"""The texts of a conversation: what guardrails see of a call, and where it goes back to.

Names, ids, images, audio and files are not texts. Thinking that its provider has signed, or hidden,
stays as it is: it would be refused otherwise, and it came from the provider.
"""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.chat import (
    ChatCall,
    Citation,
    Document,
    DocumentCitation,
    FunctionTool,
    Image,
    Message,
    OutputFormat,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from torana.guardrails.guarded import GuardedCalls, Rewrite
from torana.guardrails.json_strings import rewrite_strings

_SAYING = frozenset(("title", "description", "default", "const", "enum", "examples"))
"""Keywords of JSON schema whose strings are for the model to read; others are for programs."""


def guard_call(guards: GuardedCalls, call: ChatCall) -> ChatCall:
    """A call as its guardrails let it pass.

    Raises:
        GuardrailBlocked: one does not let it pass.
        InternalError: one is broken.
    """
    return guards.rewrite(lambda rewrite: rewrite_call(call, rewrite))


def rewrite_call(call: ChatCall, rewrite: Rewrite) -> ChatCall:
    """A call with other texts."""
    return msgspec.structs.replace(
        call,
        messages=tuple([_message(message, rewrite) for message in call.messages]),
        tools=tuple([_tool(tool, rewrite) for tool in call.tools]),
        format=_format(call.format, rewrite),
    )


def _message(message: Message, rewrite: Rewrite) -> Message:
    parts = tuple([_part(part, rewrite) for part in message.parts])
    return msgspec.structs.replace(message, parts=parts)


def _part(part: Part, rewrite: Rewrite) -> Part:
    if isinstance(part, (Text, Image, Document)):
        return _content(part, rewrite)
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, arguments=_arguments(part, rewrite))
    if isinstance(part, ToolResult):
        brought = tuple([_content(each, rewrite) for each in part.parts])
        return msgspec.structs.replace(part, parts=brought)
    if isinstance(part, Refusal) or (isinstance(part, Thinking) and part.signature is None):
        return msgspec.structs.replace(part, text=rewrite(part.text))
    return part


def _content(part: Text | Image | Document, rewrite: Rewrite) -> Text | Image | Document:
    if isinstance(part, Text):
        return _text(part, rewrite)
    return _document(part, rewrite) if isinstance(part, Document) else part


def _text(part: Text, rewrite: Rewrite) -> Text:
    better = rewrite(part.text)
    same = better == part.text
    return msgspec.structs.replace(
        part,
        text=better,
        citations=tuple(
            [rewrite_citation(each, rewrite, moved=not same) for each in part.citations]
        ),
    )


def rewrite_citation(citation: Citation, rewrite: Rewrite, *, moved: bool) -> Citation:
    """A citation with other texts.

    Args:
        citation: of a text.
        rewrite: gives the other texts.
        moved: the text was changed, so places in it are not known any more.
    """
    if isinstance(citation, DocumentCitation):
        fields = {
            name: rewrite(value) if name == "cited_text" and isinstance(value, str) else value
            for name, value in citation.fields.items()
        }
        return msgspec.structs.replace(citation, fields=fields)
    return msgspec.structs.replace(
        citation,
        title=_maybe(citation.title, rewrite),
        cited_text=_maybe(citation.cited_text, rewrite),
        start=0 if moved else citation.start,
        end=0 if moved else citation.end,
    )


def _document(part: Document, rewrite: Rewrite) -> Document:
    source = part.source
    return msgspec.structs.replace(
        part,
        source=PlainText(rewrite(source.text)) if isinstance(source, PlainText) else source,
        title=_maybe(part.title, rewrite),
        context=_maybe(part.context, rewrite),
    )


def _arguments(part: ToolCall, rewrite: Rewrite) -> str:
    if part.custom:
        return rewrite(part.arguments)
    return rewrite_strings(part.arguments, rewrite)


def _tool(tool: Tool, rewrite: Rewrite) -> Tool:
    description = _maybe(tool.description, rewrite)
    if isinstance(tool, FunctionTool):
        schema = _schema(tool.schema, rewrite)
        return msgspec.structs.replace(tool, description=description, schema=schema)
    return msgspec.structs.replace(tool, description=description)


def _format(form: OutputFormat | None, rewrite: Rewrite) -> OutputFormat | None:
    if form is None:
        return None
    return msgspec.structs.replace(
        form,
        description=_maybe(form.description, rewrite),
        schema=_schema(form.schema, rewrite),
    )


def _schema(schema: Any, rewrite: Rewrite) -> Any:
    if isinstance(schema, list):
        return [_schema(each, rewrite) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _said(value, rewrite) if name in _SAYING else _schema(value, rewrite)
        for name, value in schema.items()
    }


def _said(value: Any, rewrite: Rewrite) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, list):
        return [_said(each, rewrite) for each in value]
    return _schema(value, rewrite)


def _maybe(text: str | None, rewrite: Rewrite) -> str | None:
    return None if text is None else rewrite(text)
