"""The journal: what a call was called by whoever sent it, and behaviours of single models."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping

QUESTION = {"model": "quick", "messages": [{"role": "user", "content": "hello"}]}


def send(simulator, body: Mapping[str, object], headers: dict[str, str]) -> str:
    host, port = simulator.address
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer: dict[str, str] = json.loads(connection.getresponse().read())
        return answer["id"]
    finally:
        connection.close()


def test_the_journal_names_the_request_that_the_client_sent_along(simulator):
    simulator.behave(journal=True)
    first = send(simulator, QUESTION, {"X-Request-Id": "req_1", "x-torana-attempt": "2"})
    second = send(simulator, QUESTION, {})
    journal = simulator.account()["journal"]
    assert (journal[first]["request_id"], journal[first]["attempt"]) == ("req_1", "2")
    assert (journal[second]["request_id"], journal[second]["attempt"]) == (None, None)


def test_a_model_may_behave_in_its_own_way(simulator):
    other = {"input_tokens": 7, "output_tokens": 5, "latency_ms": 1, "journal": True}
    simulator.behave(input_tokens=3, models={"slow": other})
    answer = send(simulator, QUESTION | {"model": "slow"}, {"x-request-id": "req_2"})
    send(simulator, QUESTION, {})
    account = simulator.account()
    assert account["models"]["slow"]["input_tokens"] == 7
    assert account["models"]["quick"]["input_tokens"] == 3
    assert list(account["journal"]) == [answer]
