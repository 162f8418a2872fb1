"""What a server that looks like OpenAI's may do in its own way, and how one plays its part.

A `Server` is its manners as data; it plays on `FakeUpstream`, a real HTTP server. It refuses what it
does not know and in its own words, wants the key in one place and nowhere else, and streams and
tells its usage in its own form. `servers` has those of the presets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

from tests.contract.fake_upstream import Turn, chunk, completion
from torana.core.usage import Usage

KEY = "sk-canary-preset-key-7be1"
WORDS = ("Namaste", " from", " the", " gateway.")
ARGUMENTS = ('{"city"', ': "Pune"}')
USAGE: Mapping[str, Any] = MappingProxyType(
    {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
)
COUNTED = Usage(input_tokens=11, output_tokens=7)

Body = dict[str, Any]


def openai_error(message: str, code: str | None = None) -> Any:
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    }


def google_error(message: str, code: int = 400, *more: Body) -> Any:
    status = "INVALID_ARGUMENT" if code == 400 else "RESOURCE_EXHAUSTED"
    error = {"code": code, "message": message, "status": status, "details": list(more)}
    return [{"error": error}]


def mistral_error(message: str) -> Any:
    return {"object": "error", "message": message, "type": "invalid_request_error", "code": 3051}


def extra_forbidden(names: list[str]) -> Any:
    detail = [
        {
            "type": "extra_forbidden",
            "loc": ["body", *name.split(".")],
            "msg": "Extra inputs are not permitted",
        }
        for name in names
    ]
    return {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}


def unknown_name(names: list[str]) -> Any:
    said = [
        f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        for name in names
    ]
    return google_error("\n".join(said))


def unsupported(names: list[str]) -> Any:
    return openai_error(f"property '{names[0]}' is unsupported")


@dataclass(frozen=True)
class Server:
    """The manners of one server.

    Attributes:
        model: a name as its models have.
        key: the header that it wants the key in, and what stands before it; None wants none.
        path: where a chat completion goes; `{model}` is the model's name.
        query: the parameters that it demands.
        refuses: fields that it does not take, those of messages as `messages.name`.
        refusal: the status and body of such a refusal.
        error: the body of another error.
        limited: status, headers and body of its way to say that a limit is used up.
        cooldown: what that means in seconds.
        stream: the events of a stream; bytes are sent as they are.
        usage: as it writes one.
        counted: what that means.
        models: the body of its list of models.
        key_path: where it tells whether a key is good, when anybody may list the models.
        knows_newer_limit: it takes `max_completion_tokens`.
        closes: it ends the connection after a stream, unasked and without a word.
        before: what comes before the JSON of an answer.
    """

    model: str = "some-model"
    key: tuple[str, str] | None = ("authorization", "Bearer ")
    path: str = "/v1/chat/completions"
    query: str = ""
    refuses: frozenset[str] = frozenset()
    refusal: tuple[int, Callable[[list[str]], Any]] = (400, unsupported)
    error: Callable[[str], Any] = openai_error
    limited: tuple[int, dict[str, str], Any] = (429, {"retry_after": "7"}, b"{}")
    cooldown: float = 7.0
    stream: Callable[[Server, Body], Iterator[Body | bytes]] = field(
        default_factory=lambda: asked_usage
    )
    usage: Mapping[str, Any] = field(default_factory=lambda: USAGE)
    counted: Usage = COUNTED
    models: Any = field(
        default_factory=lambda: {"object": "list", "data": [{"id": "a"}, {"id": "b/c"}]}
    )
    models_path: str = "/v1/models"
    key_path: str | None = None
    knows_newer_limit: bool = True
    closes: bool = False
    before: bytes = b""

    def play(self, turn: Turn) -> None:
        """Answer a chat completion."""
        problem = self.problem_with(turn)
        if problem is not None:
            turn.reply(problem[1], problem[0])
            return
        body = turn.request.json()
        if not body.get("stream"):
            reply = completion("".join(WORDS), usage=dict(self.usage))
            if body.get("tools"):
                reply["choices"][0] |= {"message": called(), "finish_reason": "tool_calls"}
            turn.reply(self.before + json.dumps(reply).encode(), connection=closing(turn))
            return
        turn.head(
            content_type="text/event-stream", transfer_encoding="chunked", connection=closing(turn)
        )
        for event in self.stream(self, body):
            data = (
                event if isinstance(event, bytes) else b"data: %b\n\n" % json.dumps(event).encode()
            )
            turn.write(b"%x\r\n%b\r\n" % (len(data), data))
        turn.write(b"0\r\n\r\n")
        if self.closes:
            turn.cut()

    def list_models(self, turn: Turn) -> None:
        """Answer the question for the models, or for the key."""
        refused = self.problem_with_key(turn)
        turn.reply(self.models if refused is None else refused[1], 401 if refused else 200)

    def limit(self, turn: Turn) -> None:
        """Say that a limit is used up."""
        status, headers, body = self.limited
        turn.reply(body, status, **headers)

    def problem_with(self, turn: Turn) -> tuple[int, Any] | None:
        """What the real server would refuse a request for."""
        path, _, query = turn.request.path.partition("?")
        body = turn.request.json()
        if path != self.path.replace("{model}", quote(body["model"], safe="")):
            return 404, self.error(f"no such path: {path}")
        if query != self.query:
            return 404, self.error(f"wrong parameters: {query}")
        names = [name for name in body if name in self.refuses]
        for number, message in enumerate(body["messages"]):
            names += [
                f"messages.{number}.{name}"
                for name in message
                if f"messages.{name}" in self.refuses
            ]
            if f"role {message.get('role')}" in self.refuses:
                return 422, self.error(f"unknown role: {message['role']}")
        if names:
            return self.refusal[0], self.refusal[1](names)
        return self.problem_with_key(turn)

    def problem_with_key(self, turn: Turn) -> tuple[int, Any] | None:
        """Whether the key is where it is wanted, and nowhere else."""
        headers = turn.request.headers
        found = [name for name, value in headers.items() if KEY in value]
        wanted = [] if self.key is None else [self.key[0]]
        if found != wanted or KEY in turn.request.path:
            return 401, self.error("no good key")
        if self.key is not None and headers[self.key[0]] != self.key[1] + KEY:
            return 401, self.error("no good key")
        return None


def closing(turn: Turn) -> str:
    """Whether a server says that it closes the connection: only where it was asked to."""
    return turn.request.headers.get("connection", "keep-alive")


def called(*, streamed: bool = False) -> Body:
    """A message that calls a tool."""
    function = {"name": "weather", "arguments": "" if streamed else "".join(ARGUMENTS)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}],
    }


# --- how they stream ---------------------------------------------------------------------------


def _deltas(body: Body) -> Iterator[Body]:
    if body.get("tools"):
        yield chunk(called(streamed=True))
        for piece in ARGUMENTS:
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        return
    yield chunk({"role": "assistant", "content": ""})
    for word in WORDS:
        yield chunk({"content": word})


def _finish(body: Body, reason: str = "stop") -> Body:
    return chunk({}, "tool_calls" if body.get("tools") else reason)


def _asks(body: Body) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def asked_usage(server: Server, body: Body) -> Iterator[Body | bytes]:
    """As OpenAI does: the usage in a chunk of its own, for who asks."""
    yield from _deltas(body)
    yield _finish(body)
    if _asks(body):
        yield {**chunk({}), "choices": [], "usage": dict(server.usage)}
    yield b"data: [DONE]\n\n"


def usage_at_the_finish(server: Server, body: Body) -> Iterator[Body | bytes]:
    """The usage with the reason to finish, asked for or not."""
    for delta in _deltas(body):
        yield delta | {"usage": None}
    yield _finish(body) | {"usage": dict(server.usage)}
    yield b"data: [DONE]\n\n"


def eos(server: Server, body: Body) -> Iterator[Body | bytes]:
    """A reason to finish of its own."""
    yield from _deltas(body)
    yield _finish(body, "eos") | {"usage": dict(server.usage)}
    yield b"data: [DONE]\n\n"


def filtered(server: Server, body: Body) -> Iterator[Body | bytes]:
    """What the filters say of the prompt first, and of each piece."""
    found = {"hate": {"filtered": False, "severity": "safe"}}
    head = {
        "choices": [],
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": found}],
    }
    yield chunk({}) | head
    for event in asked_usage(server, body):
        if isinstance(event, dict) and event["choices"]:
            event["choices"][0]["content_filter_results"] = found
        yield event


def without_done(server: Server, body: Body) -> Iterator[Body | bytes]:
    """The usage so far with each chunk, calls without an index, and no `[DONE]`."""
    for number, delta in enumerate(_deltas(body)):
        for call in delta["choices"][0]["delta"].get("tool_calls", ()):
            del call["index"]
        so_far = dict(server.usage) | {"completion_tokens": number, "total_tokens": 11 + number}
        yield delta | {"usage": so_far}
    yield _finish(body) | {"usage": dict(server.usage)}


def twice_told(server: Server, body: Body) -> Iterator[Body | bytes]:
    """The usage under a name of its own too."""
    for number, event in enumerate(asked_usage(server, body)):
        if isinstance(event, dict) and number == 0:
            event["x_groq"] = {"id": "req_1"}
        if isinstance(event, dict) and event["choices"] and event["choices"][0]["finish_reason"]:
            event["x_groq"] = {"id": "req_1", "usage": dict(server.usage)}
        yield event


def commented(comment: bytes) -> Callable[[Server, Body], Iterator[Body | bytes]]:
    """Comments while nothing is there to be said, and the usage beside an empty delta at the end."""

    def events(server: Server, body: Body) -> Iterator[Body | bytes]:
        yield comment + b"\n\n"
        yield comment + b"\n\n"
        for delta in _deltas(body):
            yield delta
            yield comment + b"\n\n"
        yield _finish(body)
        yield chunk({"role": "assistant", "content": ""}) | {"usage": dict(server.usage)}
        yield b"data: [DONE]\n\n"

    return events


def timed(server: Server, body: Body) -> Iterator[Body | bytes]:
    """Figures of its own in the last chunk."""
    for event in asked_usage(server, body):
        yield (
            event | {"timings": {"predicted_per_second": 41.5}}
            if isinstance(event, dict)
            else event
        )


def base_url(server_url: str, preset_url: str) -> str:
    """The address of a simulated server with the path of the real one."""
    return f"{server_url.removesuffix('/v1')}{urlsplit(preset_url).path}"
