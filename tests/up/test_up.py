"""`torana up`: idempotent, clear when it can't start, and never leaving a process behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from functools import partial

import openai
import psutil
import pytest

from bench.processes import free_port
from tests.support import installation
from tests.support.server import eventually
from torana.processes.probes import http_answers


def _answers(running: installation.Installation) -> bool:
    return http_answers("127.0.0.1", running.port, "/readyz")


@pytest.mark.model
def test_the_processes_are_titled_and_the_secrets_are_private(with_model):
    assert with_model.titles() >= {
        "torana: up",
        "torana: web master",
        "torana: web",
        "torana: cron",
        "torana: redis",
        "torana: model",
    }
    assert stat.S_IMODE((with_model.data_dir / "secret-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(with_model.data_dir.stat().st_mode) == 0o700
    redis = with_model.data_dir / "run" / "redis"
    assert stat.S_IMODE(redis.stat().st_mode) == 0o700
    assert any(stat.S_ISSOCK(entry.stat().st_mode) for entry in redis.iterdir())


@pytest.mark.model
def test_a_second_up_on_the_same_data_folder_is_refused(with_model):
    said = installation.refused(
        with_model.data_dir.parent, port=free_port(), name=with_model.data_dir.name
    )
    assert "already" in said
    assert str(with_model.process.pid) in said


def test_a_second_start_reuses_data_and_shows_no_secret(tmp_path):
    port = free_port()
    with installation.started(tmp_path, "--no-local-model", port=port) as first:
        key = first.key
        titles = first.titles()
    assert "torana: model" not in titles
    with installation.started(tmp_path, "--no-local-model", port=port) as second:
        assert "API key" not in second.output
        assert "Password" not in second.output
        assert "sk-tor-" not in second.output
        with openai.OpenAI(base_url=f"{second.url}/v1", api_key=key) as client:
            answer = client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "still here"}]
            )
        assert answer.choices[0].message.content == "still here"


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = installation.refused(tmp_path, "--no-local-model", port=port)
    assert str(port) in said
    assert "TORANA_PORT" in said


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    said = installation.refused(
        tmp_path, "--no-local-model", port=free_port(), TORANA_DATA_DIR=str(blocked / "data")
    )
    assert str(blocked) in said


def test_a_redis_that_cannot_start_is_explained(tmp_path):
    with installation.started(tmp_path, "--no-local-model"):
        pass
    kept = tmp_path / "data" / "redis"
    for file in kept.rglob("*.aof"):
        file.write_bytes(b"*3\r\nthis is no append-only file\r\n" * 50)
    said = installation.refused(tmp_path, "--no-local-model", port=free_port())
    assert "redis" in said
    assert str(kept) in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_within_ten_seconds(tmp_path, number):
    with installation.started(tmp_path, "--no-local-model") as running:
        tree = running.tree()
        began = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(12) == 0
        assert time.monotonic() - began < 10.5
        assert psutil.wait_procs(tree, timeout=0.5)[1] == []


def test_sigkill_of_up_leaves_no_orphan(tmp_path):
    with installation.started(tmp_path, "--no-local-model") as running:
        tree = running.tree()
        running.process.kill()
        assert psutil.wait_procs(tree, timeout=15)[1] == []


def _others(running: installation.Installation, title: str, old: int) -> list[psutil.Process]:
    return [process for process in running.titled(title) if process.pid != old]


def test_a_killed_child_is_started_again(tmp_path):
    with installation.started(tmp_path, "--no-local-model") as running:
        for title in ("torana: web master", "torana: redis"):
            (victim,) = running.titled(title)
            victim.kill()
            again = partial(_others, running, title, victim.pid)
            eventually(again, f"a new {title}", seconds=20)
        eventually(partial(_answers, running), "an answer", seconds=20)
        assert "child.died" in running.output


def test_a_killed_web_process_is_replaced_and_up_goes_on(tmp_path):
    with installation.started(tmp_path, "--no-local-model") as running:
        (worker,) = running.titled("torana: web")
        os.kill(worker.pid, signal.SIGKILL)
        eventually(partial(_others, running, "torana: web", worker.pid), "a new web process")
        eventually(partial(_answers, running), "an answer")
        assert running.process.poll() is None


def test_calls_work_when_redis_is_away(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        with installation.started(tmp_path, "--no-local-model", TORANA_REDIS_URL=url) as running:
            assert "torana: redis" not in running.titles()
            with openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key) as client:
                answer = client.chat.completions.create(
                    model="echo", messages=[{"role": "user", "content": "no redis"}]
                )
            assert answer.choices[0].message.content == "no redis"
