"""The load driver against the real simulator, and against servers that answer wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.client import Wanted
from bench.driver import Load, Plan, Result
from bench.measure import REPOSITORY
from bench.processes import free_port


def drive(url: str, **plan: Any) -> Result:
    plan.setdefault("wanted", Wanted())
    plan.setdefault("limit_seconds", 20)
    return asyncio.run(Load(Plan(url=url, **plan)).run())


def drive_against(answer: bytes, wanted: Wanted, *, close: bool = False) -> Result:
    """Drive two requests against a server that sends the same bytes to everyone."""

    async def scene() -> Result:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(65536):
                writer.write(answer)
                if close:
                    break
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            plan = Plan(url=url, wanted=wanted, requests=2, limit_seconds=5)
            return await Load(plan).run()

    return asyncio.run(scene())


def response(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_every_right_answer_is_counted_and_was_served(simulator, dialect, stream):
    wanted = Wanted(dialect=dialect, stream=stream, pieces=20)
    result = drive(simulator.url, wanted=wanted, connections=4, requests=50)
    assert (result.requests, result.ok, result.failures) == (50, 50, {})
    assert result.statuses == {"200": 50}
    assert result.peak_open == 4
    assert result.latency_ms is not None
    assert result.latency_ms.count == 50
    assert (result.ttft_ms is not None) == stream
    assert simulator.account()["totals"]["completed"] == 50


def test_the_first_token_of_a_paced_stream_is_earlier_than_its_end(simulator):
    simulator.behave(chunks=5, chunk_ms=20)
    result = drive(simulator.url, wanted=Wanted(stream=True, pieces=5), requests=1)
    assert result.ttft_ms is not None
    assert result.latency_ms is not None
    assert result.ttft_ms.p50 < result.latency_ms.p50


def test_streams_that_overlap_are_all_open_at_once(simulator):
    simulator.behave(chunks=2, chunk_ms=500)
    result = drive(
        simulator.url, wanted=Wanted(stream=True), connections=30, requests=30, ramp_seconds=0.01
    )
    assert (result.ok, result.peak_open) == (30, 30)


def test_a_load_by_time_ends_by_itself(simulator):
    result = drive(simulator.url, connections=2, seconds=0.2)
    assert result.ok > 0
    assert not result.failures


def test_a_stream_with_too_little_text_is_wrong(simulator):
    simulator.behave(chunks=3)
    result = drive(simulator.url, wanted=Wanted(stream=True, pieces=20), requests=2)
    assert (result.ok, result.failures) == (0, {"text_missing": 2})


def test_an_answer_without_text_is_wrong():
    body = json.dumps({"choices": [{"message": {"content": ""}}]}).encode()
    assert drive_against(response(body), Wanted()).failures == {"text_missing": 2}


def test_a_page_that_is_no_answer_is_wrong():
    assert drive_against(response(b"<html>"), Wanted()).failures == {"not_an_answer": 2}


def test_another_status_is_wrong_and_counted():
    result = drive_against(response(b"{}", "429 Too Many"), Wanted())
    assert (result.statuses, result.failures) == ({"429": 2}, {"status": 2})


def test_a_stream_without_its_end_is_wrong():
    body = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    result = drive_against(response(body), Wanted(stream=True))
    assert result.failures == {"stream_without_end": 2}


def test_an_error_inside_a_stream_is_wrong():
    body = b'data: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n'
    result = drive_against(response(body), Wanted(stream=True))
    assert result.failures == {"error_event": 2}


def test_a_connection_that_ends_in_an_answer_is_a_cut():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    result = drive_against(cut, Wanted(), close=True)
    assert result.failures == {"cut": 2}


def test_chunks_that_do_not_fit_are_wrong():
    body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}\r\n0\r\n\r\n"
    assert drive_against(body, Wanted()).failures == {"bad_framing": 2}


def test_a_server_that_is_not_there_ends_the_load():
    result = drive(f"http://127.0.0.1:{free_port()}", requests=3)
    assert (result.ok, result.failures) == (0, {"connect": 3})


def test_a_server_that_never_answers_is_given_up_at_the_limit(simulator):
    simulator.behave(latency_ms=60_000)
    plan = Plan(url=simulator.url, wanted=Wanted(), connections=2, requests=2, limit_seconds=0.3)
    result = asyncio.run(Load(plan).run())
    assert result.timed_out
    assert result.failures == {"unfinished": 2}


@pytest.mark.parametrize(
    ("url", "end"), [("http://127.0.0.1:1", {}), ("http://192.0.2.1:80", {"requests": 1})]
)
def test_a_load_without_an_end_or_away_from_this_machine_is_refused(url, end):
    with pytest.raises(ValueError, match=r"end|loopback"):
        Plan(url=url, wanted=Wanted(), **end)


def test_the_program_prints_its_result_and_tells_by_its_exit_status(simulator):
    arguments = ["--url", simulator.url, "--stream", "--pieces", "20", "--requests", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.driver", *arguments],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, "BENCH_KEY": "sk-x"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, 3)
