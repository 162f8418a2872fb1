"""A service in front of scripted providers of several kinds, and conversations in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from tests.unit.inference.fakes import (
    PRICE,
    RecordingMetrics,
    RecordingTeller,
    ScriptedAnswer,
    Step,
    context,
    store,
)
from torana.db.session import Database
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.guardrails.guarded import NO_GUARDRAILS
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.inference.asking import CallPolicy
from torana.inference.cache import AnswerCache
from torana.inference.caller import CallContext
from torana.inference.conversations import PURPOSE, Conversation, Conversations
from torana.inference.free_calls import FreeCalls
from torana.inference.health import Health
from torana.inference.limits import Limits
from torana.inference.retry import RetryPolicy
from torana.inference.service import InferenceService
from torana.inference.stored_responses import StoredResponses
from torana.ledger.records import KeptResponse, Receipt, Settlement
from torana.outbound.client import Answer, HttpClient, Timeouts
from torana.providers import Provider, ProviderConfig, Sending
from torana.providers.anthropic import AnthropicProvider
from torana.providers.openai import CompatibleProvider, OpenAIProvider
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, ProviderEntry
from torana.secret_box import SecretBox

TIMEOUTS = Timeouts(connect=1, first_byte=1, idle=1)
STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


def json_of(sending: Sending) -> dict[str, Any]:
    """The JSON that is sent."""
    assert isinstance(sending.body, bytes)
    found: dict[str, Any] = json.loads(sending.body)
    return found


class Scripted(Provider):
    """Plays what it is told to, one try after another, and remembers what it was sent."""

    def __init__(self, name: str) -> None:
        super().__init__(
            ProviderConfig(name=name, kind=name, base_url="http://nowhere/v1", private=True)
        )
        self.tries: list[Exception | list[Step]] = []
        self.sent: list[Sending] = []
        self.answers: list[ScriptedAnswer] = []

    def says(self, value: Any) -> None:
        """Its next answer is this, as JSON."""
        self.tries.append([json.dumps(value).encode()])

    def send(self, http: HttpClient, sending: Sending) -> Answer:
        del http
        self.sent.append(sending)
        sending.exchange.sent = True
        step = self.tries.pop(0)
        if isinstance(step, Exception):
            raise step
        streams = b"data:" in b"".join(one for one in step if isinstance(one, bytes))
        answer = ScriptedAnswer(sending.exchange, *step, headers=STREAM if streams else JSON)
        self.answers.append(answer)
        return answer

    def body(self, number: int = 0) -> dict[str, Any]:
        """What it was sent."""
        return json_of(self.sent[number])


class ScriptedOpenAI(Scripted, OpenAIProvider):
    """OpenAI itself."""


class ScriptedClaude(Scripted, AnthropicProvider):
    """Anthropic."""


class ScriptedLookAlike(Scripted, CompatibleProvider):
    """A server with OpenAI's chat."""


class MemoryConversations(Conversations):
    """Conversations that are sealed as in production, and kept in memory."""

    def __init__(self, life: timedelta = timedelta(days=30)) -> None:
        box = SecretBox([SecretStr("s" * 32)], PURPOSE)
        super().__init__(Database("sqlite:////nowhere/at/all.db"), box, life)
        self.rows: dict[tuple[str, str], Conversation] = {}

    def put(self, kept: KeptResponse, receipt: Receipt, settlement: Settlement) -> None:
        """What the ledger's transaction does with it."""
        now = datetime(2026, 1, 2, tzinfo=UTC)
        self.rows[receipt.record.project_id, kept.id] = Conversation(
            id=kept.id,
            provider=settlement.provider,
            target_model=settlement.target_model,
            kept_by=kept.kept_by,
            content=None if kept.content is None else self._box.open_bytes(kept.content),
            previous_id=kept.previous_id,
            created_at=now,
            expires_at=now + timedelta(seconds=kept.life),
        )

    def find(self, response_id: str, project_id: str) -> Conversation | None:
        return self.rows.get((project_id, response_id))

    def delete(self, response_id: str, project_id: str) -> bool:
        return self.rows.pop((project_id, response_id), None) is not None


class KeepingTeller(RecordingTeller):
    """Keeps the responses of what it posts, as the ledger does."""

    def __init__(self, conversations: MemoryConversations) -> None:
        super().__init__()
        self._conversations = conversations

    def post(self, receipt: Receipt, settlement: Settlement) -> None:
        super().post(receipt, settlement)
        if settlement.response is not None:
            self._conversations.put(settlement.response, receipt, settlement)


class Gateway:
    """A service with three providers: `openai`, `claude` and `local`, a look-alike."""

    def __init__(self, life: timedelta = timedelta(days=30)) -> None:
        self.openai = ScriptedOpenAI("openai")
        self.claude = ScriptedClaude("claude")
        self.local = ScriptedLookAlike("local")
        self.providers: dict[str, Provider] = {
            "openai": self.openai,
            "claude": self.claude,
            "local": self.local,
        }
        catalog = Catalog(
            providers={name: ProviderEntry(name=name, kind=name) for name in self.providers},
            routes={},
            prices={(name, "*"): PRICE for name in self.providers},
        )
        self.guardrails = NO_GUARDRAILS
        self.metrics = RecordingMetrics()
        self.conversations = MemoryConversations(life)
        self.teller = KeepingTeller(self.conversations)
        self.responses = StoredResponses(self.conversations)
        self.inference = InferenceService(
            upstreams=lambda: Upstreams(catalog, self.providers, self.guardrails),
            teller=self.teller,
            http=HttpClient(),
            metrics=self.metrics,
            limits=Limits(
                timeouts=TIMEOUTS, retry=RetryPolicy(attempts=1, base=0.0), total=600, drain=60
            ),
            policy=CallPolicy(),
            answers=store(),
            responses=self.responses,
            health=Health(),
            cache=AnswerCache(None, [SecretStr("s" * 32)]),
        )
        self.free = FreeCalls(
            upstreams=lambda: Upstreams(catalog, self.providers, self.guardrails),
            http=HttpClient(),
            timeouts=TIMEOUTS,
            responses=self.responses,
        )

    def answer(
        self, dialect: Dialect, model: str, *, call: CallContext | None = None, **fields: Any
    ) -> Any:
        """Ask in a dialect."""
        body = json.dumps({"model": model, **fields}).encode()
        return self.inference.answer(dialect, body, call or context())

    def chat(self, model: str, text: str = "hi", **fields: Any) -> Any:
        """Ask in OpenAI's chat."""
        messages = fields.pop("messages", [{"role": "user", "content": text}])
        return self.answer(OPENAI_CHAT, model, messages=messages, **fields)

    def messages(self, model: str, text: str = "hi", **fields: Any) -> Any:
        """Ask in Anthropic's dialect."""
        messages = fields.pop("messages", [{"role": "user", "content": text}])
        return self.answer(ANTHROPIC, model, messages=messages, **{"max_tokens": 50} | fields)

    def responses_call(self, model: str, text: Any = "hi", **fields: Any) -> Any:
        """Ask in OpenAI's Responses."""
        return self.answer(OPENAI_RESPONSES, model, input=text, **fields)


def read(answer: Any) -> dict[str, Any]:
    """The JSON of a whole answer."""
    assert isinstance(answer, JsonAnswer)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def streamed(answer: Any) -> bytes:
    """All of a stream, closed."""
    assert isinstance(answer, StreamAnswer)
    try:
        return b"".join(answer.frames)
    finally:
        answer.frames.close()


# --- what providers say ------------------------------------------------------------------------


def completion(text: str | None = "Hello", **more: Any) -> dict[str, Any]:
    """OpenAI's chat: 10 tokens in, 5 out."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        **more,
    }


def message(text: str = "Hello", **more: Any) -> dict[str, Any]:
    """Anthropic's: 10 tokens in, 5 out."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "theirs",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **more,
    }


def response(response_id: str = "resp_theirs", text: str = "Hello", **more: Any) -> dict[str, Any]:
    """OpenAI's Responses: 10 tokens in, 5 out."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "theirs",
        "output": [
            {
                "id": "msg_theirs",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": content,
            }
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        **more,
    }


def data(value: Any) -> bytes:
    """A frame of OpenAI's chat."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def event(kind: str, **fields: Any) -> bytes:
    """A frame of Anthropic's."""
    return b"event: %b\n" % kind.encode() + data({"type": kind, **fields})


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """A chunk of OpenAI's chat."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return data(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "theirs",
            "choices": choices,
            **more,
        }
    )


CHAT_BEGIN = chunk({"role": "assistant", "content": ""})
CHAT_HELLO = chunk({"content": "Hello"})
CHAT_STOP = chunk({}, "stop")
CHAT_USAGE = data(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "theirs",
        "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
)
CHAT_DONE = b"data: [DONE]\n\n"
CHAT_STREAM = (CHAT_BEGIN, CHAT_HELLO, CHAT_STOP, CHAT_USAGE, CHAT_DONE)
CLAUDE_BEGIN = event(
    "message_start",
    message=message(content=[], stop_reason=None, usage={"input_tokens": 10, "output_tokens": 1}),
)
CLAUDE_TEXT = event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
) + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
CLAUDE_END = event("content_block_stop", index=0) + event(
    "message_delta",
    delta={"stop_reason": "end_turn", "stop_sequence": None},
    usage={"output_tokens": 5},
)
CLAUDE_STOP = event("message_stop")
CLAUDE_STREAM = (CLAUDE_BEGIN, CLAUDE_TEXT, CLAUDE_END, CLAUDE_STOP)
COST = 10 + 15
"""Of every answer here."""
