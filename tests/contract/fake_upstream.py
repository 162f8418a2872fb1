"""A provider that does what a test tells it, byte by byte, and remembers what it was sent.

Each test asks for a model name of its own and says what shall happen when it is called; the name
also finds the call on the ledger. A real HTTP server on loopback, in the tests' own process, so that
a test can hold an answer back until it has seen something.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 20.0
"""Longest that an answer is held back; a test that forgets to let it go must not hang."""
ANSWER = "canary-answer-5d1c07"
"""What an answer says unless a test wants something else; it must not appear in a log."""
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass(frozen=True)
class Seen:
    """A request as it came; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    method: str = "POST"

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Turn:
    """One call, for the script that answers it."""

    def __init__(self, request: Seen, connection: socket.socket) -> None:
        self.request = request
        self.connection = connection

    @property
    def wants_stream(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.request.json().get("stream"))

    @property
    def wants_usage(self) -> bool:
        """Whether the usage chunk was asked for."""
        return bool((self.request.json().get("stream_options") or {}).get("include_usage"))

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def head(self, status: int = 200, **headers: str) -> None:
        """Send the status line and headers; `_` in a name becomes `-`."""
        lines = [f"HTTP/1.1 {status} Status"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def reply(self, value: Any, status: int = 200, **headers: str) -> None:
        """Send a whole answer; bytes as they are, all else as JSON."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        kind = headers.pop("content_type", "application/json")
        self.head(status, content_type=kind, content_length=str(len(data)), **headers)
        self.write(data)

    def begin_stream(self) -> None:
        """Send the head of a stream."""
        self.head(content_type="text/event-stream", transfer_encoding="chunked")

    def raw_event(self, data: bytes) -> None:
        """Send an event whose data is these bytes."""
        frame = b"data: " + data + b"\n\n"
        self.write(b"%x\r\n%b\r\n" % (len(frame), frame))

    def event(self, value: Any) -> None:
        """Send an event."""
        self.raw_event(json.dumps(value).encode())

    def words(self, text: str) -> None:
        """Send a chunk with a piece of the answer."""
        self.event(chunk({"role": "assistant", "content": text}))

    def end_stream(self, *, usage: Mapping[str, Any] | None = None) -> None:
        """Send all that a good stream ends with."""
        self.event(chunk({}, finish="stop"))
        if self.wants_usage:
            self.event({**chunk({}), "choices": [], "usage": usage or USAGE})
        self.raw_event(b"[DONE]")
        self.write(b"0\r\n\r\n")

    def wait_for_hang_up(self) -> bool:
        """Wait until the other side has ended the connection."""
        ready, _, _ = select.select([self.connection], [], [], WAIT_SECONDS)
        if not ready:
            return False
        try:
            return self.connection.recv(1) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """End the connection with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The handler's files share the socket, and `close` would wait for theirs.
        os.close(self.connection.detach())

    def cut(self) -> None:
        """End the connection as a process that dies does."""
        self.connection.shutdown(socket.SHUT_RDWR)


Script = Callable[[Turn], None]


def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A chunk of a stream."""
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "fake",
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}],
    }


def completion(text: str = ANSWER, **more: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
        **more,
    }


def answer_well(turn: Turn) -> None:
    """What a healthy provider does."""
    if not turn.wants_stream:
        turn.reply(completion())
        return
    turn.begin_stream()
    turn.words(ANSWER)
    turn.end_stream()


def fail_with(status: int, error: Mapping[str, Any] | None = None, **headers: str) -> Script:
    """A script that answers with an error."""
    body = {"message": "told to fail", "type": "fake_error", "param": None, "code": "fake"}

    def play(turn: Turn) -> None:
        turn.reply({"error": {**body, **(error or {})}}, status, **headers)

    return play


class FakeUpstream:
    """The server. `url` is a base URL as the SDKs take it."""

    def __init__(self) -> None:
        self.problems: list[BaseException] = []
        self._numbers = itertools.count(1)
        self._scripts: dict[str, Script] = {}
        self._seen: dict[str, list[Seen]] = {}
        self._server = _Server(self)

    @property
    def url(self) -> str:
        """Its base URL, with the version."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def model(self, script: Script = answer_well, *, exactly: str | None = None) -> str:
        """A model name that nobody else uses, and what happens when it is called.

        Args:
            script: what happens.
            exactly: a name of the catalogue, for a test that needs what is known of it.
        """
        name = exactly or f"gpt-test-{next(self._numbers)}"
        self._scripts[name] = script
        return name

    def at(self, path: str, script: Script) -> None:
        """What happens when a path is asked for without a body; `seen(path)` has the requests."""
        self._scripts[path] = script

    def seen(self, model: str) -> list[Seen]:
        """The requests for a model so far."""
        return list(self._seen.get(model, ()))

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def play(self, turn: Turn) -> None:
        """Answer a call."""
        try:
            request = turn.request
            model = str(request.json()["model"]) if request.method == "POST" else request.path
        except (ValueError, LookupError, TypeError):
            turn.reply({"error": {"message": "not a request"}}, 400)
            return
        self._seen.setdefault(model, []).append(turn.request)
        script = self._scripts.get(model, answer_well)
        try:
            script(turn)
        except OSError:
            raise
        except BaseException as problem:
            self.problems.append(problem)
            raise


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream
        self.numbers = itertools.count(1)
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the game; other problems are kept for the fixture."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60.0
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.numbers)

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self._play()

    def do_GET(self) -> None:
        self._play()

    def do_DELETE(self) -> None:
        self._play()

    def _play(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        seen = Seen(self.path, headers, body, self.number, self.command)
        turn = Turn(seen, self.connection)
        self.server.upstream.play(turn)
        if self.connection.fileno() < 0:
            self.close_connection = True

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()


@contextmanager
def fake_upstream() -> Iterator[FakeUpstream]:
    """A running fake; a script that broke fails the session at its end."""
    upstream = FakeUpstream()
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()
    assert not upstream.problems, upstream.problems


class Gate:
    """What a script waits at until the test lets it go on."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        """Let everyone pass, now and later."""
        self._open.set()

    def wait(self) -> None:
        """Wait until it is open; a test that never opens it fails."""
        if not self._open.wait(WAIT_SECONDS):
            raise AssertionError("nobody opened the gate")


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that is taken, so that nobody else listens on it, and refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
