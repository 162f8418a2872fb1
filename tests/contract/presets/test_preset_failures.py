"""Every preset against a server with the manners of the real one: calls that fail, and checks."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.contract.calls import LIMIT, send
from tests.contract.fake_upstream import FakeUpstream, Turn, chunk
from tests.contract.presets.adding import added, asked
from tests.contract.presets.manners import Server, google_error
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from torana.outbound.client import Answer, HttpClient
from torana.providers import Provider, build


def naked(provider: Provider) -> Provider:
    """The same provider without what its preset leaves out or renames."""
    options = msgspec.structs.replace(
        provider.config.options, dropped=(), renamed=(), developer_role=None
    )
    return build(msgspec.structs.replace(provider.config, options=options))


def test_an_error_of_the_server_is_readable(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    said = "The context is too long: 9000 > 8192."
    model = upstream.model(lambda turn: turn.reply(server.error(said), 400))
    with pytest.raises(UpstreamRejected) as failure:
        send(provider, http, asked(provider, model))
    assert (failure.value.status, failure.value.message) == (400, said)


def test_a_field_that_is_refused_is_named_in_the_error(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    tops = sorted(name for name in server.refuses if "." not in name and " " not in name)
    if not tops:
        # Nothing of this server's is to be left out: what it does not know reaches it.
        send(provider, http, asked(provider, server.model, unheard_of=1)).close()
        assert upstream.seen(server.model)[-1].json()["unheard_of"] == 1
        return
    body = json.loads(asked(provider, server.model)) | {tops[0]: 1}
    with pytest.raises(UpstreamRejected) as failure:
        send(naked(provider), http, json.dumps(body).encode())
    assert failure.value.status == server.refusal[0]
    assert tops[0] in failure.value.message


def test_a_limit_that_is_used_up_says_for_how_long(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    model = upstream.model(server.limit)
    with pytest.raises(UpstreamError) as failure:
        send(provider, http, asked(provider, model))
    kind = UpstreamRateLimited if server.limited[0] == 429 else UpstreamOverloaded
    assert type(failure.value) is kind
    assert failure.value.cooldown == pytest.approx(server.cooldown)
    assert (failure.value.retryable, failure.value.other_key) == (True, False)


def test_a_key_that_is_refused_is_our_fault_and_not_the_callers(
    name: str, server: Server, http: HttpClient, upstream: FakeUpstream
):
    upstream.model(server.play, exactly=server.model)
    provider = added(name, upstream, secret="sk-another-key")
    if server.key is None:
        send(provider, http, asked(provider, server.model)).close()
        return
    with pytest.raises(UpstreamAuth) as failure:
        send(provider, http, asked(provider, server.model))
    assert "sk-another-key" not in failure.value.public_message


# --- errors in the clothes of a success --------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openrouter", {"error": {"code": 429, "message": "no"}, "user_id": "u"}),
        ("openrouter", {"id": "x", "error": {"code": 502, "message": "no"}, "choices": []}),
        ("lm-studio", {"error": "Unexpected endpoint or method. (POST /v1/x)"}),
        ("together", {"id": "x", "error": {"message": "no", "type": "server_error"}}),
    ],
)
def test_an_error_under_a_success_status_is_an_error(
    http: HttpClient, upstream: FakeUpstream, name: str, body: Any
):
    provider = added(name, upstream)
    model = upstream.model(lambda turn: turn.reply(body))
    answer = send(provider, http, asked(provider, model)).read(LIMIT)
    with pytest.raises(UpstreamError):
        OPENAI_CHAT.decode_answer(answer)


def _broken(tail: bytes) -> Any:
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("half of")
        turn.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(tail), tail))

    return play


ERROR_CHUNK = {
    "error": {"code": "server_error", "message": "disconnected"},
    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
}


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("openrouter", b"data: %b\n\n" % json.dumps(chunk({}) | ERROR_CHUNK).encode()),
        ("groq", b'event: error\ndata: {"error":{"message":"no","type":"x"}}\n\n'),
        ("vllm", b'data: {"error": {"message": "no", "code": 400}}\n\ndata: [DONE]\n\n'),
        ("ollama", b'data: {"error": "no"}\n\n'),
        ("gemini", b"data: %b\n\n" % json.dumps(google_error("no", 503)).encode()),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_an_error(
    http: HttpClient, upstream: FakeUpstream, name: str, tail: bytes
):
    provider = added(name, upstream)
    body = asked(provider, upstream.model(_broken(tail)), stream=True)
    answer = send(provider, http, body)
    with pytest.raises(UpstreamGarbage):
        _fold(answer, body)
    answer.close()


def _fold(answer: Answer, body: bytes) -> None:
    fold = OPENAI_CHAT.fold(OPENAI_CHAT.decode_request(body), request_id="req_1")
    splitter = FrameSplitter()
    for piece in answer.chunks():
        for frame in splitter.feed(piece):
            fold.pass_on(frame, data_of(frame))


# --- checks ------------------------------------------------------------------------------------


def _serve_models(server: Server, upstream: FakeUpstream) -> None:
    if server.key_path is None:
        upstream.at(server.models_path, server.list_models)
        return
    upstream.at(server.models_path, lambda turn: turn.reply(server.models))
    upstream.at(server.key_path, server.list_models)


def test_a_check_finds_the_models(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    _serve_models(server, upstream)
    found = provider.check(http)
    assert (found.ok, found.status, found.error_code) == (True, 200, None)
    assert found.models is not None
    assert len(found.models) == 2
    assert 0 <= found.milliseconds < 10_000


def test_a_check_finds_a_key_that_is_not_taken(
    name: str, server: Server, http: HttpClient, upstream: FakeUpstream
):
    _serve_models(server, upstream)
    found = added(name, upstream, secret="sk-another-key").check(http)
    if server.key is None:
        assert found.ok
        return
    assert (found.ok, found.status, found.error_code) == (False, 401, "upstream_auth")
    assert found.models is None
    assert found.message is not None
    assert "sk-another-key" not in found.message
