import os
import socket

import pytest

from torana.errors import ConfigurationError
from torana.processes.ports import free_port, require_free_port

ANY = "0.0.0.0"  # noqa: S104 -- what people set


def test_a_free_port_is_fine() -> None:
    require_free_port("127.0.0.1", free_port())


def test_a_taken_port_names_the_setting_and_the_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            require_free_port("127.0.0.1", port)
    assert f"Port {port} on 127.0.0.1 is already in use by pid {os.getpid()} (" in str(caught.value)
    assert "TORANA_PORT" in (caught.value.hint or "")


def test_a_port_taken_on_one_address_is_taken_for_all_addresses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(ConfigurationError):
        require_free_port(ANY, holder.getsockname()[1])


def test_an_address_of_another_machine_names_the_setting() -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_free_port("192.0.2.1", free_port())
    assert "TORANA_HOST" in (caught.value.hint or "")


def test_what_is_no_address_names_the_setting() -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_free_port("127.0.0.1.5", 8080)
    assert "TORANA_HOST" in (caught.value.hint or "")
