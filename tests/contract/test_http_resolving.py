"""Finding a host and connecting to it in bounded time, under threads and under gevent."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from tests.contract.calls import LIMIT, post
from tests.contract.hosts import NAME, PUBLIC, Names, serving
from tests.contract.resolving import CHECKS
from torana.errors import UpstreamUnreachable
from torana.outbound.client import HttpClient
from torana.outbound.resolver import Resolver


@pytest.mark.parametrize("name", CHECKS)
def test_under_threads(name: str):
    CHECKS[name]()


def test_the_machines_own_names_are_known():
    assert (PUBLIC, 80) in Resolver().addresses("localhost", 80, 10.0)


def _has_ipv6() -> bool:
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_called_in_its_brackets(http: HttpClient):
    with serving("::1") as host:
        assert post(http, host.url("[::1]")).read(LIMIT) == b"1"
        assert host.headers[0]["host"] == f"[::1]:{host.server_address[1]}"


def test_a_process_that_can_start_no_thread_finds_names_again_later(
    monkeypatch: pytest.MonkeyPatch,
):
    resolver = Resolver(Names([[PUBLIC]]))
    with monkeypatch.context() as exhausted:

        def fail(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        exhausted.setattr(threading.Thread, "start", fail)
        with pytest.raises(UpstreamUnreachable):
            resolver.addresses(NAME, 80, 5.0)
    assert resolver.addresses(NAME, 80, 5.0) == [(PUBLIC, 80)]
