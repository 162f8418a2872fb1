import logging
import os

import pytest

from torana.processes.child import Output
from torana.processes.output import KEPT_LINES, OutputReader


def run_reader(written: list[bytes], output: Output = Output.FORWARD) -> tuple[bytes, list[str]]:
    """What reaches the target, and the lines that were kept."""
    reader, writer = os.pipe()
    kept_from, target = os.pipe()
    try:
        lines = OutputReader(child="web", descriptor=reader, output=output, target=target)
        for part in written:
            os.write(writer, part)
        os.close(writer)
        kept = lines.last_lines(seconds=30)
        os.close(target)
        return os.read(kept_from, 1 << 20), list(kept)
    finally:
        os.close(kept_from)


def test_lines_are_forwarded_as_they_are() -> None:
    assert run_reader([b"one\ntwo\n"]) == (b"one\ntwo\n", ["one", "two"])


def test_a_line_that_comes_in_parts_leaves_whole() -> None:
    assert run_reader([b"on", b"e\ntw", b"o\n"]) == (b"one\ntwo\n", ["one", "two"])


def test_a_last_line_without_its_end_gets_one() -> None:
    assert run_reader([b"one\ntwo"]) == (b"one\ntwo\n", ["one", "two"])


def test_only_the_last_lines_are_kept() -> None:
    _, kept = run_reader([b"".join(b"%d\n" % number for number in range(100))])
    assert kept == [str(number) for number in range(100 - KEPT_LINES, 100)]


def test_what_is_not_text_is_kept_readable() -> None:
    assert run_reader([b"caf\xff\n"])[1] == ["caf\ufffd"]


def test_a_child_with_a_format_of_its_own_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "torana.up")
    forwarded, kept = run_reader([b"one\n\ntwo\n"], Output.LOG)
    assert forwarded == b""
    assert kept == ["one", "two"]
    assert [(r.msg, vars(r)["child"], vars(r)["line"]) for r in caplog.records] == [
        ("child.output", "web", "one"),
        ("child.output", "web", "two"),
    ]


def test_a_closed_target_does_not_stop_the_reading() -> None:
    reader, writer = os.pipe()
    nobody, target = os.pipe()
    os.close(nobody)
    lines = OutputReader(child="web", descriptor=reader, output=Output.FORWARD, target=target)
    os.write(writer, b"one\ntwo\n")
    os.close(writer)
    assert lines.last_lines(seconds=30) == ("one", "two")
    os.close(target)
