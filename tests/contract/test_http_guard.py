"""The guard of the HTTP client: which addresses calls go to, and to which they never go."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.contract.calls import LIMIT, PATIENT, exchange, post
from tests.contract.certificates import self_signed
from tests.contract.hosts import NAME, PRIVATE, PUBLIC, SECOND, Host, Names, permits, serving
from torana.errors import UpstreamForbidden, UpstreamUnreachable
from torana.outbound.client import Answer, HttpClient


@pytest.fixture
def host() -> Iterator[Host]:
    """A server at the address that the guard of these tests takes for public."""
    with serving(PUBLIC) as made:
        yield made


def client(*found: list[str]) -> tuple[HttpClient, Names]:
    """A client whose lookups find these addresses, one list after the other."""
    names = Names(list(found))
    return HttpClient(resolve=names, permits=permits), names


def answered(http: HttpClient, url: str, *, private: bool = False) -> bytes:
    """Call once and read the answer: the number of its connection."""
    answer = post(http, url, private=private)
    body = answer.read(LIMIT)
    answer.close()
    return body


LOOPBACK = [
    "127.0.0.1",
    "localhost",
    "127.1",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0.0.0.0",  # noqa: S104 -- nobody listens there
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
]


@pytest.mark.parametrize("name", LOOPBACK)
def test_without_leave_no_spelling_of_loopback_is_called(http: HttpClient, host: Host, name: str):
    over = exchange()
    with pytest.raises(UpstreamForbidden) as failure:
        post(http, host.url(name), over=over, private=False)
    error = failure.value
    assert (over.sent, error.billable, error.retryable, error.should_retry) == (
        False,
        False,
        False,
        False,
    )
    assert "torana providers allow-host" in error.public_message
    assert "127" not in error.public_message
    assert host.connections == 0


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.1", "2130706433"])
def test_with_leave_it_is_called(http: HttpClient, host: Host, name: str):
    assert answered(http, host.url(name), private=True) == b"1"


def test_the_guard_is_on_unless_somebody_says_otherwise(http: HttpClient, host: Host):
    def call(method: str, *leave: bool) -> Answer:
        limits = partial(getattr(http, method), timeouts=PATIENT, exchange=exchange())
        body = {"body": b"{}"} if method == "post" else {}
        private = {"private": leave[0]} if leave else {}
        answer: Answer = limits(host.url(PUBLIC), headers={}, **body, **private)
        return answer

    for method in ("post", "get", "delete"):
        for leave in ((), (False,)):
            with pytest.raises(UpstreamForbidden):
                call(method, *leave)
        assert call(method, True).read(LIMIT) == b"1"


def test_only_permitted_addresses_of_a_name_are_called(host: Host):
    http, _ = client([PRIVATE, PUBLIC])
    with serving(PRIVATE, host.server_address[1]) as private:
        assert answered(http, host.url(NAME)) == b"1"
        assert (host.connections, private.connections) == (1, 0)


def test_a_name_that_becomes_private_is_not_called_there(host: Host):
    http, names = client([PUBLIC], [PRIVATE])
    with serving(PRIVATE, host.server_address[1]) as private:
        assert answered(http, host.url(NAME, "/last")) == b"1"
        with pytest.raises(UpstreamForbidden):
            post(http, host.url(NAME), private=False)
        assert private.connections == 0
    assert names.asked == [NAME] * 2


def test_what_was_checked_is_what_is_called(host: Host):
    # A resolver that says something else each time it is asked is asked once for a connection.
    http, names = client([PUBLIC], [PRIVATE], [PRIVATE])
    for _ in range(3):
        assert answered(http, host.url(NAME)) == b"1"
    assert names.asked == [NAME]


def test_a_connection_that_was_made_with_leave_is_not_used_without(host: Host):
    http, _ = client([PUBLIC], [PRIVATE])
    assert answered(http, host.url(NAME), private=True) == b"1"
    with pytest.raises(UpstreamForbidden):
        post(http, host.url(NAME), private=False)
    assert answered(http, host.url(NAME), private=True) == b"1"


def test_a_connection_that_was_made_without_leave_is_not_used_with(host: Host):
    http, _ = client([PUBLIC])
    connections = [answered(http, host.url(NAME), private=leave) for leave in (False, True, False)]
    assert connections == [b"1", b"2", b"1"]


def test_a_redirect_is_an_answer_and_is_not_followed(host: Host):
    http, _ = client([PUBLIC])
    with serving(PRIVATE, host.server_address[1]) as private:
        answer = post(http, host.url(NAME, "/elsewhere"), private=False)
        answer.read(LIMIT)
        assert answer.status == 302
        assert private.connections == 0


def test_a_proxy_of_the_environment_is_not_asked(host: Host, monkeypatch: pytest.MonkeyPatch):
    with serving(SECOND) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(SECOND))
            monkeypatch.setenv(name.upper(), proxy.url(SECOND))
        http, _ = client([PUBLIC])
        assert answered(http, host.url(NAME)) == b"1"
        assert answered(http, host.url(PUBLIC), private=True) == b"2"
        assert proxy.connections == 0


def test_the_server_is_asked_under_its_name(host: Host):
    http, _ = client([PUBLIC])
    answered(http, host.url(NAME))
    assert host.headers[0]["host"] == f"{NAME}:{host.server_address[1]}"


# --- TLS ---------------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A certificate for the name, and for no address."""
    return self_signed(tmp_path, names=[NAME])


def test_a_certificate_is_for_the_name_and_not_for_the_address(
    named: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    http, _ = client([PUBLIC])
    with serving(PUBLIC, certificate=named) as host:
        assert answered(http, host.url(NAME)) == b"1"
        assert host.server_names == [NAME]
        assert host.headers[0]["host"] == f"{NAME}:{host.server_address[1]}"
        for other in ("another.test", PUBLIC):
            with pytest.raises(UpstreamUnreachable):
                post(http, host.url(other), private=False)
        assert len(host.headers) == 1


def test_over_tls_the_guard_holds_too(named: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    http, _ = client([PRIVATE])
    with serving(PRIVATE, certificate=named) as host:
        with pytest.raises(UpstreamForbidden):
            post(http, host.url(NAME), private=False)
        assert host.server_names == []
        assert answered(http, host.url(NAME), private=True) == b"1"
