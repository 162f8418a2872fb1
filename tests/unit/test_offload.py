"""Running what blocks: in the caller's own thread, and under gevent in another one."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from torana.offload import is_gevent, offload

UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, threading, time
from gevent.monkey import get_original
from torana.offload import is_gevent, offload

native_ident = get_original("_thread", "get_ident")
native_sleep = get_original("time", "sleep")
assert is_gevent()

here = native_ident()
assert offload(native_ident) != here, "it ran in the hub's own thread"

def add(*numbers, factor=1):
    return sum(numbers) * factor

assert offload(add, 1, 2, factor=3) == 9

class Broken(Exception):
    pass

def fail():
    raise Broken("the same error")

try:
    offload(fail)
except Broken as error:
    assert str(error) == "the same error"
else:
    raise AssertionError("what it raises must be raised")

ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.001)
ticker = gevent.spawn(tick)
gevent.sleep(0)
before = len(ticks)
offload(native_sleep, 0.1)
assert len(ticks) - before > 5, "the other greenlets stood still"
print("passed")
"""


def test_without_gevent_the_callers_own_thread_does_it():
    assert not is_gevent()
    assert offload(threading.get_ident) == threading.get_ident()


def test_arguments_results_and_errors_pass_through():
    assert offload(int, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        offload(int, "x")


def test_gevent_that_is_only_imported_changes_nothing():
    code = (
        "import gevent, gevent.monkey, threading\n"
        "from torana.offload import is_gevent, offload\n"
        "assert not is_gevent()\n"
        "assert offload(threading.get_ident) == threading.get_ident()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_under_gevent_another_thread_does_it_and_greenlets_go_on():
    result = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (result.stdout, result.returncode) == ("passed\n", 0), result.stderr
