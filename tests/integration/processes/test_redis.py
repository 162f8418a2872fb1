"""The embedded Redis, really started."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from torana.errors import ConfigurationError
from torana.processes.redis import EmbeddedRedis, prepare_redis
from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedRedis:
    return prepare_redis(tmp_path / "data", tmp_path / "data" / "run")


def test_it_listens_in_a_private_folder_only(
    supervisor: Supervisor, embedded: EmbeddedRedis, title: Callable[[int | None], str]
) -> None:
    supervisor.start(embedded.child())
    assert embedded.socket.is_socket()
    assert embedded.socket.parent.stat().st_mode & 0o777 == 0o700
    assert embedded.socket.stat().st_mode & 0o777 == 0o600
    assert title(supervisor.states()[0].pid) == "torana: redis"
    with Redis.from_url(embedded.url) as client:
        assert client.config_get("port") == {"port": "0"}


def test_what_was_written_is_there_after_a_restart(
    stopping: StopRequest, embedded: EmbeddedRedis
) -> None:
    for expected in (None, b"value"):
        with Supervisor(stopping) as supervisor:
            supervisor.start(embedded.child())
            with Redis.from_url(embedded.url) as client:
                assert client.get("key") == expected
                client.set("key", "value")
    kept = [path for path in embedded.folder.rglob("*") if path.is_file()]
    assert kept
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_a_data_folder_with_a_long_path_works(supervisor: Supervisor, tmp_path: Path) -> None:
    data = tmp_path / ("d" * 120)
    embedded = prepare_redis(data, data / "run")
    supervisor.start(embedded.child())
    assert not embedded.socket.is_relative_to(data)
    with Redis.from_url(embedded.url) as client:
        assert client.ping()
    supervisor.stop()
    embedded.socket.parent.rmdir()


def test_a_damaged_file_is_explained(supervisor: Supervisor, embedded: EmbeddedRedis) -> None:
    for name in ("appendonly.aof", "appendonlydir/appendonly.aof.1.incr.aof"):
        (embedded.folder / name).parent.mkdir(exist_ok=True)
        (embedded.folder / name).write_text("this is no Redis file\n" * 10)
    manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n"
    (embedded.folder / "appendonlydir" / "appendonly.aof.manifest").write_text(manifest)
    with pytest.raises(ConfigurationError) as caught:
        supervisor.start(embedded.child())
    assert "nothing is lost" in (caught.value.hint or "")
    assert str(embedded.folder) in (caught.value.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere titles are not read that way")
def test_it_does_not_see_our_environment(
    supervisor: Supervisor, embedded: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-redis")
    supervisor.start(embedded.child())
    environment = Path(f"/proc/{supervisor.states()[0].pid}/environ").read_bytes()
    assert b"sk-not-for-redis" not in environment
