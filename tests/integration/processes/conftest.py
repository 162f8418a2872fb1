import os
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor

Waiter = Callable[[Callable[[], object]], None]


def _wait_until(done: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def wait_until() -> Waiter:
    """Waits for a condition, 30 s at most."""
    return _wait_until


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def runs() -> Callable[[int], bool]:
    """Whether a process runs; a zombie does not."""
    return _runs


@pytest.fixture
def title() -> Callable[[int | None], str]:
    """What `ps` shows as the command of a process."""

    def read(pid: int | None) -> str:
        return " ".join(psutil.Process(pid).cmdline()).rstrip()

    return read


@pytest.fixture
def stopping() -> Iterator[StopRequest]:
    request = StopRequest()
    yield request
    request.close()


def _children() -> set[int]:
    return {child.pid for child in psutil.Process(os.getpid()).children() if _runs(child.pid)}


@pytest.fixture
def others() -> set[int]:
    """Children of this process that other tests' fixtures keep, such as a database server."""
    return _children()


@pytest.fixture
def supervisor(stopping: StopRequest, others: set[int]) -> Iterator[Supervisor]:
    """A supervisor that leaves nothing behind."""
    with Supervisor(stopping, stop_seconds=5.0) as supervisor:
        yield supervisor
    assert _children() <= others
