"""Streams that are read in one dialect and written in another, in a scene."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.inference.fakes import Scene, ScriptedAnswer, Step
from tests.unit.inference.serving import (
    CHAT_STREAM,
    CLAUDE_STREAM,
)
from torana.core.usage import Usage
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import ChatDialect, ReplyFrame
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.translated import TranslatedFold
from torana.inference.chat_stream import ChatStream
from torana.inference.keeping import Keeping, StreamKeeping

ASKED: dict[ChatDialect, dict[str, Any]] = {
    ANTHROPIC: {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    OPENAI_CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    OPENAI_RESPONSES: {"input": "hi"},
    OPENAI_COMPLETIONS: {"prompt": "hi"},
}
CALLERS = list(ASKED)
UPSTREAMS: dict[ChatDialect, tuple[bytes, ...]] = {
    ANTHROPIC: CLAUDE_STREAM,
    OPENAI_CHAT: CHAT_STREAM,
}
USAGE = Usage(input_tokens=10, output_tokens=5)
ENDS = (b"message_stop", b"response.completed", b"[DONE]", b'"finish_reason":"')


def fold_of(upstream: ChatDialect, caller: ChatDialect, **options: Any) -> TranslatedFold:
    body = json.dumps({"model": "asked", "stream": True, **ASKED[caller]}).encode()
    frame = ReplyFrame(
        request=caller.decode_request(body), request_id="req_1", created=1, stored=True
    )
    return TranslatedFold(upstream.reader(), caller.writer(frame), **options)


class Stream:
    """A scene with a stream from one dialect to another."""

    def __init__(
        self,
        upstream: ChatDialect,
        caller: ChatDialect,
        *steps: Step,
        scene: Scene | None = None,
        ping_seconds: float = 60.0,
        keeps_text: bool = False,
        keeping: Keeping | None = None,
    ) -> None:
        self.scene = scene or Scene()
        self.call = self.scene.open()
        self.call.begin_attempt()
        self.answer = ScriptedAnswer(self.scene.exchange, *steps)
        self.fold = fold_of(upstream, caller, keeps_text=keeps_text)
        self.frames = ChatStream(
            self.call,
            self.answer,
            self.fold,
            keeping=StreamKeeping(keeping or Keeping(), {}),
            ping_seconds=ping_seconds,
        )

    @property
    def settlement(self) -> Any:
        return self.scene.teller.settlement

    @property
    def posts(self) -> int:
        return len(self.scene.teller.posts)


def pairs() -> list[Any]:
    return [
        pytest.param(upstream, caller, id=f"{upstream.route} to {caller.route}")
        for upstream in UPSTREAMS
        for caller in CALLERS
        if caller is not upstream
    ]


def last_event(body: bytes) -> Any:
    frame = body.rstrip(b"\n").rsplit(b"\n\n", 1)[-1]
    return json.loads(frame.partition(b"data: ")[2])


def error_code(body: bytes) -> str:
    """The code of the error that is the last event, in whichever dialect."""
    said = last_event(body)
    error = said.get("error") or said
    return str((error.get("details") or {}).get("error_code") or error["code"])
