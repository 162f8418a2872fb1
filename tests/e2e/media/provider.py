"""A provider of images, audio, moderations and rerankings that does what a test tells it."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from werkzeug.formparser import parse_form_data

from tests.contract.fake_upstream import FakeUpstream, Seen, Turn


@dataclass(frozen=True)
class SentFile:
    """A file as the provider got it."""

    name: str
    filename: str
    content_type: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SentForm:
    """A form as the provider got it."""

    fields: list[tuple[str, str]]
    files: list[SentFile]


def form_of(request: Seen) -> SentForm:
    """The form in a request."""
    environment = {
        "wsgi.input": io.BytesIO(request.body),
        "CONTENT_LENGTH": str(len(request.body)),
        "CONTENT_TYPE": request.headers["content-type"],
        "REQUEST_METHOD": "POST",
    }

    def memory(*_told: object, **_more: object) -> io.BytesIO:
        return io.BytesIO()

    _, fields, files = parse_form_data(environment, memory, silent=False)
    found = []
    for name, stored in files.items(multi=True):
        data = stored.read()
        digest = hashlib.sha256(data).hexdigest()
        found.append(
            SentFile(name, stored.filename or "", stored.content_type or "", len(data), digest)
        )
    return SentForm(list(fields.items(multi=True)), found)


class MediaUpstream(FakeUpstream):
    """The fake of the chat routes, which also reads forms."""

    def play(self, turn: Turn) -> None:
        """Answer a call."""
        if not turn.request.headers.get("content-type", "").startswith("multipart/form-data"):
            super().play(turn)
            return
        model = dict(form_of(turn.request).fields)["model"]
        self._seen.setdefault(model, []).append(turn.request)
        try:
            self._scripts[model](turn)
        except OSError:
            raise
        except BaseException as problem:
            self.problems.append(problem)
            raise


@contextmanager
def media_upstream() -> Iterator[MediaUpstream]:
    """A running fake; a script that broke fails the session at its end."""
    upstream = MediaUpstream()
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()
    assert not upstream.problems, upstream.problems


def chunked(turn: Turn, data: bytes) -> None:
    """Send a chunk of a body."""
    turn.write(b"%x\r\n%b\r\n" % (len(data), data))


def speak(turn: Turn, *pieces: bytes, kind: str = "audio/mpeg") -> None:
    """Answer with audio, piece by piece."""
    turn.head(content_type=kind, transfer_encoding="chunked")
    for piece in pieces:
        chunked(turn, piece)
    turn.write(b"0\r\n\r\n")


def recording(seconds: float, *, rate: int = 8_000) -> bytes:
    """A WAV file of a tone."""
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(
            b"".join(
                struct.pack("<h", int(8_000 * math.sin(place / 4)))
                for place in range(int(seconds * rate))
            )
        )
    return made.getvalue()
