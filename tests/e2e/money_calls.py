"""Calls over all routes: who asks in which dialect, who answers in which, and what it costs."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.contract.fake_upstream import Script, Turn
from tests.fuzz.answers import ENDS_WITH_DONE, STREAMS, WHOLE, frame
from tests.support.server import Reply, RunningServer
from torana.admin.keys import create_key
from torana.db.session import Database
from torana.ledger.terms import BudgetTerms

PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
AMOUNTS = {
    "input": "0.15",
    "cached": "0.015",
    "cache_write": "0.19",
    "cache_write_1h": "0.3",
    "output": "0.6",
    "reasoning": "0.7",
}
"""Dollars per million tokens: nano-dollars per token are a thousand times as much."""
_RATES = {
    "input_tokens": 150,
    "cached_tokens": 15,
    "cache_write_tokens": 190,
    "cache_write_1h_tokens": 300,
    "output_tokens": 600,
    "reasoning_tokens": 700,
}
_OPENAI_TOKENS = {
    "input_tokens": 35,
    "cached_tokens": 10,
    "cache_write_tokens": 5,
    "output_tokens": 16,
    "reasoning_tokens": 4,
}
TOKENS: dict[str, dict[str, int]] = {
    "chat": _OPENAI_TOKENS,
    "responses": _OPENAI_TOKENS,
    "messages": {
        "input_tokens": 30,
        "cached_tokens": 10,
        "cache_write_tokens": 10,
        "cache_write_1h_tokens": 5,
        "output_tokens": 16,
        "reasoning_tokens": 4,
    },
    "completions": {"input_tokens": 5, "output_tokens": 2},
    "embeddings": {"input_tokens": 5},
}
"""What the fake reports in each dialect, in the ledger's classes."""
_PROMPT = "Say hello."
_WORK_SECONDS = 0.8
"""How long a slow answer goes on after half of it: long enough to notice that its caller left."""
_BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": _PROMPT}], "max_completion_tokens": 40},
    "messages": {"messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 40},
    "responses": {"input": _PROMPT, "max_output_tokens": 40},
    "completions": {"prompt": _PROMPT, "max_tokens": 40},
    "embeddings": {"input": _PROMPT},
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Way:
    """A caller's route, the provider that is asked, and the dialect in which it answers."""

    caller: str
    provider: str
    upstream: str

    def __str__(self) -> str:
        return f"{self.caller} to {self.provider}"

    @property
    def cost(self) -> int:
        """What a good answer costs, in nano-dollars."""
        return sum(_RATES[name] * count for name, count in TOKENS[self.upstream].items())

    @property
    def is_anthropic(self) -> bool:
        """Whether the caller reads Anthropic's errors."""
        return self.caller == "messages"

    def name(self, model: str) -> str:
        """What the caller calls a model of the fake."""
        return f"{self.provider}/{model}"

    def body(self, model: str, *, stream: bool = False, **more: Any) -> dict[str, Any]:
        """A request."""
        body = {"model": self.name(model), **_BODIES[self.caller], **more}
        return body | ({"stream": True} if stream else {})


SAME = (
    Way("chat", "openai", "chat"),
    Way("responses", "openai", "responses"),
    Way("messages", "anthropic", "messages"),
    Way("completions", "openai", "completions"),
    Way("embeddings", "openai", "embeddings"),
)
TRANSLATED = (
    Way("chat", "anthropic", "messages"),
    Way("responses", "anthropic", "messages"),
    Way("messages", "openai", "chat"),
    Way("responses", "look", "chat"),
    Way("messages", "look", "chat"),
)
WAYS = (*SAME, *TRANSLATED)
STREAMED = tuple(way for way in WAYS if way.caller != "embeddings")


@dataclass(frozen=True)
class Wallet:
    """A key, perhaps with a budget, and the calls that are made with it."""

    server: RunningServer
    key: str
    key_id: str

    def call(
        self,
        way: Way,
        model: str,
        *,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Reply:
        """One call."""
        body = way.body(model, stream=stream, **more)
        return self.server.request("POST", PATHS[way.caller], body, key=self.key, headers=headers)

    def rows(self) -> list[dict[str, Any]]:
        """The key's rows on the ledger."""
        rows = self.server.ledger(key=self.key)
        return [row for row in rows if row["key_id"] == self.key_id]


def wallet(server: RunningServer, *, budget_nano: int | None = None) -> Wallet:
    """A new key; made without the command line, because there are many and a command is slow."""
    database = Database(server.database_url)
    budget = None
    if budget_nano is not None:
        budget = BudgetTerms(amount_nano=budget_nano, period="month")
    try:
        made = create_key(
            database, project="default", name=f"wallet-{next(_numbers)}", budget=budget
        )
    finally:
        database.dispose()
    return Wallet(server, made.key, made.id)


# --- what the fake does ------------------------------------------------------------------------


def dialect_of(turn: Turn) -> str:
    """The dialect in which a provider was asked."""
    path = turn.request.path
    found = [name for name, end in PATHS.items() if path == end]
    assert found, path
    return found[0]


def send(turn: Turn, data: bytes) -> None:
    """A piece of a stream."""
    turn.write(b"%x\r\n%b\r\n" % (len(data), data))


def frames(dialect: str) -> list[bytes]:
    """The frames of a good stream."""
    made = [frame(dialect, event, json.dumps(event).encode()) for event in STREAMS[dialect]]
    return made + ([b"data: [DONE]\n\n"] if dialect in ENDS_WITH_DONE else [])


def answer(turn: Turn) -> None:
    """A good answer in whichever dialect is asked for."""
    dialect = dialect_of(turn)
    if not turn.wants_stream:
        turn.reply(WHOLE[dialect])
        return
    turn.begin_stream()
    for each in frames(dialect):
        send(turn, each)
    turn.write(b"0\r\n\r\n")


def begin(turn: Turn) -> str:
    """The first half of a stream."""
    dialect = dialect_of(turn)
    turn.begin_stream()
    for each in frames(dialect)[: len(STREAMS[dialect]) // 2]:
        send(turn, each)
    return dialect


def cut(turn: Turn) -> None:
    """Half a stream, and the end of the connection."""
    begin(turn)
    turn.cut()


def end_early(turn: Turn) -> None:
    """Half a stream with a good end of its transfer."""
    begin(turn)
    turn.write(b"0\r\n\r\n")


def fail_midway(turn: Turn) -> None:
    """Half a stream, and an error event."""
    dialect = begin(turn)
    if dialect == "messages":
        error: dict[str, Any] = {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "busy"},
        }
    elif dialect == "responses":
        error = {
            "type": "error",
            "sequence_number": 99,
            "code": "server_error",
            "message": "broken",
            "param": None,
        }
    else:
        error = {"error": {"message": "broken", "type": "server_error", "code": None}}
    send(turn, frame(dialect, error, json.dumps(error).encode()))
    turn.write(b"0\r\n\r\n")


def slowly(before_rest: Callable[[], None]) -> Script:
    """Half a stream, then whatever is waited for, then the rest, slowly."""

    def play(turn: Turn) -> None:
        dialect = begin(turn)
        before_rest()
        rest = frames(dialect)[len(STREAMS[dialect]) // 2 :]
        for each in rest:
            time.sleep(_WORK_SECONDS / len(rest))  # The work of a provider, not a test's wait.
            send(turn, each)
        turn.write(b"0\r\n\r\n")

    return play
