"""Forms with files, as callers upload them and providers take them.

Pure: whoever has the bytes of a file lends a function that reads them. A form is read into its
parts once, what it asks for is read from those, and what is sent on is written from them anew:
nothing that Torana has not seen reaches a provider.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeAlias

import msgspec

from torana.dialects import wire
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

PIECE = 256 * 1024
"""Bytes of a file that are in memory at once."""
_NAME_LENGTH = 80


class FormField(msgspec.Struct, frozen=True):
    """A part that is a text."""

    name: str
    value: bytes


class FormFile(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is a file.

    Attributes:
        size: in bytes.
        read: gives the bytes from an offset on, at most so many; may be called again and again.
    """

    name: str
    filename: str
    content_type: str
    size: int
    read: Callable[[int, int], bytes]


FormPart: TypeAlias = FormField | FormFile


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A form as it was read to its end.

    Attributes:
        parts: in their order.
        size: bytes of the body.
        digest: SHA-256 of names, headers and contents, in hex: what tells one form from another.
    """

    parts: tuple[FormPart, ...]
    size: int
    digest: str

    def files(self, *names: str) -> list[FormFile]:
        """The files, all or those of some fields; `image` also stands for `image[]`."""
        return [
            part
            for part in self.parts
            if isinstance(part, FormFile) and (not names or field_of(part.name) in names)
        ]


class UploadRequest(WireRequest, frozen=True, kw_only=True):
    """A request that came as a form.

    `fields` has its texts as JSON strings or lists of them, and in the place of each file the
    digest of the form. Who changes a text changes it there.
    """

    upload: Upload

    @property
    def parts(self) -> Iterator[FormPart]:
        """The parts as they are sent on: files as they came, texts as `fields` has them."""
        lists: dict[str, Iterator[str]] = {}
        for part in self.upload.parts:
            if isinstance(part, FormFile):
                yield part
                continue
            value = self.fields.get(part.name)
            if value is None:
                continue
            text = msgspec.json.decode(value, type=str | list[str])
            if isinstance(text, list):
                text = next(lists.setdefault(part.name, iter(text)), "")
            yield FormField(part.name, text.encode("utf-8", "surrogatepass"))


def field_of(name: str) -> str:
    """The field that a part belongs to: `include[]` and `chunking_strategy[type]` are of theirs."""
    return name.partition("[")[0]


def texts_of(upload: Upload, *, repeated: Iterable[str] = ()) -> dict[str, msgspec.Raw]:
    """The texts of a form by their names, as JSON.

    Args:
        upload: the form.
        repeated: names of files that may come more than once. So may any name that ends in `[]`.

    Raises:
        InvalidRequest: a field is there twice, or is no text.
    """
    once: dict[str, msgspec.Raw] = {}
    lists: dict[str, list[str]] = {}
    seen: set[str] = set()
    many = frozenset(repeated)
    for part in upload.parts:
        name = part.name
        if not name.endswith("[]"):
            if name in seen and name not in many:
                raise InvalidRequest(
                    f"The field {name[:_NAME_LENGTH]!r} occurs twice.", param=name[:_NAME_LENGTH]
                )
            seen.add(name)
        if isinstance(part, FormFile):
            continue
        try:
            text = part.value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(
                f"The field {name[:_NAME_LENGTH]!r} is not UTF-8.", param=name[:_NAME_LENGTH]
            ) from None
        if name.endswith("[]"):
            lists.setdefault(name, []).append(text)
        else:
            once[name] = wire.raw(text)
    return once | {name: wire.raw(texts) for name, texts in lists.items()}


class FormBody:
    """A form on its way to a provider, with another name of the model; read anew for every try.

    Args:
        request: its texts and files.
        model: the provider's name of the model.
        dropped: names of fields that the provider would refuse.

    Attributes:
        length: in bytes.
        content_type: with the boundary between the parts.
    """

    def __init__(
        self, request: UploadRequest, *, model: str, dropped: Collection[str] = ()
    ) -> None:
        # No file holds its own digest, so no file can end a part.
        boundary = f"torana-{request.upload.digest}"
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._pieces: list[bytes | FormFile] = []
        left_out = {"model", *dropped}
        parts = [part for part in request.parts if part.name not in left_out]
        for part in (FormField("model", model.encode()), *parts):
            self._pieces.append(_head(part, boundary))
            self._pieces.append(part.value if isinstance(part, FormField) else part)
            self._pieces.append(b"\r\n")
        self._pieces.append(f"--{boundary}--\r\n".encode())
        self.length = sum(
            piece.size if isinstance(piece, FormFile) else len(piece) for piece in self._pieces
        )

    def open(self) -> Iterator[bytes]:
        """The bytes from the beginning on."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            offset = 0
            while offset < piece.size:
                data = piece.read(offset, min(PIECE, piece.size - offset))
                if not data:
                    message = "an uploaded file has become shorter"
                    raise OSError(message)
                offset += len(data)
                yield data


def _head(part: FormPart, boundary: str) -> bytes:
    lines = [f"--{boundary}", f'Content-Disposition: form-data; name="{_quoted(part.name)}"']
    if isinstance(part, FormFile):
        lines[1] += f'; filename="{_quoted(part.filename)}"'
        lines.append(f"Content-Type: {part.content_type}")
    return "\r\n".join([*lines, "", ""]).encode()


def _quoted(text: str) -> str:
    """A name as the HTML standard writes it in a form."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
