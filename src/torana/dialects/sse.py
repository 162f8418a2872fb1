"""Server-sent events: cutting a byte stream into whole frames.

The source is the HTML standard, section "Server-sent events": a line ends with LF, CR or CRLF, and
an empty line ends a frame. A frame is kept as its exact bytes, so that it can be forwarded as it
is.
"""

from __future__ import annotations

import re

# Atomic groups: a CRLF is never read as two ends of lines.
_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class FrameTooLargeError(ValueError):
    """A frame has no end within the limit."""


class FrameSplitter:
    """Cuts chunks, which may end anywhere, into frames.

    Args:
        limit: the most bytes a single frame may have.
    """

    def __init__(self, limit: int = 8 * 1024 * 1024) -> None:
        self._rest = b""
        self._limit = limit

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that are complete now, each with its closing empty line.

        Raises:
            FrameTooLargeError: the unfinished frame is over the limit.
        """
        data = self._rest + chunk if self._rest else chunk
        frames = []
        start = 0
        for boundary in _BOUNDARY.finditer(data):
            end = boundary.end()
            # A CR at the very end may be the first half of a CRLF: wait for the other half.
            if end == len(data) and data.endswith(b"\r"):
                break
            frames.append(data[start:end])
            start = end
        self._rest = data[start:]
        if len(self._rest) > self._limit:
            raise FrameTooLargeError
        return frames

    def finish(self) -> list[bytes]:
        """At the end of the stream: the frame, if there is one, that waited for half a CRLF."""
        found = _BOUNDARY.search(self._rest)
        if found is None or found.end() != len(self._rest):
            return []
        frame, self._rest = self._rest, b""
        return [frame]

    @property
    def rest(self) -> bytes:
        """The bytes of a frame that has no end yet."""
        return self._rest


def data_of(frame: bytes) -> bytes | None:
    """The `data` of a frame: its data lines, joined with LF; None when it has none."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2 and b"\r" not in frame:
        return frame[6:-2]  # What nearly every frame looks like.
    lines = []
    for line in _LINE_END.split(frame):
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None


def encode(data: bytes) -> bytes:
    """A frame with this data, a line for each of its lines."""
    return b"".join([b"data: " + line + b"\n" for line in _LINE_END.split(data)]) + b"\n"
