"""Just enough HTTP/1.1 to take a request apart with bytes operations.

It reads what a correct client sends, and refuses the rest; it must not know any route.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


class BadRequestError(ValueError):
    """The bytes are not a request that this server reads; the connection cannot go on."""


class Request(NamedTuple):
    """One request; `end` is where the next one starts in the buffer, `head` is in lower case."""

    method: bytes
    path: bytes
    body: bytes
    keep_alive: bool
    end: int
    head: bytes


def parse(buffer: bytes) -> Request | int:
    """Take the first request from `buffer`.

    Returns:
        The request, or the least number of bytes the buffer must hold before trying again.

    Raises:
        BadRequestError: When no more bytes could make a request of it.
    """
    head_end = buffer.find(b"\r\n\r\n")
    if head_end < 0:
        if len(buffer) > MAX_HEAD:
            raise BadRequestError("the head is too long")
        return len(buffer) + 1
    line_end = buffer.find(b"\r\n")
    words = buffer[:line_end].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise BadRequestError("not an HTTP/1 request line")
    head = buffer[line_end : head_end + 2].lower()
    start = head_end + 4
    length = header(head, b"content-length")
    if length is not None:
        if not length.isdigit() or int(length) > MAX_BODY:
            raise BadRequestError("bad content-length")
        end = start + int(length)
        if len(buffer) < end:
            return end
        body = buffer[start:end]
    elif header(head, b"transfer-encoding") is not None:
        parts = _dechunk(buffer, start)
        if isinstance(parts, int):
            return parts
        body, end = parts
    else:
        body, end = b"", start
    keep_alive = header(head, b"connection") != b"close" and words[2] == b"HTTP/1.1"
    return Request(words[0], words[1].partition(b"?")[0], body, keep_alive, end, head)


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a header in a request's head, in lower case as the head is."""
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    at += len(name) + 3
    return head[at : head.index(b"\r\n", at)].strip()


def _dechunk(buffer: bytes, at: int) -> tuple[bytes, int] | int:
    """Join the chunks from `at` on: the body and its end, or how many bytes are needed at least."""
    parts: list[bytes] = []
    while True:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return len(buffer) + 1
        try:
            size = int(buffer[at:line_end].partition(b";")[0], 16)
        except ValueError as error:
            raise BadRequestError("bad chunk size") from error
        if not 0 <= size <= MAX_BODY or line_end + size > MAX_HEAD + 2 * MAX_BODY:
            raise BadRequestError("the chunks are too long")
        if size == 0:
            break
        at = line_end + 2 + size + 2
        if len(buffer) < at:
            return at
        parts.append(buffer[line_end + 2 : at - 2])
    # Trailers end with an empty line; without any, the line follows the last chunk at once.
    end = buffer.find(b"\r\n\r\n", line_end)
    if end < 0:
        return len(buffer) + 1
    return b"".join(parts), end + 4
