"""A mount namespace for a web process: a small disk of its own, and a name server of the tests.

What is mounted there is seen by nobody else and ends with its last process.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_UNSHARE = ("unshare", "--mount", "--propagation", "private")
_PROBE_SECONDS = 10.0
_STEP = 4096


@functools.cache
def is_possible() -> bool:
    """Whether this account may mount here."""
    if shutil.which("unshare") is None:
        return False
    mounts = "mount -t tmpfs -o size=64k tmpfs /tmp && mount --bind /etc/hosts /etc/resolv.conf"
    probe = [*_UNSHARE, "sh", "-c", mounts]
    try:
        return subprocess.run(probe, capture_output=True, timeout=_PROBE_SECONDS).returncode == 0  # noqa: PLW1510
    except (OSError, subprocess.TimeoutExpired):
        return False


def confined(
    disk: Path, size: str, *, content: Path | None = None, resolv_conf: Path | None = None
) -> list[str]:
    """The beginning of a command line whose process has a small disk at a folder.

    Args:
        disk: the folder; it must be there.
        size: of the disk, as `mount` takes it.
        content: a folder whose files are copied to the disk.
        resolv_conf: what stands for `/etc/resolv.conf`.
    """
    mounts = f"mount -t tmpfs -o size={size},mode=700 tmpfs '{disk}'"
    if content is not None:
        mounts += f" && cp -a '{content}/.' '{disk}'"
    if resolv_conf is not None:
        mounts += f" && mount --bind '{resolv_conf}' /etc/resolv.conf"
    return [*_UNSHARE, "sh", "-c", f'{mounts} && exec "$@"', "sh"]


@dataclass(frozen=True)
class Disk:
    """The small disk of a running process.

    Attributes:
        pid: of the process.
        folder: where it is for that process.
    """

    pid: int
    folder: Path

    @property
    def path(self) -> Path:
        """Where the disk is for us."""
        return Path(f"/proc/{self.pid}/root{self.folder}")

    def fill(self) -> int:
        """Leave no room; how many bytes were free."""
        written = 0
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with suppress(OSError):
                while True:
                    written += os.write(file, b"x" * _STEP)
        finally:
            os.close(file)
        return written

    def make_room(self) -> None:
        """Take away what filled it."""
        self._ballast.unlink(missing_ok=True)

    def free(self) -> int:
        """How many bytes are free."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"
