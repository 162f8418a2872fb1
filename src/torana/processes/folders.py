"""Folders that only this user may enter: for sockets, locks, secrets and the database."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from torana.errors import ConfigurationError


def make_private(folder: Path, *, shared_parent: bool = False) -> None:
    """Make a folder, and the missing ones above it, for this user alone; or make it so.

    Args:
        folder: an absolute path.
        shared_parent: others may write to the folder above, such as /tmp, and so may have put
            something of theirs in this place: then only a folder that is ours will do, no link.

    Raises:
        ConfigurationError: it cannot be made, or it is somebody else's.
    """
    try:
        for missing in reversed([f for f in (folder, *folder.parents) if not f.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat() if shared_parent else folder.stat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigurationError(
                f"{folder} is not a folder of this user.",
                hint="Remove it, or set TORANA_DATA_DIR to another folder.",
            )
        folder.chmod(0o700)
    except OSError as error:
        raise unusable(folder, error) from error


def unusable(path: Path, error: OSError) -> ConfigurationError:
    """The error for a file or folder of ours that the system refuses."""
    return ConfigurationError(
        f"{path} cannot be used: {error.strerror}.",
        hint="Set TORANA_DATA_DIR to a folder that this user may write to.",
    )
