"""The local model's server, really started, with its real weights."""

import json
import re
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from torana import model_server
from torana.errors import ConfigurationError
from torana.processes.ports import free_port
from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor
from torana.settings import Settings

AVAILABLE, HINT = model_server.local_model_available()
KEY = "the-key-of-this-test-run"
SECRET_WORD = "xylophonist"

pytestmark = [pytest.mark.model, pytest.mark.skipif(not AVAILABLE, reason=HINT)]


class Server:
    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid

    def ask(self, path: str, body: dict[str, object], key: str = KEY) -> tuple[int, str]:
        return self._request("POST", path, json.dumps(body), key)

    def get(self, path: str) -> tuple[int, str]:
        return self._request("GET", path, None, KEY)

    def _request(self, method: str, path: str, body: str | None, key: str) -> tuple[int, str]:
        connection = HTTPConnection(model_server.HOST, self.port, timeout=300)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def chat(self, content: str, **more: object) -> tuple[int, str]:
        messages = [{"role": "user", "content": content}]
        return self.ask("/v1/chat/completions", {"messages": messages, "max_tokens": 24, **more})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    port = free_port()
    request = StopRequest()
    with Supervisor(request, stop_seconds=5.0) as supervisor:
        supervisor.start(model_server.model_child(settings, port=port, key=KEY))
        supervisor.wait_ready()
        yield Server(port, supervisor.states()[0].pid or 0)
        began = time.monotonic()
    assert time.monotonic() - began < 2.0, "it stops at once"
    request.close()


def test_it_answers_with_words(server: Server) -> None:
    status, body = server.chat("Name three fruits.", temperature=0)
    answer = json.loads(body)
    assert status == 200
    assert len(re.findall(r"[A-Za-z]{3,}", answer["choices"][0]["message"]["content"])) >= 3
    assert answer["model"] == model_server.MODEL_NAME
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 1 <= usage["completion_tokens"] <= 24


def test_it_streams_and_reports_usage(server: Server) -> None:
    status, body = server.chat("Say hello.", stream=True, stream_options={"include_usage": True})
    frames = body.strip().split("\n\n")
    assert status == 200
    assert frames[-1] == "data: [DONE]"
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] >= 1
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1]).strip()


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x"])
def test_another_key_is_refused(server: Server, key: str) -> None:
    status, body = server.ask("/v1/chat/completions", {"messages": []}, key)
    assert status == 401
    assert KEY not in body


def test_a_call_without_a_maximum_has_one(server: Server) -> None:
    messages = [{"role": "user", "content": "Count for ever."}]
    status, body = server.ask("/v1/chat/completions", {"messages": messages, "ignore_eos": True})
    assert status == 200
    assert json.loads(body)["usage"]["completion_tokens"] == model_server.DEFAULT_OUTPUT_TOKENS


def test_a_prompt_over_the_context_is_refused(server: Server) -> None:
    status, body = server.chat("word " * (model_server.CONTEXT_TOKENS + 1))
    assert status == 400
    assert json.loads(body)["error"]["type"] == "exceed_context_size_error"


@pytest.mark.parametrize("path", ["/slots", "/metrics"])
def test_what_shows_other_peoples_calls_is_off(server: Server, path: str) -> None:
    assert server.get(path)[0] == 501


def test_it_listens_on_loopback_only(server: Server) -> None:
    listening = psutil.Process(server.pid).net_connections(kind="inet")
    assert {c.laddr for c in listening if c.status == psutil.CONN_LISTEN} == {
        ("127.0.0.1", server.port)
    }


def test_it_is_named_for_people(server: Server, title: Callable[[int | None], str]) -> None:
    assert title(server.pid) == "torana: model"


def test_prompts_do_not_reach_the_log(
    stopping: StopRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    port = free_port()
    with Supervisor(stopping) as supervisor:
        child = model_server.model_child(Settings(data_dir=tmp_path), port=port, key=KEY)
        supervisor.start(child)
        supervisor.wait_ready()
        server = Server(port, supervisor.states()[0].pid or 0)
        server.chat(SECRET_WORD)
        server.chat(SECRET_WORD * 3000)
        server.ask("/v1/chat/completions", {"messages": SECRET_WORD})
        server.chat(SECRET_WORD, temperature=SECRET_WORD)
        server.ask(
            "/v1/chat/completions",
            {"messages": [{"role": SECRET_WORD, "content": [{SECRET_WORD: 1}]}]},
        )
    logged = " ".join(f"{record.msg} {vars(record)}" for record in caplog.records)
    assert "child.ready" in logged
    assert SECRET_WORD not in logged
    assert KEY not in logged


def test_a_port_that_a_stranger_has_is_an_error(
    stopping: StopRequest, tmp_path: Path, server: Server
) -> None:
    settings = Settings(data_dir=tmp_path)
    child = model_server.model_child(settings, port=server.port, key="another-key")
    with Supervisor(stopping) as supervisor:
        supervisor.start(child)
        with pytest.raises(ConfigurationError, match="`model` ended with exit code 1") as caught:
            supervisor.wait_ready()
    assert str(server.port) in caught.value.message
