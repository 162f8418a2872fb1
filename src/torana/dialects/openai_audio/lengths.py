"""How long a recording is at most, by its bytes: known before anybody has listened to it.

A WAV file of plain samples says exactly how many bytes a second takes, and whoever plays it reads
the same bytes. Any other format is bounded by the lowest rate that MP3 has; formats that can go
below it for silence (Opus, FLAC) are assumed not to do so for long.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

SLOWEST_BYTES = 1_000
"""Bytes a second: 8 kbit/s, the lowest bit rate of MPEG audio layer III."""
_RIFF = 12
_MOST_CHUNKS = 32
_PLAIN = {1, 3, 6, 7, 0xFFFE}
"""Samples as they are: PCM, floats, A-law, mu-law, and what says more in an extension."""


def seconds_at_most(size: int, read: Callable[[int, int], bytes]) -> int:
    """Whole seconds, rounded up; one at least, which is what providers bill of the shortest.

    Args:
        size: of the file, in bytes.
        read: gives its bytes from an offset on, at most so many.
    """
    return max(-(-size // (_bytes_a_second(size, read) or SLOWEST_BYTES)), 1)


def _bytes_a_second(size: int, read: Callable[[int, int], bytes]) -> int | None:
    """Of a WAV file whose samples are plain; None for anything else."""
    head = read(0, _RIFF)
    if len(head) < _RIFF or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    offset = _RIFF
    for _ in range(_MOST_CHUNKS):
        chunk = read(offset, 8)
        if len(chunk) < 8 or offset >= size:
            return None
        name, length = struct.unpack("<4sI", chunk)
        if name == b"fmt ":
            return _rate(read(offset + 8, 16))
        offset += 8 + length + length % 2
    return None


def _rate(described: bytes) -> int | None:
    if len(described) < 16:
        return None
    kind, channels, rate, _, block, bits = struct.unpack("<HHIIHH", described)
    # Packed samples need more than a multiplication; then the file is bounded as any other.
    if kind not in _PLAIN or not channels or block * 8 != channels * bits:
        return None
    return rate * block or None
