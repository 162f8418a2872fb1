import os
import sys

import pytest

from torana.processes.family import Process, descendants, running_process, running_processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_we_find_ourselves() -> None:
    us = running_process(os.getpid())
    assert us is not None
    assert us.parent == os.getppid()
    assert us.session == os.getsid(0)
    assert us in running_processes()


def test_a_process_that_is_not_there_does_not_run() -> None:
    assert running_process(2**22 + 1) is None


def test_descendants_are_found_over_generations_and_sessions() -> None:
    def process(pid: int, parent: int, session: int = 10) -> Process:
        return Process(pid=pid, parent=parent, session=session, started=pid)

    leader, child, grandchild = process(10, 1), process(11, 10), process(12, 11, session=12)
    stranger = process(20, 1)
    everyone = frozenset({leader, child, grandchild, stranger})
    assert descendants({10}, everyone) == {child, grandchild}
    assert descendants({20}, everyone) == set()
