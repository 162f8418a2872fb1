"""Whether an address can be listened on, said before anything is started.

It must not know what will listen there.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

from torana.errors import ConfigurationError

PROC = Path("/proc")
LISTENING = "0A"
"""TCP_LISTEN in /proc/net/tcp (proc_pid_net(5))."""


def require_free_port(host: str, port: int) -> None:
    """Check that the web server can listen on `host`:`port`.

    Raises:
        ConfigurationError: it cannot; the message names the setting to change, and the process
            that has the port where the system tells.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigurationError(
            f"{host} is not an address or name that can be resolved.",
            hint="Set TORANA_HOST to an address of this machine, such as 127.0.0.1.",
        ) from error
    answers = [_problem(family, address) for family, _, _, _, address in found]
    problems = [answer for answer in answers if answer is not None]
    taken = [problem for problem in problems if problem.errno == errno.EADDRINUSE]
    # A name may stand for an address of each family where the machine has only one of them.
    if taken or len(problems) == len(answers):
        problem = (taken or problems)[0]
        raise _refusal(host, port, problem) from problem


def _problem(family: int, address: tuple[object, ...]) -> OSError | None:
    """Why nothing can listen on the address; None if something can."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the server does it: closed connections that linger must not look like a listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now; somebody may take it before you do."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _refusal(host: str, port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        by = f" by {holder}" if holder else ""
        return ConfigurationError(
            f"Port {port} on {host} is already in use{by}.",
            hint="Stop that program, or set TORANA_PORT to another port.",
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"This user may not listen on port {port}.",
            hint="Set TORANA_PORT to a port above 1023.",
        )
    return ConfigurationError(
        f"{host} is not an address of this machine ({error.strerror}).",
        hint="Set TORANA_HOST to an address of this machine, such as 127.0.0.1.",
    )


def _holder(port: int) -> str | None:
    """Who listens on the port: `pid 17 (nginx: master process)`; None when the system won't say."""
    links = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not links:
        return None
    for folder in PROC.glob("[0-9]*"):
        if links & set(_open_files(folder)):
            return f"pid {folder.name} ({_title(folder)})"
    return None


def _open_files(folder: Path) -> Iterator[str]:
    """What a process has open; nothing of another user's, and nothing that was just closed."""
    with contextlib.suppress(OSError):
        for entry in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())


def _listening_inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _title(folder: Path) -> str:
    """The process's title; only its first words, because arguments may hold other people's keys."""
    try:
        title = (folder / "cmdline").read_bytes().partition(b"\0")[0]
        return title.decode(errors="replace").strip() or (folder / "comm").read_text().strip()
    except OSError:
        return "unknown"
