"""Scripted providers as a process: three listeners, what they play, and a journal of it.

    python -m tests.chaos.faults.provider_process --certificate expired.pem --key key.pem

`faulty` may close connections as soon as they are there, `steady` never does, and `expired` speaks
TLS with a certificate that nobody may trust. Behind each of the first two are as many providers as
are asked for: the first part of a path is a provider's name. `steady` takes the commands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.loop import raise_file_limit, run
from tests.chaos.faults.plays import CLOSE_AT_ACCEPT, DRIP, GOOD, REFUSALS, SLOW, Player, play

_SILENCE_SECONDS = 30.0
"""How long silence lasts, unless the other side gives up."""
_SLOW_SECONDS = 0.25
_DRIP_SECONDS = 0.02
_DRIP_BYTES = 120
_WORDS = 6
_NO_LINGER = struct.pack("ii", 1, 0)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Call:
    """A request that was read."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.provider = path.strip("/").partition("/")[0]
        self.request_id = headers.get("x-request-id", "")
        self.attempt = int(headers.get("x-torana-attempt", "0"))
        self.key = headers.get("authorization", "").removeprefix("Bearer ")
        parsed = json.loads(body)
        self.model: str = parsed["model"]
        self.streamed = bool(parsed.get("stream"))
        self.wants_usage = bool((parsed.get("stream_options") or {}).get("include_usage"))
        self.tokens = (len(body) // 8 + 1, _WORDS)

    @property
    def text(self) -> str:
        """What is answered: it tells which provider answers which call."""
        return f"{self.provider} {self.key} answers {self.request_id}"


class Providers:
    """All state of the process."""

    def __init__(self) -> None:
        self.players: dict[str, Player] = {}
        self.journal: list[dict[str, Any]] = []
        self.open_calls = 0

    def player(self, model: str) -> Player:
        """What is played for a model: nothing bad, unless it was told."""
        if model not in self.players:
            self.players[model] = Player(play(seed=0, share=0.0))
        return self.players[model]

    def note(self, call: Call, fault: str) -> None:
        """Write a call into the journal."""
        self.journal.append(
            {
                "t": time.monotonic(),
                "provider": call.provider,
                "model": call.model,
                "request_id": call.request_id,
                "attempt": call.attempt,
                "key": call.key,
                "streamed": call.streamed,
                "fault": fault,
                "tokens": call.tokens,
            }
        )

    # --- connections ---------------------------------------------------------------------------

    async def serve(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve a connection to its end."""
        try:
            if name == "faulty" and not self._accepts():
                self.journal.append({"t": time.monotonic(), "fault": CLOSE_AT_ACCEPT})
                return
            while await self._serve_one(reader, writer):
                pass
        except (OSError, EOFError, asyncio.IncompleteReadError):
            return  # The other side has gone.
        finally:
            writer.close()

    def _accepts(self) -> bool:
        now = time.monotonic()
        return all(player.accepts(now) for player in self.players.values())

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may come."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = lines[0].split(" ")[1]
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        headers |= {"authorization": _header(lines, "authorization")}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if path.startswith("/_"):
            answer = json.dumps(self._command(path, body)).encode()
            writer.write(_head(200, len(answer)) + answer)
            return True
        call = Call(path, headers, body)
        player = self.player(call.model)
        fault = player.draw(time.monotonic(), streamed=call.streamed)
        self.note(call, fault)
        self.open_calls += 1
        try:
            await asyncio.sleep(player.wait_seconds)
            return await _perform(fault, call, (reader, writer))
        finally:
            self.open_calls -= 1

    def _command(self, path: str, body: bytes) -> Any:
        if path == "/_play":
            scripts = json.loads(body)
            self.players = {model: Player(script) for model, script in scripts.items()}
            return {}
        if path == "/_take":
            taken, self.journal = self.journal, []
            return taken
        return {"open_calls": self.open_calls}


async def _perform(fault: str, call: Call, streams: Streams) -> bool:
    """Do what was drawn; whether the connection goes on."""
    reader, writer = streams
    if fault in REFUSALS:
        status, headers = REFUSALS[fault]
        body = json.dumps({"error": {"message": "No.", "type": "none", "code": None}}).encode()
        writer.write(_head(status, len(body), headers=headers) + body)
        return True
    if fault in _GOOD:
        await _GOOD[fault](call, writer)
        return True
    await _BAD[fault](call, reader, writer)
    return False


# --- good answers ------------------------------------------------------------------------------


async def _good(call: Call, writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(call))


async def _slow(call: Call, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_SLOW_SECONDS)
    writer.write(_whole(call))


async def _drip(call: Call, writer: asyncio.StreamWriter) -> None:
    data = _whole(call)
    for start in range(0, len(data), _DRIP_BYTES):
        writer.write(data[start : start + _DRIP_BYTES])
        await asyncio.sleep(_DRIP_SECONDS)


_GOOD: dict[str, Callable[[Call, asyncio.StreamWriter], Awaitable[None]]] = {
    GOOD: _good,
    SLOW: _slow,
    DRIP: _drip,
}

# --- bad ones ----------------------------------------------------------------------------------


async def _silence(_call: Call, reader: asyncio.StreamReader, _writer: object) -> None:
    async with asyncio.timeout(_SILENCE_SECONDS):
        await reader.read(1)


async def _close(_call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset(_call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def _no_http(_call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x01\x02 this is not HTTP \xff\r\n\r\n")


async def _silence_after(
    call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(_part(call))
    await _silence(call, reader, writer)


async def _reset_after(
    call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(_part(call))
    await asyncio.sleep(0.01)  # So that it can be read before the reset throws it away.
    await _reset(call, reader, writer)


async def _too_long(call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    body = _body(call)
    writer.write(_head(200, len(body) + 50, streamed=call.streamed) + body)


async def _too_short(call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    body = _body(call)
    writer.write(_head(200, len(body) // 2, streamed=call.streamed) + body)


async def _half(call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    body = _body(call)
    head = _head(200, None, streamed=call.streamed)
    writer.write(head + b"%x\r\n" % len(body) + body[: len(body) // 2])


async def _garbage(call: Call, _reader: object, writer: asyncio.StreamWriter) -> None:
    body = b"<html><body>It works!</body></html>"
    if call.streamed:
        body = b'data: {"id": "x", "choices": [{"del\n\n' + _body(call)
    writer.write(_head(200, len(body), streamed=call.streamed) + body)


_BAD: dict[str, Callable[[Call, Any, Any], Awaitable[None]]] = {
    "silence": _silence,
    "closed before head": _close,
    "reset before head": _reset,
    "no HTTP": _no_http,
    "silence after head": _silence_after,
    "reset after head": _reset_after,
    "length too long": _too_long,
    "length too short": _too_short,
    "half a chunked body": _half,
    "garbage in body": _garbage,
}

# --- bytes -------------------------------------------------------------------------------------


def _head(
    status: int,
    length: int | None,
    *,
    streamed: bool = False,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    kind = "text/event-stream" if streamed else "application/json"
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", size]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _header(lines: list[str], name: str) -> str:
    """A header as it was sent, in its own case."""
    found = (line.partition(": ")[2] for line in lines if line.lower().startswith(f"{name}: "))
    return next(found, "")


def _body(call: Call) -> bytes:
    return b"".join(_events(call)) if call.streamed else _json(call)


def _whole(call: Call) -> bytes:
    if not call.streamed:
        body = _json(call)
        return _head(200, len(body)) + body
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in _events(call)]
    return _head(200, None, streamed=True) + b"".join(chunks) + b"0\r\n\r\n"


def _part(call: Call) -> bytes:
    """The head, and for a stream its first event."""
    if not call.streamed:
        body = _json(call)
        return _head(200, len(body)) + body[: len(body) // 2]
    event = _events(call)[0]
    return _head(200, None, streamed=True) + b"%x\r\n%s\r\n" % (len(event), event)


def _usage(call: Call) -> dict[str, int]:
    prompt, completion = call.tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _json(call: Call) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": call.text},
        "finish_reason": "stop",
    }
    return json.dumps(_frame(call, "chat.completion", [choice]) | {"usage": _usage(call)}).encode()


def _events(call: Call) -> list[bytes]:
    frame = partial(_frame, call, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"{word} "} for word in call.text.split()]
    chunks = [frame([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    chunks.append(frame([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    if call.wants_usage:
        chunks.append(frame([]) | {"usage": _usage(call)})
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return [*events, b"data: [DONE]\n\n"]


def _frame(call: Call, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call.request_id}",
        "object": kind,
        "created": 1_700_000_000,
        "model": call.model,
        "choices": choices,
    }


# --- the process -------------------------------------------------------------------------------


async def _main(certificate: Path, key: Path) -> None:
    raise_file_limit()
    providers = Providers()
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.load_cert_chain(certificate, key)
    ports = {}
    for name, context in (("faulty", None), ("steady", None), ("expired", expired)):
        server = await asyncio.start_server(
            partial(providers.serve, name), "127.0.0.1", 0, ssl=context, backlog=1024
        )
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)  # noqa: T201 -- whoever started it reads this line
    await asyncio.Event().wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    run(_main(given.certificate, given.key))
