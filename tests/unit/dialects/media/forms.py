"""Forms for tests, with their files in memory."""

from __future__ import annotations

import hashlib

from torana.dialects.uploads import FormField, FormFile, FormPart, Upload


def file(name: str, data: bytes, *, filename: str = "a.bin", kind: str = "audio/mpeg") -> FormFile:
    """A file."""
    return FormFile(
        name=name,
        filename=filename,
        content_type=kind,
        size=len(data),
        read=lambda offset, most: data[offset : offset + most],
    )


def form(*files: FormFile, **texts: str) -> Upload:
    """A form of texts and files; `__` in a name becomes `[]`."""
    fields: list[FormPart] = [
        FormField(name.replace("__", "[]"), text.encode()) for name, text in texts.items()
    ]
    return made_of(*fields, *files)


def made_of(*parts: FormPart) -> Upload:
    """A form of these parts."""
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    return Upload(parts=parts, size=1000, digest=digest)
