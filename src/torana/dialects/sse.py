"""Server-sent events: cutting a byte stream into whole frames, reading and writing one.

The source is the HTML standard, section "Server-sent events": a line ends with LF, CR or CRLF, an
empty line ends a frame, a line that starts with a colon is a comment, and a byte order mark at the
very start is skipped. A frame is kept as its exact bytes, so that it can be forwarded as it is.
"""

from __future__ import annotations

import re

# Atomic groups: a CRLF is never read as two ends of lines.
_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST_BOUNDARY = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class FrameTooLargeError(ValueError):
    """A frame has no end within the limit."""


class FrameSplitter:
    """Cuts chunks, which may end anywhere, into frames.

    Args:
        limit: the most bytes a single frame may have.
    """

    def __init__(self, limit: int = 8 * 1024 * 1024) -> None:
        self._rest = bytearray()
        self._fresh = True
        self._limit = limit

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that are complete now, each with its closing empty line.

        Raises:
            FrameTooLargeError: the unfinished frame is over the limit.
        """
        if self._fresh:
            chunk = self._without_mark(chunk)
        rest = self._rest
        if rest:
            rest += chunk
            # What was searched before is not searched again, however small the chunks are.
            ends = _ends(rest, max(len(rest) - len(chunk) - _LONGEST_BOUNDARY, 0))
            chunk = bytes(memoryview(rest)[: ends[-1]]) if ends else b""
            del rest[: len(chunk)]
        else:
            ends = _ends(chunk, 0)
            if not ends or ends[-1] < len(chunk):
                rest += chunk[ends[-1] if ends else 0 :]
        if len(rest) > self._limit:
            raise FrameTooLargeError
        if len(ends) == 1 and ends[0] == len(chunk):
            return [chunk]
        return [chunk[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def finish(self) -> list[bytes]:
        """At the end of the stream: the frame, if there is one, that waited for half a CRLF."""
        found = _BOUNDARY.search(self._rest)
        if found is None or found.end() != len(self._rest):
            return []
        frame = bytes(self._rest)
        self._rest.clear()
        return [frame]

    @property
    def rest(self) -> bytes:
        """The bytes of a frame that has no end yet."""
        return bytes(self._rest)

    def _without_mark(self, chunk: bytes) -> bytes:
        """The start of the stream without its byte order mark, once there is enough to tell."""
        start = bytes(self._rest) + chunk
        self._rest.clear()
        if len(start) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(start):
            self._rest += start
            return b""
        self._fresh = False
        return start.removeprefix(_BYTE_ORDER_MARK)


def _ends(data: bytes | bytearray, start: int) -> list[int]:
    """Where frames end in `data`; nothing is sought before `start`."""
    ends = [boundary.end() for boundary in _BOUNDARY.finditer(data, start)]
    # A CR at the very end may be the first half of a CRLF: wait for the other half.
    if ends and ends[-1] == len(data) and data.endswith(b"\r"):
        ends.pop()
    return ends


def data_of(frame: bytes) -> bytes | None:
    """The `data` of a frame: its data lines, joined with LF; None when it has none."""
    # What nearly every frame looks like: one line of data, or one of them after an event's name.
    if frame.startswith(b"data: "):
        if frame.find(b"\n") == len(frame) - 2 and b"\r" not in frame:
            return frame[6:-2]
    elif frame.startswith(b"event: "):
        start = frame.find(b"\n") + 1
        if (
            frame.startswith(b"data: ", start)
            and frame.find(b"\n", start) == len(frame) - 2
            and b"\r" not in frame
        ):
            return frame[start + 6 : -2]
    values = _values(frame, b"data")
    return b"\n".join(values) if values else None


def event_of(frame: bytes) -> bytes | None:
    """The name of a frame's event; None when it has none, or an empty one.

    Of several names the last one counts.
    """
    if frame.startswith(b"event: ") and frame.count(b"event") == 1 and b"\r" not in frame:
        return frame[7 : frame.find(b"\n")] or None
    names = _values(frame, b"event")
    return (names[-1] or None) if names else None


def encode(data: bytes, event: bytes | None = None) -> bytes:
    """A frame with this data, a line for each of its lines.

    Args:
        data: any bytes; CR and CRLF become LF.
        event: a name in one line.
    """
    head = b"" if event is None else b"event: " + event + b"\n"
    if b"\n" not in data and b"\r" not in data:
        return head + b"data: " + data + b"\n\n"
    return head + b"".join([b"data: " + line + b"\n" for line in _LINE_END.split(data)]) + b"\n"


def _values(frame: bytes, field: bytes) -> list[bytes]:
    """The values of all lines of one field."""
    values = []
    for line in _LINE_END.split(frame):
        name, _, value = line.partition(b":")
        if name == field:
            values.append(value.removeprefix(b" "))
    return values
