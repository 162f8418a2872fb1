"""What a provider was told, read from a request in any dialect into one form to compare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.contract.fake_upstream import Seen


@dataclass(frozen=True)
class Said:
    """A part of the history.

    Attributes:
        who: `system`, `user`, `assistant`, `call`, `result`, `thinking`, or `reference`, which
            stands for something that the provider keeps.
        text: what was said; the signature of a thought.
        id: of a call, a result or a reference.
        name: of the tool that is called.
        arguments: of a call.
    """

    who: str
    text: str = ""
    id: str = ""
    name: str = ""
    arguments: Any = None


@dataclass(frozen=True)
class Heard:
    """A request.

    Attributes:
        path: where it came to, without a query.
        history: all that was said, in its order.
        tools: the names of the tools on offer, in their order.
    """

    path: str
    history: tuple[Said, ...]
    tools: tuple[str, ...]

    def of(self, *who: str) -> list[Said]:
        """The parts of some speakers, in their order."""
        return [said for said in self.history if said.who in who]


def heard(seen: Seen) -> Heard:
    """Read a request."""
    path = seen.path.partition("?")[0]
    body = seen.json()
    if path == "/v1/chat/completions":
        history, tools = _chat(body), [tool["function"]["name"] for tool in body.get("tools", ())]
    elif path == "/v1/messages":
        history, tools = _messages(body), [tool["name"] for tool in body.get("tools", ())]
    else:
        assert path == "/v1/responses", path
        history, tools = _responses(body), [tool["name"] for tool in body.get("tools", ())]
    return Heard(path, tuple(history), tuple(tools))


def _call(call_id: str, name: str, arguments: str) -> Said:
    return Said("call", id=call_id, name=name, arguments=json.loads(arguments))


def _text(content: Any) -> str:
    """The words of a content: a text, or parts."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(part.get("text", "") for part in content)


def _chat(body: Mapping[str, Any]) -> Iterable[Said]:
    for message in body["messages"]:
        role = message["role"]
        text = _text(message.get("content"))
        if role == "tool":
            yield Said("result", text, message["tool_call_id"])
            continue
        if text:
            yield Said("system" if role == "developer" else role, text)
        for call in message.get("tool_calls") or ():
            function = call["function"]
            yield _call(call["id"], function["name"], function["arguments"])


def _messages(body: Mapping[str, Any]) -> Iterable[Said]:
    if body.get("system"):
        yield Said("system", _text(body["system"]))
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            if block["type"] == "tool_use":
                yield Said("call", id=block["id"], name=block["name"], arguments=block["input"])
            elif block["type"] == "tool_result":
                yield Said("result", _text(block.get("content")), block["tool_use_id"])
            elif block["type"] == "thinking":
                yield Said("thinking", block.get("signature", ""))
            else:
                assert block["type"] == "text", block
                yield Said(message["role"], block["text"])


def _responses(body: Mapping[str, Any]) -> Iterable[Said]:
    if body.get("instructions"):
        yield Said("system", body["instructions"])
    asked = body["input"]
    for item in [{"role": "user", "content": asked}] if isinstance(asked, str) else asked:
        kind = item.get("type", "message")
        if kind == "function_call":
            yield _call(item["call_id"], item["name"], item["arguments"])
        elif kind == "function_call_output":
            yield Said("result", _text(item["output"]), item["call_id"])
        elif kind == "reasoning":
            yield Said("thinking", item.get("encrypted_content") or "")
        elif kind == "item_reference":
            yield Said("reference", id=item["id"])
        else:
            assert kind == "message", item
            role = item["role"]
            yield Said("system" if role == "developer" else role, _text(item["content"]))
