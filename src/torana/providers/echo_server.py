"""The HTTP server behind `echo`: a thread (a greenlet under gevent) per connection, on loopback.

Deterministic: the same request gives the same answer, and usage counts words. It is a server and
not a stub, so that timeouts, resets and half answers happen on a real socket.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import orjson

from torana.providers.echo_script import PLAIN, Script, ScriptError, parse

_CREATED = 1_700_000_000
_ID = "chatcmpl-echo"
_HANG_SECONDS = 900.0
_BODY_LIMIT = 256 * 1024 * 1024


class EchoServer:
    """Serves `/v1/chat/completions` and `/v1/models` on a port of its own."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)

    @property
    def base_url(self) -> str:
        """The address for a client, with the version."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def start(self) -> None:
        """Serve in the background until the process ends or `stop` is called."""
        threading.Thread(
            target=self._server.serve_forever, name="echo", args=(0.2,), daemon=True
        ).start()

    def stop(self) -> None:
        """Stop serving and close the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is part of the game."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "echo"
    disable_nagle_algorithm = True
    timeout: ClassVar[float] = _HANG_SECONDS

    def log_message(self, *_args: Any) -> None:
        """Prompts must not reach a log."""

    def do_GET(self) -> None:
        if not self.path.endswith("/models"):
            self._error(404, "echo lists its model under /v1/models")
            return
        data = orjson.dumps({"object": "list", "data": [{"id": PLAIN, "object": "model"}]})
        self._head(200, "application/json", len(data))
        self.wfile.write(data)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > _BODY_LIMIT:
            self.close_connection = True  # What is not read would be taken for the next request.
            self._error(413, "echo takes less than that")
            return
        body = self.rfile.read(length)
        if not self.path.endswith("/chat/completions"):
            self._error(404, "echo serves /v1/chat/completions")
            return
        try:
            request = orjson.loads(body)
            script = parse(str(request.get("model")))
        except ScriptError as error:
            self._error(404, str(error))
            return
        except (orjson.JSONDecodeError, AttributeError):
            self._error(400, "echo wants a JSON object")
            return
        attempt = int(self.headers.get("x-torana-attempt") or 1)
        self._play(script, request, attempt)

    def _play(self, script: Script, request: dict[str, Any], attempt: int) -> None:
        time.sleep(script.delay_ms / 1000)
        if script.hang:
            self._wait_for_hangup()
            return
        if script.status != 200 and not 0 < script.until <= attempt:
            self._error(script.status, f"echo was told to fail with {script.status}", script)
            return
        prompt = _text_of(request.get("messages"))
        answer = prompt if not script.words else " ".join(f"word{n}" for n in range(script.words))
        answer = _limited(answer or "(silence)", request)
        usage = _usage(prompt, answer) if script.usage else None
        if request.get("stream"):
            options = request.get("stream_options") or {}
            self._stream(
                script, request["model"], answer, usage, bool(options.get("include_usage"))
            )
        else:
            self._json(script, request["model"], answer, usage)

    def _json(self, script: Script, model: str, answer: str, usage: dict[str, Any] | None) -> None:
        body: dict[str, Any] = {
            "id": _ID,
            "object": "chat.completion",
            "created": _CREATED,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": answer, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
        }
        if usage is not None:
            body["usage"] = usage
        data = b"<html>garbage</html>" if script.garbage else orjson.dumps(body)
        self._head(200, "application/json", len(data))
        if script.cut >= 0:
            self.wfile.write(data[: script.cut])
            self._hang_up()
            return
        self.wfile.write(data)

    def _stream(
        self,
        script: Script,
        model: str,
        answer: str,
        usage: dict[str, Any] | None,
        include_usage: bool,
    ) -> None:
        self._head(200, "text/event-stream", None)
        for number, frame in enumerate(_frames(model, answer, usage if include_usage else None)):
            if number == script.cut:
                self._hang_up()
                return
            data = b"data: {garbage\n\n" if script.garbage and number == 1 else frame
            if number:
                time.sleep(script.drip_ms / 1000)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _error(self, status: int, message: str, script: Script | None = None) -> None:
        data = orjson.dumps(
            {"error": {"message": message, "type": "echo_error", "param": None, "code": "echo"}}
        )
        after = script.retry_after if script is not None else -1
        self._head(status, "application/json", len(data), retry_after=after)
        self.wfile.write(data)

    def _head(
        self, status: int, content_type: str, length: int | None, retry_after: int = -1
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("x-request-id", f"echo-{self.headers.get('x-request-id', '')}")
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        if retry_after >= 0:
            self.send_header("retry-after", str(retry_after))
        self.end_headers()

    def _wait_for_hangup(self) -> None:
        self.connection.settimeout(_HANG_SECONDS)
        self.connection.recv(1)
        self.close_connection = True

    def _hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


def _frames(model: str, answer: str, usage: dict[str, Any] | None) -> Iterator[bytes]:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
        value = {
            "id": _ID,
            "object": "chat.completion.chunk",
            "created": _CREATED,
            "model": model,
            "choices": choices,
            **more,
        }
        return b"data: " + orjson.dumps(value) + b"\n\n"

    def delta(content: dict[str, Any], finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": content, "logprobs": None, "finish_reason": finish}]

    silent: dict[str, Any] = {} if usage is None else {"usage": None}
    yield chunk(delta({"role": "assistant", "content": ""}), **silent)
    for number, word in enumerate(answer.split(" ")):
        yield chunk(delta({"content": word if number == 0 else f" {word}"}), **silent)
    yield chunk(delta({}, "stop"), **silent)
    if usage is not None:
        yield chunk([], usage=usage)
    yield b"data: [DONE]\n\n"


def _text_of(messages: object) -> str:
    """The text of the last user message; parts are joined."""
    if not isinstance(messages, list):
        return ""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                texts = [part.get("text") for part in content if isinstance(part, dict)]
                return " ".join(text for text in texts if isinstance(text, str))
    return ""


def _limited(answer: str, request: dict[str, Any]) -> str:
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if isinstance(limit, int) and limit > 0:
        return " ".join(answer.split(" ")[:limit])
    return answer


def _usage(prompt: str, answer: str) -> dict[str, Any]:
    prompt_tokens = len(prompt.split())
    completion_tokens = len(answer.split(" "))
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
