"""The simulator over its socket: wire formats, books, and what happens when a client hangs up."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest

from bench.processes import wait_until

QUESTION: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "hello"}],
}


def raw_request(body: object, path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def read_until(connection: socket.socket, count: int, mark: bytes) -> bytes:
    connection.settimeout(10)
    data = b""
    while data.count(mark) < count:
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def events(body: str) -> list[tuple[str, Any]]:
    found = []
    for block in body.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def stream_body(simulator, path: str, body: object) -> str:
    host, port = simulator.address
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("content-type", "").startswith("text/event-stream")
        return response.read().decode()
    finally:
        connection.close()


def test_a_chat_answer_has_openai_shape_and_a_request_id(simulator):
    status, answer, headers = simulator.call("POST", "/v1/chat/completions", QUESTION)
    assert status == 200
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "gpt-4o-mini"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["prompt_tokens"] == 100
    assert answer["usage"]["completion_tokens"] == 60
    assert answer["usage"]["total_tokens"] == 160
    assert headers["x-request-id"] == "req_" + answer["id"].removeprefix("chatcmpl-")


def test_every_answer_has_its_own_id(simulator):
    ids = {simulator.call("POST", "/v1/chat/completions", QUESTION)[1]["id"] for _ in range(5)}
    assert len(ids) == 5


def test_a_stream_ends_with_usage_then_done_when_usage_is_asked_for(simulator):
    body = QUESTION | {"stream": True, "stream_options": {"include_usage": True}}
    text = stream_body(simulator, "/v1/chat/completions", body)
    *frames, done, end = text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 60
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-2]["choices"][0]["delta"] == {}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert len([c for c in chunks[:-1] if c["choices"][0]["delta"].get("content")]) == 20


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_a_stream_does_not_mention_usage_unless_asked(simulator, options):
    text = stream_body(simulator, "/v1/chat/completions", QUESTION | {"stream": True} | options)
    assert "usage" not in text
    assert text.endswith("data: [DONE]\n\n")


def test_stream_options_without_stream_are_refused(simulator):
    body = QUESTION | {"stream_options": {"include_usage": True}}
    status, answer, _ = simulator.call("POST", "/v1/chat/completions", body)
    assert status == 400
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_an_anthropic_answer_has_its_shape_and_request_id(simulator):
    body = QUESTION | {"max_tokens": 10}
    status, answer, headers = simulator.call("POST", "/v1/messages", body)
    assert status == 200
    assert (answer["type"], answer["stop_reason"]) == ("message", "end_turn")
    assert answer["content"][0]["type"] == "text"
    assert answer["usage"]["input_tokens"] == 100
    assert answer["usage"]["output_tokens"] == 60
    assert headers["request-id"] == "req_" + answer["id"].removeprefix("msg_")


def test_an_anthropic_stream_names_its_events_in_order(simulator):
    body = QUESTION | {"max_tokens": 10, "stream": True}
    found = events(stream_body(simulator, "/v1/messages", body))
    assert all(name == data["type"] for name, data in found)
    names = [name for name, _ in found if name not in {"ping", "content_block_delta"}]
    assert names == [
        *("message_start", "content_block_start", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    start = found[0][1]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"]["input_tokens"] == 100
    delta = dict(found)["message_delta"]
    assert delta["usage"]["output_tokens"] == 60
    assert [name for name, _ in found].count("content_block_delta") == 20


def test_an_anthropic_request_without_max_tokens_is_refused_in_its_dialect(simulator):
    status, answer, _ = simulator.call("POST", "/v1/messages", QUESTION)
    assert status == 400
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [[], {"model": "x"}, {"messages": []}, "text"])
def test_a_body_that_is_no_request_is_refused_and_not_billed(simulator, body):
    assert simulator.call("POST", "/v1/chat/completions", body)[0] == 400
    assert simulator.account()["totals"]["requests"] == 0


def test_the_models_route_lists_models(simulator):
    status, answer, _ = simulator.call("GET", "/v1/models")
    assert status == 200
    assert answer["object"] == "list"
    assert all(model["object"] == "model" for model in answer["data"])


def test_an_unknown_route_is_a_404(simulator):
    assert simulator.call("GET", "/v1/files")[0] == 404
    assert simulator.call("GET", "/v1/chat/completions")[0] == 404


def test_pipelined_requests_are_answered_in_order(simulator):
    models = ["a", "b", "c"]
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(b"".join(raw_request(QUESTION | {"model": model}) for model in models))
        data = read_until(connection, 3, b"system_fingerprint").decode()
    assert [data.index(f'"model":"{model}"') for model in models] == sorted(
        data.index(f'"model":"{model}"') for model in models
    )


def test_pipelined_paced_streams_do_not_mix(simulator):
    simulator.behave(chunks=3, chunk_ms=1, latency_ms=1)
    body = QUESTION | {"stream": True}
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(raw_request(body | {"model": "a"}) + raw_request(body | {"model": "b"}))
        data = read_until(connection, 2, b"[DONE]\n\n\r\n0\r\n\r\n").decode()
    first, second, rest = data.split("[DONE]")
    assert '"model":"b"' not in first
    assert '"model":"a"' not in second
    assert rest == "\n\n\r\n0\r\n\r\n"


def test_a_request_in_single_bytes_is_read(simulator):
    with socket.create_connection(simulator.address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw_request(QUESTION):
            connection.sendall(bytes([byte]))
        assert read_until(connection, 1, b"system_fingerprint").startswith(b"HTTP/1.1 200")


def test_a_chunked_request_body_is_read(simulator):
    content = json.dumps(QUESTION).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (content[:5], len(content) - 5, content[5:])
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(head + chunks)
        assert read_until(connection, 1, b"system_fingerprint").startswith(b"HTTP/1.1 200")


def test_connection_close_is_obeyed(simulator):
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(raw_request(QUESTION, headers="Connection: close\r\n"))
        read_until(connection, 1, b"system_fingerprint")
        assert connection.recv(65536) == b""


def test_bytes_that_are_not_http_are_refused_and_the_connection_closed(simulator):
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(b"hello\r\n\r\n")
        data = read_until(connection, 1, b"}}")
        assert data.startswith(b"HTTP/1.1 400")
        assert connection.recv(65536) == b""


def test_the_account_sums_by_model_and_reset_empties_it(simulator):
    for model in ("a", "a", "b"):
        simulator.call("POST", "/v1/chat/completions", QUESTION | {"model": model})
    account = simulator.account()
    assert account["models"]["a"] == {
        "requests": 2,
        "completed": 2,
        "cut": 0,
        "input_tokens": 200,
        "output_tokens": 120,
    }
    assert account["totals"]["requests"] == 3
    assert "journal" not in account
    simulator.call("POST", "/_reset")
    assert simulator.account()["models"] == {}


def test_a_stream_whose_client_hangs_up_is_cut_and_billed_for_what_was_written(simulator):
    simulator.behave(chunks=1000, chunk_ms=5, output_tokens=1000, journal=True)
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(raw_request(QUESTION | {"stream": True}))
        read_until(connection, 3, b"data: ")
        assert simulator.account()["in_flight"] == 1
    wait_until(lambda: simulator.account()["in_flight"] == 0, 10, "the cut")
    account = simulator.account()
    tally = account["models"]["gpt-4o-mini"]
    assert (tally["requests"], tally["completed"], tally["cut"]) == (1, 0, 1)
    assert tally["input_tokens"] == 100
    assert 1 <= tally["output_tokens"] < 1000
    (entry,) = account["journal"].values()
    assert entry["state"] == "cut"
    assert entry["output_tokens"] == tally["output_tokens"]


def test_a_json_answer_whose_client_hangs_up_is_billed_in_full(simulator):
    simulator.behave(latency_ms=60_000)
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(raw_request(QUESTION))
        wait_until(lambda: simulator.account()["in_flight"] == 1, 10, "the call")
    wait_until(lambda: simulator.account()["in_flight"] == 0, 10, "the cut")
    tally = simulator.account()["models"]["gpt-4o-mini"]
    assert (tally["cut"], tally["output_tokens"]) == (1, 60)


def test_a_call_that_was_open_at_a_reset_is_not_in_the_new_books(simulator):
    simulator.behave(latency_ms=60_000)
    with socket.create_connection(simulator.address) as connection:
        connection.sendall(raw_request(QUESTION))
        wait_until(lambda: simulator.account()["in_flight"] == 1, 10, "the call")
        simulator.call("POST", "/_reset")
    assert simulator.account()["totals"]["requests"] == 0
    assert simulator.account()["in_flight"] == 0


def test_the_bill_follows_from_the_request_when_asked(simulator):
    simulator.behave(bill="request", output_tokens=7)
    parts = [{"type": "text", "text": "x" * 9}]
    messages = [{"role": "system", "content": "x" * 8}, {"role": "user", "content": parts}]
    body: dict[str, Any] = {"model": "m", "messages": messages}
    usage = simulator.call("POST", "/v1/chat/completions", body)[1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 7)
    body["max_completion_tokens"] = 11
    usage = simulator.call("POST", "/v1/chat/completions", body)[1]["usage"]
    assert usage["completion_tokens"] == 11
    body = {"model": "m", "messages": messages[1:], "system": "x" * 8, "max_tokens": 3}
    usage = simulator.call("POST", "/v1/messages", body)[1]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (5, 3)


def test_a_behaviour_that_makes_no_sense_is_refused(simulator):
    assert simulator.call("POST", "/_behaviour", {"chunks": 0})[0] == 400
    assert simulator.call("POST", "/_behaviour", {"colour": "red"})[0] == 400


def test_the_openai_sdk_agrees_with_the_account(simulator):
    import openai

    simulator.behave(input_tokens=13, output_tokens=8, chunks=4, journal=True)
    messages = [{"role": "user", "content": "hello"}]
    ask: dict[str, Any] = {"model": "gpt-4o-mini", "messages": messages}
    with openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(**ask)
        stream = client.chat.completions.create(
            **ask, stream=True, stream_options={"include_usage": True}
        )
        with stream:
            chunks = list(stream)
        models = {model.id for model in client.models.list()}
    assert "gpt-4o-mini" in models
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == answer.choices[0].message.content
    assert answer._request_id == "req_" + answer.id.removeprefix("chatcmpl-")
    usages = {answer.id: answer.usage, chunks[-1].id: chunks[-1].usage}
    account = simulator.account()
    assert account["models"]["gpt-4o-mini"]["completed"] == 2
    assert account["journal"].keys() == usages.keys()
    for call_id, usage in usages.items():
        assert account["journal"][call_id]["input_tokens"] == usage.prompt_tokens == 13
        assert account["journal"][call_id]["output_tokens"] == usage.completion_tokens == 8
    assert account["totals"]["output_tokens"] == 16
