"""What must hold while names are resolved and connections are made.

`test_http_resolving.py` runs each check under threads, `outbound_under_gevent.py` runs them all in a
process that gevent has patched, as production is.
"""

from __future__ import annotations

import _thread
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.calls import LIMIT, exchange, post
from tests.contract.hosts import NAME, PUBLIC, SECOND, Names, refusing, serving
from torana.errors import UpstreamError, UpstreamUnreachable
from torana.offload import is_gevent, offload
from torana.outbound.client import HttpClient, Timeouts
from torana.outbound.resolver import SocketAddress

HASTY = Timeouts(connect=0.5, first_byte=10, idle=10)
MUCH_LATER = 4.0
"""What was to take half a second at most has surely taken longer by then."""
AT_ONCE = 32
"""How many lookups a client has under way."""


class HungResolver:
    """Answers names that begin with `hung` when it is let go, and all others at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._gate = _native_lock()
        self._gate.acquire()

    def __call__(self, host: str, port: int) -> Sequence[SocketAddress]:
        self.asked.append(host)
        if host.startswith("hung") and self._gate.acquire(timeout=30.0):
            self._gate.release()
        return [(PUBLIC, port)]

    def let_go(self) -> None:
        """Answer all."""
        self._gate.release()


def _native_lock() -> _thread.LockType:
    """What blocks a native thread, as a real resolver does."""
    if not is_gevent():
        return _thread.allocate_lock()
    from gevent.monkey import get_original

    lock: _thread.LockType = get_original("_thread", "allocate_lock")()
    return lock


@contextmanager
def hanging() -> Iterator[tuple[HttpClient, HungResolver]]:
    """A client whose resolver hangs; it is let go in the end."""
    resolver = HungResolver()
    http = HttpClient(resolve=resolver)
    try:
        yield http, resolver
    finally:
        resolver.let_go()
        http.close()


def failure_of(http: HttpClient, url: str, timeouts: Timeouts = HASTY) -> tuple[str, float]:
    """Call where nobody is reached; why not, and after how many seconds."""
    over = exchange()
    began = time.monotonic()
    with pytest.raises(UpstreamUnreachable) as failure:
        post(http, url, timeouts=timeouts, over=over)
    assert not over.sent
    return failure.value.message, time.monotonic() - began


def check_a_resolver_that_hangs_holds_a_call_no_longer_than_connecting_may_take() -> None:
    with hanging() as (http, _):
        message, seconds = failure_of(http, "http://hung.test/")
    assert "in time" in message
    assert 0.4 < seconds < MUCH_LATER


def check_calls_of_other_hosts_go_on_while_names_hang() -> None:
    with hanging() as (http, resolver), serving(PUBLIC) as host, ThreadPoolExecutor(30) as pool:
        urls = [f"http://hung-{number}.test/" for number in range(30)]
        waiting = [pool.submit(failure_of, http, url) for url in urls]
        while len(resolver.asked) < 30:
            time.sleep(0.005)
        began = time.monotonic()
        for name in (NAME, "another.test", PUBLIC):
            assert post(http, host.url(name)).read(LIMIT)
        # Nor does what blocks elsewhere wait, such as the database.
        assert offload(len, "four") == 4
        assert time.monotonic() - began < 0.4
        for one in waiting:
            assert one.result()[1] < MUCH_LATER


def check_a_name_that_hangs_is_asked_for_once_for_all_calls() -> None:
    with hanging() as (http, resolver), ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(failure_of, http, "http://hung.test/") for _ in range(50)]
        for one in calls:
            assert one.result()[1] < MUCH_LATER
        assert resolver.asked == ["hung.test"]


def check_more_names_than_may_hang_are_refused_at_once() -> None:
    patient = Timeouts(connect=3, first_byte=10, idle=10)
    with hanging() as (http, resolver), ThreadPoolExecutor(AT_ONCE) as pool:
        urls = [f"http://hung-{number}.test/" for number in range(AT_ONCE)]
        waiting = [pool.submit(failure_of, http, url, patient) for url in urls]
        while len(resolver.asked) < AT_ONCE:
            time.sleep(0.005)
        message, seconds = failure_of(http, "http://hung-too.test/", patient)
        assert "Too many" in message
        assert seconds < 1.0
        with serving(PUBLIC) as host:
            assert post(http, host.url(PUBLIC)).read(LIMIT)
        for one in waiting:
            one.result()


def check_a_name_is_found_again_when_its_resolver_is_back() -> None:
    with serving(PUBLIC) as host:
        with hanging() as (http, resolver):
            failure_of(http, host.url("hung.test"))
        deadline = time.monotonic() + MUCH_LATER
        while True:
            try:
                assert post(http, host.url("hung.test")).read(LIMIT)
                break
            except UpstreamError:
                assert time.monotonic() < deadline
        assert resolver.asked.count("hung.test") <= 2


def check_a_name_without_addresses_fails_at_once() -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "unknown")
    away = socket.gaierror(socket.EAI_AGAIN, "no name server")
    nothing: list[str] = []
    for found in (unknown, away, nothing):
        http = HttpClient(resolve=Names([found]))
        _, seconds = failure_of(http, f"http://{NAME}/")
        assert seconds < 0.4, found


def check_hosts_that_are_no_names_fail_at_once() -> None:
    names = Names([[PUBLIC]])
    http = HttpClient(resolve=names)
    for host in ("a..b", "x" * 64 + ".test", ".test"):
        _, seconds = failure_of(http, f"http://{host}/")
        assert seconds < 0.4, host
    assert names.asked == []


def check_the_next_address_is_tried_when_one_refuses() -> None:
    with serving(SECOND) as host, refusing(PUBLIC, host.server_address[1]):
        names = Names([[PUBLIC, SECOND]])
        assert post(HttpClient(resolve=names), host.url(NAME)).read(LIMIT) == b"1"
        assert names.asked == [NAME]


def check_the_next_address_is_tried_when_one_swallows_all_packets() -> None:
    with serving(SECOND) as host, swallowing(host.server_address[1]):
        http = HttpClient(resolve=Names([[PUBLIC, SECOND]]))
        timeouts = Timeouts(connect=1.0, first_byte=10, idle=10)
        began = time.monotonic()
        assert post(http, host.url(NAME), timeouts=timeouts).read(LIMIT) == b"1"
        assert 0.4 < time.monotonic() - began < MUCH_LATER


def check_all_addresses_together_take_no_longer_than_connecting_may_take() -> None:
    with swallowing() as port:
        http = HttpClient(resolve=Names([[PUBLIC] * 20]))
        _, seconds = failure_of(http, f"http://{NAME}:{port}/")
        assert 0.4 < seconds < MUCH_LATER


def check_resolving_leaves_no_thread_behind() -> None:
    names = Names([[PUBLIC]])
    http = HttpClient(resolve=names)
    with refusing(PUBLIC, 0) as port:
        failure_of(http, f"http://{NAME}:{port}/")
        before = _native_threads()
        for _ in range(300):
            failure_of(http, f"http://{NAME}:{port}/")
    deadline = time.monotonic() + MUCH_LATER
    while _native_threads() > before:
        assert time.monotonic() < deadline, "threads are left"
        time.sleep(0.01)
    assert len(names.asked) == 301


def _native_threads() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))


@contextmanager
def swallowing(port: int = 0) -> Iterator[int]:
    """A port that takes no more connections: its queue is full, and nobody accepts."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((PUBLIC, port))
        listener.listen(0)
        bound = int(listener.getsockname()[1])
        waiting = []
        for _ in range(8):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex((PUBLIC, bound))
            waiting.append(caller)
        yield bound
        for caller in waiting:
            caller.close()


CHECKS: dict[str, Callable[[], None]] = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}
