"""The way of records to their places: in order, all of them, and never in a call's way."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from torana.obs import logs
from torana.obs.formats import LogstashFormatter
from torana.obs.logs import BackgroundHandler


class Words(logging.Formatter):
    """Just the event; one of them can't be told."""

    def format(self, record: logging.LogRecord) -> str:
        if record.getMessage() == "unspeakable":
            raise TypeError("not to be told")
        return f"{record.getMessage()} {getattr(record, 'count', '')}".strip()


class Collected(logging.Handler):
    """The handler of files, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.getMessage())


class FailingOnce(io.StringIO):
    """A stream that fails with its first write, as a full disk does."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = threading.Event()

    def write(self, text: str) -> int:
        if not self.failed.is_set():
            self.failed.set()
            raise OSError(28, "No space left on device")
        return super().write(text)


def record(event: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, event, (), None)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def handler(stream: io.StringIO) -> BackgroundHandler:
    return BackgroundHandler(stream, Words())


def test_a_record_is_queued_and_not_written_by_its_caller(handler, stream):
    handler.handle(record("one"))
    assert lines(stream) == []
    handler.flush()
    assert lines(stream) == ["one"]


def test_records_keep_their_order(handler, stream):
    events = [str(number) for number in range(5000)]
    handler.start()
    for event in events:
        handler.handle(record(event))
    handler.stop()
    assert lines(stream) == events


def test_each_threads_records_keep_their_order_and_none_is_lost(handler, stream):
    def write(name: str) -> None:
        for number in range(500):
            handler.handle(record(f"{name} {number}"))

    handler.start()
    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.stop()
    for name in "abcd":
        own = [line for line in lines(stream) if line.startswith(name)]
        assert own == [f"{name} {number}" for number in range(500)]


def test_stopping_writes_what_is_queued(handler, stream):
    handler.handle(record("before the start"))
    handler.start()
    handler.handle(record("while it runs"))
    handler.stop()
    assert lines(stream) == ["before the start", "while it runs"]


def test_stopping_what_never_started_writes_what_is_queued(handler, stream):
    handler.handle(record("one"))
    handler.stop()
    assert lines(stream) == ["one"]


def test_stopping_twice_writes_once(handler, stream):
    handler.start()
    handler.handle(record("one"))
    handler.stop()
    handler.stop()
    assert lines(stream) == ["one"]


def test_files_get_every_record_too(stream):
    files = Collected()
    handler = BackgroundHandler(stream, Words(), files)
    handler.handle(record("one"))
    handler.handle(record("two"))
    handler.flush()
    assert files.events == ["one", "two"] == lines(stream)


def test_while_the_outside_is_slow_the_oldest_records_go_and_their_number_is_told(
    monkeypatch, stream
):
    monkeypatch.setattr(logs, "_QUEUE_LIMIT", 100)
    handler = BackgroundHandler(stream, Words())
    for number in range(130):
        handler.handle(record(str(number)))
    handler.flush()
    told = [line for line in lines(stream) if line.startswith("logs.dropped")]
    kept = [line for line in lines(stream) if not line.startswith("logs.dropped")]
    assert kept == [str(number) for number in range(30, 130)]
    assert told == ["logs.dropped 30"]
    handler.handle(record("later"))
    handler.flush()
    assert lines(stream)[-1] == "later"
    assert lines(stream).count("logs.dropped 30") == 1


def test_a_record_that_can_not_be_told_costs_itself_and_no_other(handler, stream):
    handler.start()
    for event in ("one", "unspeakable", "two"):
        handler.handle(record(event))
    handler.stop()
    assert [line for line in lines(stream) if line in {"one", "two"}] == ["one", "two"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_record_that_can_not_be_told_does_not_end_the_log(handler, stream):
    handler.start()
    handler.handle(record("unspeakable"))
    assert wait_for(lambda: not handler._queue)
    handler.handle(record("one"))
    written = wait_for(lambda: "one" in lines(stream))
    handler.stop()
    assert written, "nothing was written in the background any more"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_outside_that_fails_once_does_not_end_the_log():
    stream = FailingOnce()
    handler = BackgroundHandler(stream, Words())
    handler.start()
    handler.handle(record("one"))
    assert stream.failed.wait(10)
    handler.handle(record("two"))
    written = wait_for(lambda: "two" in lines(stream))
    handler.stop()
    assert written, "nothing was written in the background any more"


def wait_for(condition: Any) -> bool:
    """Wait until the background thread has done something; three seconds at the most."""
    waited = threading.Event()
    for _ in range(300):
        if condition():
            return True
        waited.wait(0.01)
    return False


PROGRAM = """
import logging, sys
from pathlib import Path
from torana.obs import logs
from torana.settings import load_settings

folder = Path(sys.argv[1])
logs.configure(load_settings(log_dir=folder, log_format=sys.argv[2]), "test")
log = logging.getLogger("torana.test")
log.info("first.event", extra={"number": 1})
log.debug("hidden.event")
try:
    raise ValueError("a secret")
except ValueError:
    log.exception("broken.event")
logging.getLogger("urllib3").warning("noise")
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_process_logs_to_stdout_and_to_its_folder_until_its_very_end(tmp_path: Path, form):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "logs"), form],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert result.stderr == ""
    assert (tmp_path / "logs" / "torana.log").read_text() == result.stdout
    assert len(result.stdout.splitlines()) == 2
    assert "a secret" not in result.stdout
    if form == "json":
        first, second = (json.loads(line) for line in result.stdout.splitlines())
        assert (first["event"], first["number"], first["process"]) == ("first.event", 1, "test")
        assert (second["event"], second["error_type"]) == ("broken.event", "ValueError")


def test_nobody_reading_stdout_is_no_trouble(tmp_path: Path):
    code = (
        "import logging, os\nfrom torana.obs import logs\n"
        "from torana.settings import load_settings\n"
        "logs.configure(load_settings(), 'test')\n"
        "for number in range(50_000): logging.getLogger('x').info('event')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert b"Traceback" not in told


def test_the_layout_of_a_process_names_it():
    assert json.loads(LogstashFormatter("cron").format(record("x")))["process"] == "cron"
