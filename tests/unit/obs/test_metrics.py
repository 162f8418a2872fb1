"""Metrics over the processes of a host.

prometheus_client decides at its import where values live, so each test is a program of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import os, sys
from pathlib import Path
from torana.obs import metrics
from torana.obs.metrics import CallFigures, open_metrics, prepare_folder, process_died

folder = Path(sys.argv[1])

def figures(**values):
    every = dict(
        route="openai.chat.completions", model="m", provider="p", status="ok", error_code=None,
        seconds=0.3, first_byte_seconds=0.1, input_tokens=10, output_tokens=5, cost_nano=25,
    )
    return CallFigures(**(every | values))

def in_a_process(work):
    pid = os.fork()
    if pid == 0:
        try:
            work(open_metrics(folder))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return pid

prepare_folder(folder)
"""

SHOW = """
body, content_type = metrics.render()
print(content_type)
print(body.decode())
"""


def run(folder: Path, program: str, show: str = SHOW) -> str:
    code = PRELUDE + textwrap.dedent(program) + show
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder / "metrics")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def value(text: str, series: str) -> float:
    """The value of the one series whose name and labels match."""
    found = [line for line in text.splitlines() if re.fullmatch(rf"{series} \S+", line)]
    assert len(found) == 1, (series, found)
    return float(found[0].rpartition(" ")[2])


def labels(text: str, metric: str, label: str) -> set[str]:
    return set(re.findall(rf'^{metric}{{.*?{label}="([^"]*)"', text, re.MULTILINE))


TWO_PROCESSES = """
def one(m):
    m.call_opened()
    m.call_opened()
    m.call_settled(figures())
    m.error("not_found")
    m.batch(3, 0.002)

def other(m):
    m.call_opened()
    m.call_settled(figures(status="error", cost_nano=0, output_tokens=0, first_byte_seconds=None))
    m.call_opened()
    m.call_settled(figures(cost_nano=2**52))
    m.error("not_found")
    m.wait(0.2)

first = in_a_process(one)
second = in_a_process(other)
open_metrics(folder)
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(tmp_path_factory.mktemp("two"), TWO_PROCESSES)


CALL = r'\{model="m",provider="p",route="openai.chat.completions"'


def test_counters_are_summed_over_processes(two):
    assert value(two, rf'torana_calls_total{CALL},status="ok"\}}') == 2
    assert value(two, rf'torana_calls_total{CALL},status="error"\}}') == 1
    assert value(two, r'torana_errors_total\{code="not_found"\}') == 2
    assert value(two, rf"torana_cost_nano_dollars_total{CALL}\}}") == 25 + 2**52


def test_tokens_are_counted_by_class(two):
    assert value(two, r'torana_tokens_total\{class="input",model="m",.*\}') == 30
    assert value(two, r'torana_tokens_total\{class="output",model="m",.*\}') == 10


def test_histograms_are_summed_over_processes(two):
    assert value(two, rf"torana_call_seconds_count{CALL}\}}") == 3
    assert value(two, rf"torana_first_byte_seconds_count{CALL}\}}") == 2
    assert value(two, rf'torana_call_seconds_bucket\{{le="0.25",{CALL[2:]}\}}') == 0
    assert value(two, rf'torana_call_seconds_bucket\{{le="0.5",{CALL[2:]}\}}') == 3
    assert value(two, "torana_ledger_batch_size_sum") == 3
    assert value(two, "torana_ledger_wait_seconds_count") == 1


def test_open_calls_are_those_of_living_processes(two, tmp_path):
    assert value(two, "torana_open_calls") == 1
    forgotten = run(tmp_path, TWO_PROCESSES + "process_died(folder, first)\n")
    assert "torana_open_calls 1" not in forgotten
    # What a dead process has counted stays.
    assert value(forgotten, rf'torana_calls_total{CALL},status="ok"\}}') == 2


def test_the_text_is_prometheus_text(two):
    first, _, text = two.partition("\n")
    assert first.startswith("text/plain")
    for line in text.strip().splitlines():
        assert line.startswith("#") or re.fullmatch(r"\w+(\{.*\})? \S+", line)


def test_every_metric_has_a_help_text_and_the_projects_prefix(two):
    helped = set(re.findall(r"^# HELP (\w+) .+", two, re.MULTILINE))
    typed = set(re.findall(r"^# TYPE (\w+) ", two, re.MULTILINE))
    assert helped == typed
    assert all(name.startswith("torana_") for name in typed)


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> str:
    """After a thousand models that callers made up, and as many codes of a provider."""
    return run(
        tmp_path_factory.mktemp("invented"),
        """
        def many(m):
            for number in range(1000):
                m.call_opened()
                m.call_settled(figures(model=f"invented-{number}"))
                m.error(f"invented_{number}")
            m.call_opened()
            m.call_settled(figures(model="invented-0"))

        in_a_process(many)
        open_metrics(folder)
        """,
    )


def test_callers_can_not_invent_labels_without_end(invented):
    models = labels(invented, "torana_calls_total", "model")
    assert 100 <= len(models) <= 400
    assert "other" in models
    counts = re.findall(r"^torana_calls_total\{.*\} (\S+)", invented, re.MULTILINE)
    assert sum(float(count) for count in counts) == 1001
    assert value(invented, r'torana_calls_total\{model="invented-0",.*\}') == 2


def test_providers_can_not_invent_error_codes_without_end(invented):
    assert len(labels(invented, "torana_errors_total", "code")) <= 400
    counts = re.findall(r"^torana_errors_total\{.*\} (\S+)", invented, re.MULTILINE)
    assert sum(float(count) for count in counts) == 1000


def test_an_odd_model_name_does_not_break_the_text(tmp_path):
    text = run(
        tmp_path,
        """
        def odd(m):
            m.call_opened()
            m.call_settled(figures(model='a"b\\\\c é {x="1"}'))

        in_a_process(odd)
        open_metrics(folder)
        """,
    )
    (line,) = [line for line in text.splitlines() if line.startswith("torana_calls_total{")]
    assert r'model="a\"b\\c é {x=\"1\"}"' in line


ROUTING = """
def one(m):
    m.target_state("p", "m", "open")
    m.target_state("p", "closed again", "open")
    m.target_state("p", "closed again", "closed")
    m.breaker_transition("p", "opened")
    m.attempt("p", "m", "upstream_timeout")
    m.retry("q", "fallback")
    m.retry_refused("p")
    m.cache("hit")
    m.redis_error()
    m.guardrail("mask", "masked")

def other(m):
    m.target_state("p", "m", "cooling")
    m.breaker_transition("p", "cooling")
    m.breaker_transition("p", "closed")
    m.attempt("p", "m", "ok")
    m.attempt("p", "m", "ok")
    m.retry("p", "repeat")
    m.retry("p", "other_key")
    m.cache("miss")
    m.cache("bypass")
    m.cache("hit")

first = in_a_process(one)
second = in_a_process(other)
open_metrics(folder)
"""


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(tmp_path_factory.mktemp("routing"), ROUTING)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (r'torana_target_state\{model="closed again",provider="p"\}', 0),
        (r'torana_breaker_transitions_total\{provider="p",to="open"\}', 1),
        (r'torana_breaker_transitions_total\{provider="p",to="cooling"\}', 1),
        (r'torana_breaker_transitions_total\{provider="p",to="closed"\}', 1),
        (r'torana_attempts_total\{model="m",outcome="ok",provider="p"\}', 2),
        (r'torana_attempts_total\{model="m",outcome="upstream_timeout",provider="p"\}', 1),
        (r'torana_retries_total\{provider="q",reason="fallback"\}', 1),
        (r'torana_retries_total\{provider="p",reason="repeat"\}', 1),
        (r'torana_retries_total\{provider="p",reason="other_key"\}', 1),
        (r'torana_retry_budget_exhausted_total\{provider="p"\}', 1),
        (r'torana_cache_total\{result="hit"\}', 2),
        (r'torana_cache_total\{result="miss"\}', 1),
        (r'torana_cache_total\{result="bypass"\}', 1),
        (r"torana_redis_errors_total", 1),
        (r'torana_guardrail_total\{guardrail="mask",outcome="masked"\}', 1),
    ],
)
def test_routing_is_counted_over_processes(routing, series, expected):
    assert value(routing, series) == expected


def test_a_targets_state_is_the_worst_that_a_living_process_sees(routing, tmp_path):
    state = r'torana_target_state\{model="m",provider="p"\}'
    assert value(routing, state) == 3
    assert value(run(tmp_path, ROUTING + "process_died(folder, first)\n"), state) == 1


def test_invented_targets_share_a_label_and_have_no_state(tmp_path):
    text = run(
        tmp_path,
        """
        def many(m):
            for number in range(1000):
                m.attempt("p", f"invented-{number}", f"outcome_{number}")
                m.target_state("p", f"invented-{number}", "open")
                m.guardrail(f"guard-{number}", "passed")

        in_a_process(many)
        open_metrics(folder)
        """,
    )
    assert len(labels(text, "torana_attempts_total", "model")) == 301
    assert len(labels(text, "torana_attempts_total", "outcome")) == 301
    assert len(labels(text, "torana_guardrail_total", "guardrail")) == 301
    states = labels(text, "torana_target_state", "model")
    assert len(states) == 300
    assert "other" not in states


def test_a_start_begins_with_an_empty_and_private_folder(tmp_path):
    run(
        tmp_path,
        """
        in_a_process(lambda m: m.error("old"))
        assert list(folder.iterdir())
        prepare_folder(folder)
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o077 == 0
        """,
        show="",
    )
