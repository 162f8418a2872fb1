"""Rows into files: CSV, JSON lines and Parquet, some rows at a time, so that memory stays flat.

pandas and pyarrow take over a second to import, so only what needs them does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeAlias

import click
import orjson

from torana.errors import InvalidRequest

Kind: TypeAlias = Literal["text", "integer", "boolean", "instant", "json"]
Columns: TypeAlias = Mapping[str, Kind]
"""The names of a file's columns, with what they hold."""
FORMATS = ("csv", "jsonl", "parquet")


class Writer(Protocol):
    """Where rows go."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what is left."""


@contextmanager
def opened(form: str, out: str | None, columns: Columns) -> Iterator[Writer]:
    """A writer for the length of a `with` block; a file appears when all of it is written.

    Args:
        form: one of `FORMATS`.
        out: the file; None for stdout, which can't be Parquet.
        columns: of the rows.

    Raises:
        InvalidRequest: the file is missing or can't be written.
    """
    if out is None:
        if form == "parquet":
            raise InvalidRequest("Parquet is no text.", hint="Name a file with --out FILE.")
        writer = _writer(form, None, columns)
        yield writer
        writer.close()
        return
    path = Path(out)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            writer = _writer(form, file, columns)
            yield writer
            writer.close()
        part.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidRequest(f"{out} can't be written: {reason}.", param="out") from error
    finally:
        part.unlink(missing_ok=True)


def _writer(form: str, file: IO[bytes] | None, columns: Columns) -> Writer:
    if form == "csv":
        return _Csv(file, columns)
    if form == "jsonl":
        return _JsonLines(file, columns)
    if file is None:
        message = "Parquet needs a file"
        raise ValueError(message)
    return _Parquet(file, columns)


class _JsonLines:
    def __init__(self, file: IO[bytes] | None, columns: Columns) -> None:
        self._file = file
        self._columns = columns

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        names = self._columns
        _put(self._file, b"".join(orjson.dumps(_plain(row, names)) + b"\n" for row in rows))

    def close(self) -> None:
        """Nothing is left."""


class _Csv:
    def __init__(self, file: IO[bytes] | None, columns: Columns) -> None:
        import pandas as pd  # noqa: PLC0415

        self._frame = pd.DataFrame
        self._file = file
        self._columns = columns
        self._head = True

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        texts = [_flat(row, self._columns) for row in rows]
        # Of dtype object: a column of numbers with gaps would become one of floats.
        frame = self._frame(texts, columns=list(self._columns), dtype=object)
        text = frame.to_csv(index=False, header=self._head, lineterminator="\n")
        self._head = False
        _put(self._file, text.encode())

    def close(self) -> None:
        if self._head:
            self.write([])


class _Parquet:
    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        import pandas as pd  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        types: dict[str, Any] = {
            "text": pa.string(),
            "integer": pa.int64(),
            "boolean": pa.bool_(),
            "instant": pa.timestamp("us", tz="UTC"),
            "json": pa.string(),
        }
        self._frame = pd.DataFrame
        self._table = pa.Table
        self._columns = columns
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        values = [
            {
                name: _json(row[name]) if kind == "json" else row[name]
                for name, kind in self._columns.items()
            }
            for row in rows
        ]
        frame = self._frame(values, columns=list(self._columns), dtype=object)
        table = self._table.from_pandas(frame, schema=self._schema, preserve_index=False)
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


def _put(file: IO[bytes] | None, data: bytes) -> None:
    if file is None:
        click.echo(data.decode(), nl=False)
    else:
        file.write(data)


def _plain(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    return {
        name: instant_text(row[name]) if kind == "instant" else row[name]
        for name, kind in columns.items()
    }


def _flat(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    plain = _plain(row, columns)
    return {
        name: _json(value) if columns[name] == "json" else value for name, value in plain.items()
    }


def instant_text(value: datetime | None) -> str | None:
    """With all microseconds: rounded, it would name another instant."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
