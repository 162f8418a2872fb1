"""Requests that are at fault: what the caller is told, and that they cost and break nothing."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.e2e.checks import error_object, openai_error, problem
from tests.e2e.constants import BODY_LIMIT, PROMPT
from tests.e2e.wire import read_to_end
from tests.support.server import Reply, RunningServer

CHAT = "/v1/chat/completions"
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]
GOOD: dict[str, Any] = {"model": "echo", "messages": MESSAGES}


def _good(**changes: Any) -> bytes:
    body = {**GOOD, **changes}
    return json.dumps({name: value for name, value in body.items() if value != "LEFT OUT"}).encode()


NOT_A_REQUEST = {
    "empty": b"",
    "words": b"hello",
    "cut off": _good()[:-3],
    "two of them": _good() + _good(),
    "a list": b"[]",
    "a string": b'"echo"',
    "a number": b"1",
    "null": b"null",
    "NaN as a field": b'{"model": "echo", "messages": [], "temperature": NaN}',
    "a key without quotes": b'{model: "echo"}',
    "invalid UTF-8 in a name": b'{"mo\xffdel": "echo", "messages": []}',
    "invalid UTF-8 in the model": b'{"model": "echo\xff", "messages": []}',
    "invalid UTF-8 in a message": b'{"model": "echo", "messages": [{"role": "user", "content": "\xff"}]}',
    "UTF-16": _good().decode().encode("utf-16"),
    "deeply nested lists": b'{"model": "echo", "messages": '
    + b"[" * 200_000
    + b"]" * 200_000
    + b"}",
    "deeply nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}
FIELDS: list[tuple[str, bytes, str]] = [
    ("no model", _good(model="LEFT OUT"), "model"),
    ("an empty model", _good(model=""), "model"),
    ("a number as the model", _good(model=4), "model"),
    ("null as the model", _good(model=None), "model"),
    ("a list as the model", _good(model=["echo"]), "model"),
    ("a long model", _good(model="m" * 201), "model"),
    ("a model with a line end", _good(model="echo\nx"), "model"),
    ("a model with NUL", _good(model="echo\0"), "model"),
    ("no messages", _good(messages="LEFT OUT"), "messages"),
    ("a word for stream", _good(stream="yes"), "stream"),
    ("stream_options without stream", _good(stream_options={}), "stream_options"),
    ("a word for stream_options", _good(stream=True, stream_options="x"), "stream_options"),
    ("n of zero", _good(n=0), "n"),
    ("negative n", _good(n=-1), "n"),
    ("n of 129", _good(n=129), "n"),
    ("a fraction of n", _good(n=1.5), "n"),
    ("a word for n", _good(n="two"), "n"),
    ("negative max_tokens", _good(max_tokens=-1), "max_tokens"),
    ("a word for max_tokens", _good(max_tokens="many"), "max_tokens"),
    ("huge max_tokens", _good(max_tokens=10**30), "max_tokens"),
    ("negative max_completion_tokens", _good(max_completion_tokens=-1), "max_completion_tokens"),
    ("tokens that nobody can pay", _good(max_completion_tokens=2**62), "max_completion_tokens"),
    ("choices that nobody can pay", _good(max_tokens=2**52, n=128), "max_tokens"),
]


def _post(server: RunningServer, body: bytes, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("POST", CHAT, body, headers=named)


def _refused(server: RunningServer, reply: Reply, status: int, code: str) -> dict[str, Any]:
    assert reply.status == status, reply
    error = openai_error(reply)
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert PROMPT not in error["message"]
    # What was refused was not admitted: it has no row.
    assert server.request("GET", f"/api/ledger/{reply.request_id}").status == 404
    return error


@pytest.mark.parametrize("case", NOT_A_REQUEST)
def test_a_body_that_is_no_json_object_is_a_400(server: RunningServer, case: str):
    workers = server.worker_pids()
    error = _refused(server, _post(server, NOT_A_REQUEST[case]), 400, "invalid_json")
    assert error["param"] is None
    assert server.worker_pids() == workers


@pytest.mark.parametrize(("body", "param"), [pytest.param(b, p, id=i) for i, b, p in FIELDS])
def test_a_field_that_is_wrong_is_a_400_that_names_it(
    server: RunningServer, body: bytes, param: str
):
    error = _refused(server, _post(server, body), 400, "invalid_request")
    assert error["param"] == param
    assert param in error["message"]


@pytest.mark.parametrize("model", ["gpt4", "claude", "nobody/echo", "echo/", "/echo", "Echo"])
def test_an_unknown_model_is_a_404(server: RunningServer, model: str):
    error = _refused(server, _post(server, _good(model=model)), 404, "model_not_found")
    assert error["param"] == "model"
    assert "/v1/models" in error["message"]


def test_a_doubled_field_is_refused_since_two_readers_could_heed_different_ones(
    server: RunningServer, upstream: FakeUpstream
):
    dear, cheap = upstream.model(), upstream.model()
    body = b'{"model": "%b", "messages": [], "model": "%b"}' % (dear.encode(), cheap.encode())
    error = _refused(server, _post(server, body), 400, "invalid_request")
    assert error["param"] == "model"
    assert upstream.seen(dear) == upstream.seen(cheap) == []


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
def test_a_body_of_another_type_is_a_415(server: RunningServer, content_type: str):
    _refused(
        server, _post(server, _good(), content_type=content_type), 415, "unsupported_media_type"
    )


def test_a_compressed_body_is_a_415(server: RunningServer):
    reply = _post(server, b"\x1f\x8b", content_encoding="gzip")
    _refused(server, reply, 415, "unsupported_media_type")


def test_a_content_type_with_a_charset_is_fine(server: RunningServer):
    reply = _post(server, _good(), content_type="Application/JSON; charset=utf-8")
    assert reply.status == 200


def test_a_body_over_the_limit_is_a_413(server: RunningServer):
    error = _refused(
        server,
        _post(server, _good(messages=[{"role": "user", "content": "x" * BODY_LIMIT}])),
        413,
        "request_too_large",
    )
    assert f"{BODY_LIMIT:,}" in error["message"]


PIECE = b"x" * 65_536
PIECES = 8 * BODY_LIMIT // len(PIECE)


def _too_large(framing: str) -> Iterator[bytes]:
    for _ in range(PIECES):
        yield b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if framing == "chunked" else PIECE
    if framing == "chunked":
        yield b"0\r\n\r\n"


@pytest.mark.parametrize("connection_header", ["keep-alive", "close"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_413_reaches_a_caller_who_sends_all_before_reading(
    server: RunningServer, framing: str, connection_header: str
):
    # With `connection: close`, as nginx says to its upstreams, a server that closes over unread
    # bytes resets the connection and takes its own answer away.
    length = f"content-length: {PIECES * len(PIECE)}"
    how = "transfer-encoding: chunked" if framing == "chunked" else length
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(_head(server, how, f"connection: {connection_header}"))
        for part in _too_large(framing):
            connection.sendall(part)
        status, body = _read_answer(connection)
    assert status == 413
    assert error_object(body)["code"] == "request_too_large"


def test_a_chunked_body_within_the_limit_is_read(server: RunningServer):
    body = _good()
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(_head(server, "transfer-encoding: chunked", "connection: close"))
        for start in range(0, len(body), 7):
            part = body[start : start + 7]
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")
        status, answer = _read_answer(connection)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == PROMPT


def test_the_sdk_is_told_that_its_body_is_far_too_large(client: openai.OpenAI):
    # Far more than socket buffers hold: the answer must survive that the body is not wanted.
    with pytest.raises(openai.APIStatusError) as failure:
        client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "x" * (8 * BODY_LIMIT)}]
        )
    assert failure.value.status_code == 413
    assert failure.value.code == "request_too_large"


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx\r\n0\r\n\r\n", b"-1\r\n"],
    ids=["no size", "longer than said", "a negative size"],
)
def test_a_body_whose_chunks_are_broken_is_a_400(server: RunningServer, chunks: bytes):
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(_head(server, "transfer-encoding: chunked", "connection: close"))
        connection.sendall(chunks)
        status, body = _read_answer(connection)
    assert status == 400
    assert error_object(body)["type"] == "invalid_request_error"


def test_what_follows_a_body_that_is_longer_than_it_says_is_not_logged(server: RunningServer):
    body = _good(messages=[{"role": "user", "content": f"first line\n{PROMPT} and more"}])
    said = body.index(PROMPT.encode())
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(_head(server, f"content-length: {said}") + body + b"\r\n\r\n")
        answers = read_to_end(connection)
    # The rest is taken for another request, and is none.
    assert answers.count(b"HTTP/1.1 400 ") == 2
    server.wait_for_log()
    assert PROMPT not in server.output + server.errors


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("DELETE", CHAT, "POST"),
        ("PUT", CHAT, "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/echo", "GET"),
    ],
)
def test_a_wrong_method_under_v1_is_a_405_that_names_the_right_ones(
    server: RunningServer, method: str, path: str, allowed: str
):
    reply = server.request(method, path)
    _refused(server, reply, 405, "method_not_allowed")
    assert allowed in reply.headers["allow"].split(", ")


@pytest.mark.parametrize(
    "path",
    ["/v1/", "/v1/nothing", "/v1/chat", "/v1/chat/completions/", "/v1/%ff", "/v1/..%2f..%2fetc"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_under_v1_is_a_404_in_json(server: RunningServer, method: str, path: str):
    reply = server.request(method, path, b"{}" if method == "POST" else None)
    _refused(server, reply, 404, "not_found")


@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/me/nothing", "/nothing"])
def test_an_unknown_path_elsewhere_is_a_404_with_problem_details(server: RunningServer, path: str):
    reply = server.request("GET", path)
    assert reply.status == 404
    assert problem(reply)["code"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/me", "/api/ledger", "/readyz"])
def test_a_wrong_method_elsewhere_is_a_405_with_problem_details(
    server: RunningServer, method: str, path: str
):
    reply = server.request(method, path)
    assert reply.status == 405
    assert problem(reply)["code"] == "method_not_allowed"
    assert "GET" in reply.headers["allow"].split(", ")


def _head(server: RunningServer, *headers: str) -> bytes:
    lines = [
        f"POST {CHAT} HTTP/1.1",
        "host: torana",
        f"authorization: Bearer {server.key}",
        "content-type: application/json",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def _read_answer(connection: socket.socket) -> tuple[int, Any]:
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return response.status, json.loads(response.read())
    finally:
        response.close()
