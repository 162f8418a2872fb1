"""What the servers have written while all other tests ran, and on the disk: no secret, no gap.

The file's name puts it behind the others when it is run by itself with them, and `conftest.py` does
when anything else is run too; alone, it makes the calls that it needs.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from tests.contract.fake_upstream import ANSWER, FakeUpstream, Turn, fail_with
from tests.e2e.constants import METRICS_TOKEN, PROMPT, PROVIDER_KEY, PROVIDER_WORDS
from tests.e2e.test_keys import NEVER_ISSUED
from tests.support.server import RunningServer

SERVERS = ["server_on_sqlite", "server_on_postgresql", "strict_server"]
REQUEST_ID = re.compile(r"req_[0-9a-hjkmnp-tv-z]{26}")


@pytest.fixture(params=SERVERS, scope="module")
def busy(request: pytest.FixtureRequest, upstream: FakeUpstream) -> RunningServer:
    """A server that has seen every kind of call, good and bad."""
    running: RunningServer = request.getfixturevalue(request.param)

    def break_off(turn: Turn) -> None:
        turn.begin_stream()
        turn.words(ANSWER)
        turn.cut()

    refusing = fail_with(400, {"message": f"{PROVIDER_WORDS} {PROVIDER_KEY}"})
    locked = fail_with(401, {"message": f"{PROVIDER_WORDS} {PROVIDER_KEY}"})
    for script in (refusing, locked, fail_with(500), break_off):
        running.chat(upstream.model(script), PROMPT, stream=script is break_off)
    running.chat(upstream.model(), PROMPT)
    running.chat("echo", PROMPT, stream=True)
    running.chat("echo/garbage=1", PROMPT)
    running.chat(f"no-such-{PROMPT}", PROMPT)
    running.request("POST", "/v1/chat/completions", f"{PROMPT} is no JSON".encode())
    running.request("GET", "/v1/models", key=NEVER_ISSUED)
    running.request("GET", "/metrics", key=f"{METRICS_TOKEN}?")
    running.wait_for_log()
    return running


def _secrets(running: RunningServer) -> dict[str, str]:
    return {
        "a prompt": PROMPT,
        "an answer": ANSWER,
        "a provider's key": PROVIDER_KEY,
        "a provider's words": PROVIDER_WORDS,
        "an API key": running.key,
        "a key that was refused": NEVER_ISSUED,
        "the metrics token": METRICS_TOKEN,
        "the installation's secret": running.environment["TORANA_SECRET_KEYS"],
    }


def test_no_secret_is_in_the_log(busy: RunningServer):
    written = busy.output + busy.errors
    for what, secret in _secrets(busy).items():
        # What looks like a key is one even without its end.
        assert secret[:40] not in written, what


def test_nothing_is_written_to_stderr(busy: RunningServer):
    assert busy.errors == ""


def test_nothing_broke(busy: RunningServer):
    assert "Traceback" not in busy.output
    broken = [line for line in busy.log() if line["event"] in {"request.broken", "call.broken"}]
    assert broken == []


def test_every_line_is_logstash_json(busy: RunningServer):
    lines = busy.log()
    assert lines
    for line in lines:
        assert line["@version"] == "1", line
        assert line["@timestamp"].endswith("Z"), line
        assert datetime.fromisoformat(line["@timestamp"]).tzinfo is not None
        assert {"level", "event", "logger", "host", "process", "pid"} <= set(line), line
        assert line["event"], line


def test_every_entry_of_the_ledger_has_exactly_one_line(busy: RunningServer):
    project = busy.get("/api/me")["project"]["id"]

    lines = busy.log("call.settled")
    settled = Counter(line["request_id"] for line in lines if line["project_id"] == project)
    rows = {row["request_id"]: row for row in busy.ledger()}
    assert settled == Counter(dict.fromkeys(rows, 1))
    for line in busy.log("call.settled"):
        row = rows.get(line["request_id"])
        if row is None:
            assert line["project_id"] != project
            continue
        assert REQUEST_ID.fullmatch(line["request_id"])
        for name in ("status", "http_status", "error_code", "counted", "cost_nano", "model"):
            assert line[name] == row[name], name
        assert line["tries"] == len(row["attempts"])
        assert line["key_id"] == row["key_id"]


def test_the_levels_tell_what_an_operator_must_look_at(busy: RunningServer):
    errors = [line for line in busy.log() if line["level"] in {"ERROR", "CRITICAL"}]
    # Our credentials were refused, or a provider has reported more than a call can cost.
    others = [
        line
        for line in errors
        if line.get("error_code") != "upstream_auth" and line["event"] != "call.bound_exceeded"
    ]
    assert errors
    assert others == []


def test_a_refusal_is_logged_with_its_id_and_code(busy: RunningServer):
    reply = busy.request("POST", "/v1/chat/completions", b"[]")
    busy.wait_for_log()
    (line,) = [line for line in busy.log() if line.get("request_id") == reply.request_id]
    assert (line["event"], line["error_code"]) == ("request.refused", "invalid_json")
    assert (line["http_status"], line["path"]) == (400, "/v1/chat/completions")


def test_neither_a_prompt_nor_a_key_is_on_the_disk(busy: RunningServer):
    files = [path for path in busy.data_dir.rglob("*") if path.is_file()]
    assert files
    for what, secret in _secrets(busy).items():
        holders = [str(path) for path in files if _holds(path, secret.encode())]
        assert holders == [], what


def _holds(path: Path, secret: bytes) -> bool:
    return secret in path.read_bytes()
