"""A stream that is read in one dialect and written in another."""

from __future__ import annotations

from collections.abc import Callable

from torana.core.chat import ChatReply
from torana.core.events import ArgumentsGrew, Event, Fold, Lost, TextGrew, UsageTold
from torana.dialects.base import StreamReader, StreamWriter, WireFold, lost_of
from torana.errors import ToranaError


class TranslatedFold(WireFold):
    """Joins a provider's reader to a caller's writer.

    Args:
        reader: of the provider's dialect.
        writer: of the caller's.
        keeps_text: whether to remember the text that passes.
        events: what the events pass through on their way to the caller.
        judge: names what a whole reply lacks that its caller wanted, known at its end only.
    """

    def __init__(
        self,
        reader: StreamReader,
        writer: StreamWriter,
        *,
        keeps_text: bool = False,
        events: Callable[[Event], list[Event]] | None = None,
        judge: Callable[[ChatReply], str | None] | None = None,
    ) -> None:
        self._events = events
        self._judge = judge
        self._whole = Fold() if judge is not None else None
        self._reader = reader
        self._writer = writer
        self._texts: list[str] | None = [] if keeps_text else None
        self._lost: list[str] = []

    @property
    def finished(self) -> bool:
        """See `WireFold`."""
        return self._reader.finished

    @property
    def visible(self) -> str | None:
        """See `WireFold`."""
        return None if self._texts is None else "".join(self._texts)

    @property
    def kept(self) -> bytes | None:
        """See `WireFold`."""
        return self._writer.kept

    @property
    def lost(self) -> tuple[str, ...]:
        """What either side could not hold."""
        return lost_of(*self._lost, *self._writer.lost)

    def pass_on(self, frame: bytes, data: bytes | None) -> bytes:
        """The caller's frames for one of the provider's."""
        if not data:
            # A comment: the provider says that it lives, and so do we.
            return self._writer.ping() if frame.strip() else b""
        written = b"".join([self._write(event) for event in self._reader.read(data)])
        self.done = self._reader.done
        return written

    def end(self) -> bytes:
        """The caller's last frames, with what the reader had held back."""
        held = b"".join([self._write(event) for event in self._reader.finish()])
        if self._judge is not None and self._whole is not None:
            lacking = self._judge(self._whole.reply())
            self._lost += [] if lacking is None else [lacking]
        return held + self._writer.end()

    def error(self, error: ToranaError) -> bytes:
        """See `WireFold`."""
        return self._writer.error(error)

    def ping(self) -> bytes:
        """See `WireFold`."""
        return self._writer.ping()

    def _write(self, event: Event) -> bytes:
        if isinstance(event, UsageTold):
            self.usage = event.usage
        elif self._texts is not None and isinstance(event, (TextGrew, ArgumentsGrew)):
            self._texts.append(event.text)  # As the provider has written and billed it.
        if self._events is None:
            return self._say(event)
        return b"".join([self._say(one) for one in self._events(event)])

    def _say(self, event: Event) -> bytes:
        """The caller's frames for an event that the caller may see."""
        if self._whole is not None:
            self._whole.add(event)
        if isinstance(event, Lost):
            self._lost.append(event.name)
        return self._writer.write(event)
