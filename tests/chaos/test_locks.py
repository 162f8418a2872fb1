"""What happens around the teller's commit: a process that stops with the locks in its hands, a
connection that is cut at COMMIT.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from bench.processes import wait_until
from tests.chaos.books import audit, read
from tests.chaos.failpoints import model_of
from tests.chaos.gateway import Installation, Web
from tests.integration.ledger.lossy_proxy import LossyProxy
from tests.support.server import eventually

LONGEST_DELAY_SECONDS = 3.0
"""The database gives the rows back after one second; the rest is for a slow machine."""


def _call(web: Web, key: str, model: str, *, stream: bool = False) -> int:
    """One call, read to its end; its status."""
    body: dict[str, object] = {
        "model": f"openai/{model}",
        "messages": [{"role": "user", "content": "what was committed?"}],
        "max_tokens": 29,
    }
    if stream:
        body["stream"] = True
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        data = response.read()
        if stream and response.status == 200:
            assert data.endswith(b"data: [DONE]\n\n"), data
        return response.status
    finally:
        connection.close()


def test_a_process_that_stops_inside_the_transaction_delays_others_for_a_moment_only(
    installation, figures
):
    key = installation.key("locks", 1_000_000).key
    rows: dict[str, object] = {}
    with installation.web(1) as one, installation.web(1) as other:
        for point in ("before_admit", "before_post"):
            model = model_of(point, "stop", 0)
            reached = installation.folder / f"{model}.reached"
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(_call, one, key, model)
                eventually(reached.exists, "the failpoint", seconds=30)
                try:
                    began = time.monotonic()
                    status = _call(other, key, "quick")
                    delay = time.monotonic() - began
                finally:
                    os.kill(int(reached.read_text()), signal.SIGCONT)
                assert answer.result(30) == 200
            rows[f"delay by {point}, ms"] = round(delay * 1000)
            assert status == 200
            assert delay < LONGEST_DELAY_SECONDS
        installation.wait_until_settled(10)
    result = audit(
        installation.url, installation.upstream.journal(), [], installation.price, exact=True
    )
    figures("stopped inside the transaction", {**rows, "calls": result.calls, "wrong": 0})
    result.complain()


@pytest.fixture
def proxy(installation: Installation) -> Iterator[LossyProxy]:
    """A proxy in front of the database."""
    parts = urlsplit(installation.url)
    with LossyProxy(str(parts.hostname), int(parts.port or 0)) as made:
        yield made


def _through(installation: Installation, proxy: LossyProxy) -> str:
    parts = urlsplit(installation.url)
    return installation.url.replace(f":{parts.port}/", f":{proxy.port}/")


def _needle(step: str, model: str) -> bytes:
    """What only the rows of this step say of a call for the model."""
    after = {"admit": "idempotency_id", "post": "status"}[step]
    return f'"target_model":"{model}","{after}"'.encode()


def test_a_connection_that_is_cut_at_commit_changes_no_row(installation, proxy, figures):
    key = installation.key("commits", 1_000_000).key
    cases = [
        (step, what, stream)
        for step in ("admit", "post")
        for what in ("request", "answer")  # Not committed, and committed but not heard of.
        for stream in (False, True)
    ]
    with installation.web(1, url=_through(installation, proxy)) as web:
        for number, (step, what, stream) in enumerate(cases):
            model = f"cut-{number}"
            proxy.lose(what, _needle(step, model))
            assert _call(web, key, model, stream=stream) == 200, (step, what)
            assert proxy.lost == number + 1, (step, what)
        installation.wait_until_settled(10)
    result = audit(
        installation.url, installation.upstream.journal(), [], installation.price, exact=True
    )
    figures(
        "cut at COMMIT",
        {
            "cuts": proxy.lost,
            "calls on the ledger": result.calls,
            "simulator's bill": result.bill,
            "ledger": result.ledger,
            "balance": result.balance,
        },
    )
    result.complain()
    assert result.calls == len(cases)
    installation.verify()


def test_an_admission_that_nobody_heard_of_is_given_back(installation, proxy, figures):
    # The commit happened, its answer was lost, and the database could not be asked about it.
    key = installation.key("unheard", 1_000_000).key
    with installation.web(1, url=_through(installation, proxy)) as web:
        assert _call(web, key, "first") == 200
        proxy.lose("answer", _needle("admit", "unheard"))
        for _ in range(20):  # And each try to find out about it.
            proxy.lose("answer", b"")
        status = _call(web, key, "unheard")
        left = installation.reserved()
        while proxy._lose:
            proxy._lose.popleft()
        wait_until(lambda: _call(web, key, "later") == 200, 20, "a call after the outage")
        wait_until(lambda: installation.reserved() == 0, 20, "what was reserved for nobody")
    rows = read(installation.url)
    result = audit(installation.url, installation.upstream.journal(), [], installation.price)
    figures(
        "an admission that nobody heard of",
        {"status": status, "reserved by it": left, "lost answers": proxy.lost}
        | {"calls": len(rows.calls), "simulator's bill": result.bill, "ledger": result.ledger},
    )
    assert (status, left) == (503, 1)
    result.complain()
    assert result.bill == result.ledger
