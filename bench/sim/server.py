"""The simulator's connections: routes, pacing, and noticing that a client hung up.

One `Simulator` is shared by all connections. A connection answers one call at a time, in order,
so pipelined requests wait in its buffer.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import cast

import msgspec

from bench.sim.account import Account, Tally
from bench.sim.answers import NUMBER_PLACEHOLDER, SHAPES, Answers, json_response
from bench.sim.behaviour import Behaviour
from bench.sim.http import BadRequestError, Request, header, parse
from bench.sim.kinds import CREATED, MODELS, Ask, Dialect, Kind, kind_of, problem

ROUTES: dict[bytes, Dialect] = {
    b"/v1/chat/completions": "openai",
    b"/v1/messages": "anthropic",
    b"/v1/responses": "responses",
    b"/v1/embeddings": "embeddings",
}
MODEL_LIST = json_response(
    "200 OK",
    {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": CREATED, "owned_by": "simulator"}
            for model in MODELS
        ],
    },
)


class Simulator:
    """What all connections share: the behaviour, the books, the templates, the call counter."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.account = Account()
        self.answers = Answers()
        self.ask_decoder = msgspec.json.Decoder(Ask)
        self._run = secrets.token_hex(6).encode()
        self._calls = 0

    def next_number(self) -> bytes:
        """An id of the placeholder's length that no other call, and no other run, has."""
        self._calls += 1
        return b"%b%012x" % (self._run, self._calls)


class Call:
    """One model call that was admitted and must be billed."""

    __slots__ = (
        "account",
        "behaviour",
        "due",
        "frames",
        "head",
        "kind",
        "number",
        "sent",
        "tally",
        "timer",
    )

    def __init__(self, simulator: Simulator, kind: Kind, behaviour: Behaviour, head: bytes) -> None:
        self.kind = kind
        self.behaviour = behaviour
        self.head = head
        # A reset replaces the account; a call that was open then still belongs to the old one.
        self.account: Account = simulator.account
        self.tally: Tally = self.account.open(kind.model)
        self.number = simulator.next_number()
        self.frames: tuple[bytes, ...] = ()
        self.sent = 0
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def close(self, *, cut: bool) -> None:
        """Bill the call: a cut stream for the share that was written, all else in full."""
        usage = self.kind.usage
        output_tokens = usage.output_tokens
        if cut and self.kind.stream:
            output_tokens = output_tokens * self.sent // len(self.frames)
        self.account.close(self.tally, usage.input_tokens, output_tokens, cut=cut)
        if self.behaviour.journal:
            prefix = SHAPES[self.kind.dialect].prefix
            self.account.journal[prefix + self.number.decode()] = {
                "dialect": self.kind.dialect,
                "model": self.kind.model,
                "input_tokens": usage.input_tokens,
                "output_tokens": output_tokens,
                "state": "cut" if cut else "completed",
                "request_id": self._sent(b"x-request-id"),
                "attempt": self._sent(b"x-torana-attempt"),
            }

    def _sent(self, name: bytes) -> str | None:
        """What the client called this call by; looked up only for the journal."""
        value = header(self.head, name)
        return None if value is None else value.decode("latin-1")


class Connection(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "call",
        "closing",
        "loop",
        "needed",
        "parts",
        "paused",
        "simulator",
        "size",
        "transport",
    )

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self.simulator = simulator
        self.loop = loop
        self.parts: list[bytes] = []
        self.size = 0
        self.needed = 1
        self.call: Call | None = None
        self.paused = False
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio hands it over once."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Bill what was open: its client is gone."""
        if self.call is not None:
            if self.call.timer is not None:
                self.call.timer.cancel()
            self.call.close(cut=True)
            self.call = None

    def pause_writing(self) -> None:
        """Start no further answer while the client does not read."""
        self.paused = True

    def resume_writing(self) -> None:
        """Go on with what waits in the buffer."""
        self.paused = False
        self.serve()

    def data_received(self, data: bytes) -> None:
        """Collect bytes, and look at them only when there are enough for what is missing."""
        self.parts.append(data)
        self.size += len(data)
        if self.size >= self.needed:
            self.serve()

    def serve(self) -> None:
        """Answer the requests in the buffer, until one must wait or is not complete."""
        while self.size >= self.needed and self.call is None and not (self.paused or self.closing):
            buffer = b"".join(self.parts) if len(self.parts) > 1 else self.parts[0]
            try:
                request = parse(buffer)
            except BadRequestError as error:
                self.closing = True
                self.transport.write(_openai_error("400 Bad Request", str(error)))
                self.transport.close()
                return
            if isinstance(request, int):
                self.parts, self.needed = [buffer], request
                return
            rest = buffer[request.end :]
            self.parts, self.size, self.needed = [rest] if rest else [], len(rest), 1
            self.closing = not request.keep_alive
            self.answer(request)
            if self.closing and self.call is None:
                self.transport.close()

    def answer(self, request: Request) -> None:
        """Find the route of a request and act on it."""
        dialect = ROUTES.get(request.path)
        if dialect is not None and request.method == b"POST":
            self.begin(dialect, request)
        elif request.path == b"/v1/models" and request.method == b"GET":
            self.transport.write(MODEL_LIST)
        elif request.path.startswith(b"/_"):
            self.transport.write(_control(self.simulator, request))
        else:
            self.transport.write(_openai_error("404 Not Found", "no such route"))

    def begin(self, dialect: Dialect, request: Request) -> None:
        """Start a model call: at once and whole, or paced by timers."""
        simulator = self.simulator
        behaviour = simulator.behaviour
        try:
            ask = simulator.ask_decoder.decode(request.body)
            behaviour = behaviour.models.get(ask.model, behaviour)
            wrong = problem(dialect, ask)
            kind = kind_of(dialect, ask, behaviour)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            wrong = str(error)
        if wrong:
            self.transport.write(_refusal(dialect, wrong))
            return
        template = simulator.answers.template(kind)
        call = Call(simulator, kind, behaviour, request.head)
        paced = kind.stream and behaviour.chunk_ms > 0
        call.frames = template.frames if paced else (template.whole,)
        if not paced and behaviour.latency_ms == 0:
            self.transport.write(template.whole.replace(NUMBER_PLACEHOLDER, call.number))
            call.close(cut=False)
            return
        self.call = call
        call.due = self.loop.time() + behaviour.latency_ms / 1000
        if behaviour.latency_ms:
            call.timer = self.loop.call_at(call.due, self.advance, call)
        else:
            self.advance(call)

    def advance(self, call: Call) -> None:
        """Write the next frame of the open call; due times are absolute, so delays don't add up."""
        self.transport.write(call.frames[call.sent].replace(NUMBER_PLACEHOLDER, call.number))
        call.sent += 1
        if call.sent < len(call.frames):
            call.due += call.behaviour.chunk_ms / 1000
            call.timer = self.loop.call_at(call.due, self.advance, call)
            return
        self.call = None
        call.close(cut=False)
        if self.closing:
            self.transport.close()
        else:
            self.serve()


def _control(simulator: Simulator, request: Request) -> bytes:
    """The routes for whoever runs the measurement; they are not part of any provider's API."""
    route = (request.method, request.path)
    if route == (b"GET", b"/_account"):
        return json_response("200 OK", simulator.account.report())
    if route == (b"POST", b"/_reset"):
        simulator.account = Account()
        return json_response("200 OK", {"reset": True})
    if route == (b"POST", b"/_behaviour"):
        try:
            simulator.behaviour = msgspec.json.decode(request.body, type=Behaviour)
        except msgspec.MsgspecError as error:
            return _openai_error("400 Bad Request", str(error))
        return json_response("200 OK", simulator.behaviour)
    return _openai_error("404 Not Found", "no such route")


def _openai_error(status: str, message: str) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return json_response(status, {"error": error})


def _refusal(dialect: Dialect, message: str) -> bytes:
    """A 400 in the shape of the route's dialect."""
    if dialect != "anthropic":
        return _openai_error("400 Bad Request", message)
    error = {"type": "invalid_request_error", "message": message}
    body = {"type": "error", "error": error, "request_id": "req_simulator"}
    return json_response("400 Bad Request", body)
