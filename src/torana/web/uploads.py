"""Forms with files on their way in, and what every route of images and audio does around a call.

A form is read into an unnamed temporary file while it comes, so that its size costs no memory and
nothing stays behind, however the process ends. Nothing is admitted before it is there as a whole.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from flask import Response, current_app, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from torana.dialects.media import MediaDialect
from torana.dialects.uploads import FormField, FormFile, FormPart, Upload
from torana.errors import DiskFull, InvalidRequest, UnsupportedMediaType
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.offload import offload
from torana.web.calls import call_context, json_body
from torana.web.services import services

LIMIT_SETTING = "MAX_UPLOAD_BYTES"
MOST_BYTES = 100 * 1024 * 1024
"""The largest form where nobody has set another limit."""
MOST_PARTS = 128
MOST_TEXT = 1024 * 1024
"""Bytes of all texts of a form, and of the headers of a part."""
_PIECE = 64 * 1024
_BATCH = 1024 * 1024
_NAME_LENGTH = 200
_ANY_TYPE = "application/octet-stream"
_FORM = "multipart/form-data"


def answer_media(dialect: MediaDialect) -> Response:
    """Answer the present request as a call of a route that takes JSON, forms, or both."""
    inference = services(current_app).inference
    if dialect.takes_forms and (request.mimetype == _FORM or not dialect.takes_json):
        # What the provider answers with comes after it has had all of the form.
        with received_form() as upload:
            return _response(inference.answer(dialect, upload, call_context(dialect)))
    return _response(inference.answer(dialect, json_body(), call_context(dialect)))


def _response(answer: JsonAnswer | StreamAnswer) -> Response:
    headers = dict(answer.headers)
    kind = headers.pop("content-type", None)
    if isinstance(answer, JsonAnswer):
        return Response(answer.body, content_type=kind or "application/json", headers=headers)
    # nginx would collect the stream otherwise.
    headers |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return Response(
        answer.frames,
        content_type=kind or "text/event-stream; charset=utf-8",
        headers=headers,
        direct_passthrough=True,
    )


@contextmanager
def received_form() -> Iterator[Upload]:
    """The form of the present request, read to its end; its files last as long as the block.

    Raises:
        UnsupportedMediaType: it is none.
        RequestEntityTooLarge: it is larger than it may be, by its own words or by its bytes.
        InvalidRequest: it is malformed, or did not arrive whole.
        DiskFull: there is no room for it.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != _FORM or request.headers.get("content-encoding"):
        raise UnsupportedMediaType("Send the body as multipart/form-data without an encoding.")
    if not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise InvalidRequest("The form's content-type has no boundary.")
    limit = current_app.config.get(LIMIT_SETTING, MOST_BYTES)
    request.max_content_length = limit  # For the words of a refusal.
    if (request.content_length or 0) > limit:
        raise RequestEntityTooLarge
    spool = _Spool(services(current_app).settings.data_dir)
    try:
        yield _read(spool, boundary.encode(), limit)
    finally:
        spool.close()


def _read(spool: _Spool, boundary: bytes, limit: int) -> Upload:
    decoder = MultipartDecoder(boundary, MOST_TEXT, max_parts=MOST_PARTS)
    form = _Form(spool)
    size = 0
    for piece in _pieces():
        size += len(piece)
        if size > limit:
            raise RequestEntityTooLarge
        _feed(decoder, piece, form)
    _feed(decoder, None, form)
    return Upload(parts=tuple(form.finished()), size=size, digest=form.digest.hexdigest())


def _pieces() -> Iterator[bytes]:
    """The body of the present request as it comes.

    Raises:
        InvalidRequest: it ended early.
    """
    stream = request.environ["wsgi.input"]
    expected = request.content_length
    size = 0
    while True:
        try:
            piece = stream.read(_PIECE)
        except (OSError, ParseException):
            # What gunicorn raises for chunks that are none, and for a caller who stops.
            raise InvalidRequest("The body could not be read to its end.") from None
        if not piece:
            break
        size += len(piece)
        yield piece
    if expected is not None and size < expected:
        raise InvalidRequest("The body could not be read to its end.")


def _feed(decoder: MultipartDecoder, piece: bytes | None, form: _Form) -> None:
    try:
        decoder.receive_data(piece)
        while True:
            event = decoder.next_event()
            if isinstance(event, (NeedData, Epilogue)):
                return
            if isinstance(event, (Field, File)):
                form.begin(event)
            elif isinstance(event, Data):
                form.add(event.data)
    except (ValueError, UnicodeDecodeError, AttributeError):
        raise InvalidRequest("The body is not a form as its content-type says.") from None


class _Form:
    """The parts of a form, as far as they have come."""

    def __init__(self, spool: _Spool) -> None:
        self.digest = hashlib.sha256()
        self._spool = spool
        self._parts: list[FormPart] = []
        self._open: Field | File | None = None
        self._text = bytearray()
        self._texts = 0
        self._start = 0

    def begin(self, event: Field | File) -> None:
        """Another part begins."""
        self._finish()
        if not event.name or len(event.name) > _NAME_LENGTH:
            raise InvalidRequest("A field of the form has no name, or too long a one.")
        self._open = event
        self._start = self._spool.size
        told = (event.name, getattr(event, "filename", ""), event.headers.get("content-type", ""))
        self.digest.update(repr(told).encode("utf-8", "surrogatepass"))

    def add(self, data: bytes) -> None:
        """More of the part that is open."""
        self.digest.update(data)
        if isinstance(self._open, File):
            self._spool.append(data)
            return
        self._texts += len(data)
        if self._texts > MOST_TEXT:
            raise RequestEntityTooLarge
        self._text += data

    def finished(self) -> list[FormPart]:
        """All parts."""
        self._finish()
        self._spool.flush()
        return self._parts

    def _finish(self) -> None:
        event, self._open = self._open, None
        if isinstance(event, Field):
            self._parts.append(FormField(event.name, bytes(self._text)))
            self._text.clear()
        elif event is not None:
            size = self._spool.size - self._start
            # So that no part can be moved to the end of the one before.
            self.digest.update(size.to_bytes(8, "big"))
            self._parts.append(
                FormFile(
                    name=event.name,
                    filename=event.filename[-_NAME_LENGTH:],
                    content_type=_content_type(event.headers.get("content-type")),
                    size=size,
                    read=partial(self._spool.read, self._start, size),
                )
            )


def _content_type(value: str | None) -> str:
    if value is None or len(value) > _NAME_LENGTH or not (value.isascii() and value.isprintable()):
        return _ANY_TYPE
    return value


class _Spool:
    """An unnamed file in the data folder: the system takes it away with the process at the latest.

    Written from its beginning on, in large pieces; read at any place, by several at once.
    """

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self._waiting = bytearray()
        self._file: BinaryIO = offload(tempfile.TemporaryFile, "wb+", 0, dir=folder)

    def append(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            DiskFull: there is no room for them.
        """
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits to be written."""
        data = bytes(self._waiting)
        self._waiting.clear()
        try:
            while data:
                data = data[offload(self._file.write, data) :]
        except OSError as error:
            raise DiskFull("There is no room for the upload.", retry_after=5) from error

    def read(self, start: int, size: int, offset: int, most: int) -> bytes:
        """Bytes of a part.

        Args:
            start: where the part begins.
            size: of the part.
            offset: from its beginning.
            most: so many at most.
        """
        wanted = max(min(most, size - offset), 0)
        return offload(os.pread, self._file.fileno(), wanted, start + offset)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
