"""Posts that the database could not take, on this host's disk until it can.

Each process has one file, locked while it lives. A frame is a length, a CRC-32 and a post as JSON;
it counts once it is on the disk (fsync). Room for the posts of all open calls is allocated when
they are admitted, so that a full disk refuses calls and never loses one. A file whose process is
gone is replayed by whoever locks it. Replaying a frame twice changes nothing: see `Teller.post`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from torana.errors import DiskFull
from torana.ledger.jobs import PostJob
from torana.ledger.records import Receipt, Settlement
from torana.offload import native_lock, offload

logger = logging.getLogger("torana.ledger")

SUFFIX = ".spool"
BROKEN_SUFFIX = ".spool-broken"
ROOM = 16 * 1024
"""Bytes that are kept free for each open call."""
MOST_BYTES = 64 * 1024 * 1024
"""Up to this size of the file a post may be larger than its room, if the disk has more; else it is
cut to its figures."""
_STEP = 64 * ROOM
"""How much is allocated at once."""
_HEAD = struct.Struct("<II")


class _Frame(msgspec.Struct):
    receipt: Receipt
    settlement: Settlement


_decoder = msgspec.json.Decoder(_Frame)


class Spool:
    """The file of one process.

    Args:
        folder: of all spool files of this host; made when it is missing.
        owner_id: this process.
    """

    def __init__(self, folder: Path, owner_id: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{owner_id}{SUFFIX}"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._lock = native_lock()
        self._counting = threading.Lock()
        self._allocated = 0
        self._end = 0
        self._replayed = 0
        self._open_calls = 0

    @property
    def pending(self) -> bool:
        """Whether there are posts that the database has not taken yet."""
        return self._replayed < self._end

    def hold(self) -> None:
        """Keep room for one more open call.

        Raises:
            DiskFull: there is none.
        """
        with self._counting:
            self._open_calls += 1
        if self._end + self._open_calls * ROOM <= self._allocated:
            return
        try:
            offload(self._allocate)
        except OSError as error:
            self.release()
            raise DiskFull(
                "The disk has no room for the ledger's spool, so no call is admitted.",
                hint="An administrator frees space in the data folder.",
                retry_after=10,
            ) from error

    def release(self) -> None:
        """An open call was posted, or never opened."""
        with self._counting:
            self._open_calls -= 1

    def append(self, receipt: Receipt, settlement: Settlement) -> None:
        """Keep a post; when this returns it is on the disk.

        Raises:
            OSError: the disk refused it.
        """
        frame = _frame_of(receipt, settlement)
        if len(frame) <= ROOM:
            offload(self._write, frame)
        else:
            offload(self._write, frame, figures=_frame_of(receipt, settlement.bare()))

    def unreplayed(self) -> list[tuple[PostJob, int]]:
        """The posts that wait, each with the place where the next one begins."""
        return offload(self._read_waiting)

    def replayed(self, place: int) -> None:
        """All before a place is in the database."""
        offload(self._forget, place)

    def close(self) -> None:
        """Close the file, and take it away when nothing waits in it."""
        if not self.pending:
            with suppress(FileNotFoundError):
                self.path.unlink()
        os.close(self._file)

    def _allocate(self) -> None:
        with self._lock:
            self._grow(self._end + self._open_calls * ROOM)

    def _grow(self, wanted: int) -> None:
        while self._allocated < wanted:
            os.posix_fallocate(self._file, self._allocated, _STEP)
            self._allocated += _STEP

    def _has_more_room(self, size: int) -> bool:
        """Whether a frame larger than its room fits without taking that of the open calls."""
        if self._end + size > MOST_BYTES:
            return False
        try:
            self._grow(self._end + size + self._open_calls * ROOM)
        except OSError:
            return False
        return True

    def _write(self, frame: bytes, figures: bytes | None = None) -> None:
        with self._lock:
            if figures is not None and not self._has_more_room(len(frame)):
                frame = figures
            written = os.pwrite(self._file, frame, self._end)
            if written != len(frame):
                message = "the spool took only a part of a frame"
                raise OSError(message)
            os.fsync(self._file)
            self._end += len(frame)
            self._allocated = max(self._allocated, self._end)

    def _read_waiting(self) -> list[tuple[PostJob, int]]:
        with self._lock:
            return list(frames(self._file, self._replayed, self._end))

    def _forget(self, place: int) -> None:
        with self._lock:
            self._replayed = place
            if self._replayed < self._end:
                return
            # All is in the database: begin anew, with zeros where frames were.
            os.ftruncate(self._file, 0)
            self._allocated = self._end = self._replayed = 0
            with suppress(OSError):  # The next admission says so if there is no room.
                self._grow(max(_STEP, self._open_calls * ROOM))


def _frame_of(receipt: Receipt, settlement: Settlement) -> bytes:
    payload = msgspec.json.encode(_Frame(receipt, settlement))
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def frames(file: int, start: int, end: int) -> Iterator[tuple[PostJob, int]]:
    """The posts of a spool file, up to its end or to a frame that was cut or altered.

    Args:
        file: a descriptor.
        start: where the first frame begins.
        end: where the last one ends at most.
    """
    place = start
    while place + _HEAD.size <= end:
        length, checksum = _HEAD.unpack(os.pread(file, _HEAD.size, place))
        if not length:
            return
        # A broken length must not have us read gigabytes.
        payload = os.pread(file, min(length, end - place - _HEAD.size), place + _HEAD.size)
        sound = len(payload) == length and zlib.crc32(payload) == checksum
        try:
            frame = _decoder.decode(payload) if sound else None
        except msgspec.DecodeError:
            frame = None  # Of another version.
        if frame is None:
            logger.error("ledger.spool_broken", extra={"place": place})
            return
        place += _HEAD.size + length
        yield PostJob(frame.receipt, frame.settlement), place


@contextmanager
def orphan(path: Path) -> Iterator[list[PostJob] | None]:
    """The posts of a file whose process is gone; None while it lives. Taken away after the block.

    Args:
        path: of the file.
    """
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        if not path.exists():  # Somebody else was quicker.
            yield None
            return
        size = os.fstat(file).st_size
        found = list(frames(file, 0, size))
        end = found[-1][1] if found else 0
        yield [job for job, _ in found]
        with suppress(FileNotFoundError):
            if any(os.pread(file, _HEAD.size, end)):
                # A frame that was cut when its process died was never promised to anybody; any
                # other is worth a person's look. Its call is posted at its bound.
                path.rename(path.with_suffix(BROKEN_SUFFIX))
            else:
                path.unlink()
    finally:
        os.close(file)
