"""On what and with what a measurement was made: the figures mean little without it.

Nothing here tells a host's name, a user or a path.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

PACKAGES = ("gevent", "gunicorn", "flask", "urllib3", "sqlalchemy", "psycopg", "msgspec", "uvloop")


def cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def describe() -> dict[str, object]:
    """The machine as JSON values."""
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def short_name() -> str:
    """A few letters for a file's name, such as `amd-epyc-2c`."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\(.*?\)|@.*", " ", cpu_model().lower()))
    return f"{'-'.join(words[:4])}-{cores()}c"


def versions(postgres: str | None) -> dict[str, str]:
    """Versions of what decides about the figures."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if postgres is not None:
        found["postgresql"] = postgres
    return found


def commit(repository: Path) -> str:
    """The commit that is measured; `-dirty` when there are changes, `unknown` without git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except OSError:
        return "unknown"
    return result.stdout.strip() or "unknown"
