"""Hosts that providers may be at although they are private."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import delete, select

from torana.admin.allowed_hosts import (
    allow_host,
    check_base_url,
    disallow_host,
    host_of,
    list_allowed_hosts,
    read_allowed_hosts,
)
from torana.db.models import AllowedHost, ConfigVersion
from torana.db.session import Database
from torana.errors import HostNotAllowed, InvalidRequest, NotFound
from torana.outbound.resolver import SocketAddress


@pytest.fixture
def clean(shared_database: Database) -> Database:
    """The module's database without allowed hosts."""
    with shared_database.write() as session:
        session.execute(delete(AllowedHost))
    return shared_database


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def hosts(database: Database) -> list[str]:
    return [view.host for view in list_allowed_hosts(database)]


def test_a_host_is_allowed_and_every_process_is_told_in_the_same_transaction(clean):
    before = version(clean)
    view = allow_host(clean, "models.internal")
    assert view.host == "models.internal"
    assert list_allowed_hosts(clean) == [view]
    assert version(clean) == before + 1
    with clean.read() as session:
        assert read_allowed_hosts(session) == {"models.internal"}


def test_a_host_that_is_allowed_already_stays_as_it_was(clean):
    view = allow_host(clean, "models.internal")
    before = version(clean)
    assert allow_host(clean, "Models.Internal.") == view
    assert hosts(clean) == ["models.internal"]
    assert version(clean) == before


def test_hosts_are_listed_by_name(clean):
    for host in ("b.internal", "10.0.0.5", "a.internal"):
        allow_host(clean, host)
    assert hosts(clean) == ["10.0.0.5", "a.internal", "b.internal"]


def test_a_permission_is_taken_back(clean):
    view = allow_host(clean, "models.internal")
    before = version(clean)
    assert disallow_host(clean, "MODELS.internal:8000") == view
    assert hosts(clean) == []
    assert version(clean) == before + 1
    with pytest.raises(NotFound):
        disallow_host(clean, "models.internal")
    assert version(clean) == before + 1


def test_changes_are_logged_with_who_made_them(clean, caplog):
    caplog.set_level(logging.INFO)
    allow_host(clean, "models.internal", actor="key_1")
    allow_host(clean, "models.internal", actor="key_2")
    disallow_host(clean, "models.internal", actor="key_3")
    told = [
        (record.getMessage(), vars(record)["actor"], vars(record)["subject"])
        for record in caplog.records
        if record.name == "torana.admin"
    ]
    assert told == [
        ("host.allowed", "key_1", "models.internal"),
        ("host.disallowed", "key_3", "models.internal"),
    ]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("LocalHost", "localhost"),
        (" models.internal. ", "models.internal"),
        ("ollama_1", "ollama_1"),
        ("10.0.0.5:8000", "10.0.0.5"),
        ("127.1", "127.1"),
        ("2130706433", "2130706433"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[FD00::1]:8000", "fd00::1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_is_stored_without_what_does_not_matter(clean, given, stored):
    assert allow_host(clean, given).host == stored


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        ".",
        "http://models.internal",
        "models.internal/v1",
        "user@models.internal",
        "two words",
        "a..b",
        "-a.internal",
        "x" * 64,
        ".".join(["x" * 60] * 5),
        "bücher.example",
        "256.1.1.1",
        "1.2.3.4.5",
        "10.0.0.0/8",
        "*.internal",
        "[models.internal",
        "[]",
        "a:b",
        "::g",
        "fe80::1%eth0",
        "a\nb",
    ],
)
def test_what_is_no_host_is_refused(clean, given):
    for change in (allow_host, disallow_host):
        with pytest.raises(InvalidRequest) as failure:
            change(clean, given)
        assert failure.value.param == "host"
    assert hosts(clean) == []


# --- base URLs ---------------------------------------------------------------------------------


def found(*addresses: str) -> Sequence[SocketAddress]:
    """What a lookup finds."""
    return [(one, 0, 0, 0) if ":" in one else (one, 0) for one in addresses]


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:11434/v1",
        "http://LOCALHOST./v1",
        "http://api.localhost/v1",
        "http://127.0.0.1/v1",
        "http://127.1/v1",
        "http://0x7f.1/v1",
        "http://2130706433/v1",
        "http://10.0.0.5:8000/v1",
        "http://169.254.169.254/latest",
        "http://[::1]:8000/v1",
        "http://[::ffff:10.0.0.5]/v1",
        "http://[fd00:ec2::254]/v1",
    ],
)
def test_a_private_host_is_refused_by_its_spelling(base_url):
    def resolve(_host: str, _port: int) -> Sequence[SocketAddress]:
        raise AssertionError("nobody needs to be asked")

    with pytest.raises(HostNotAllowed) as failure:
        check_base_url((), base_url, resolve=resolve)
    host = host_of(base_url)
    assert failure.value.param == "base_url"
    assert f"`torana providers allow-host {host}`" in failure.value.public_message
    check_base_url({host}, base_url, resolve=resolve)


def test_what_is_allowed_is_what_is_checked(clean):
    url = "http://[FD00::1]:8000/v1"
    with pytest.raises(HostNotAllowed):
        check_base_url(hosts(clean), url)
    allow_host(clean, "[fd00::1]")
    check_base_url(hosts(clean), url)
    # Another spelling of the same address is another host.
    with pytest.raises(HostNotAllowed):
        check_base_url(hosts(clean), "http://[fd00:0::1]:8000/v1")


@pytest.mark.parametrize("base_url", ["https://8.8.8.8/v1", "https://[2606:4700:4700::1111]/v1"])
def test_a_public_address_passes(base_url):
    check_base_url((), base_url)


@pytest.mark.parametrize(
    ("addresses", "passes"),
    [
        (["8.8.8.8"], True),
        (["10.0.0.5", "8.8.8.8"], True),
        ([], True),
        (["10.0.0.5"], False),
        (["10.0.0.5", "::1"], False),
    ],
)
def test_a_name_is_judged_by_what_it_leads_to_now(addresses, passes):
    asked = []

    def resolve(host: str, _port: int) -> Sequence[SocketAddress]:
        asked.append(host)
        return found(*addresses)

    url = "https://models.example.test/v1"
    if passes:
        check_base_url((), url, resolve=resolve)
    else:
        with pytest.raises(HostNotAllowed):
            check_base_url((), url, resolve=resolve)
        check_base_url({"models.example.test"}, url, resolve=resolve)
    assert asked == ["models.example.test"]


def test_a_name_that_leads_nowhere_now_passes():
    def resolve(_host: str, _port: int) -> Sequence[SocketAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    check_base_url((), "https://models.example.test/v1", resolve=resolve)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a resolver that hangs waits for."""
    made = threading.Event()
    yield made
    made.set()


def test_a_resolver_that_hangs_is_waited_for_only_shortly(gate):
    def resolve(_host: str, _port: int) -> Sequence[SocketAddress]:
        gate.wait(20.0)
        return found("10.0.0.5")

    began = time.monotonic()
    check_base_url((), "https://models.example.test/v1", resolve=resolve)
    assert 1.0 < time.monotonic() - began < 6.0


@pytest.mark.parametrize("base_url", ["", "http://", "http:///v1", "http://[::1", "models"])
def test_a_url_without_a_host_is_refused(base_url):
    with pytest.raises(InvalidRequest):
        check_base_url((), base_url)
