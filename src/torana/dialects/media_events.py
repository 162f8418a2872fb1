"""Streams of events of images and audio: they pass as they come, and the last one waits.

Their events name their kind in the data (`image_generation.completed`), and the last of a piece
tells its usage. It is held back until there is another, so that the very last one is sent once the
call is posted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from torana.core.usage import CLASSES, Usage
from torana.dialects.base import WireFold
from torana.dialects.openai_chat.streams import DONE, PING, encode_error_event
from torana.dialects.wire import BAD_JSON
from torana.errors import ToranaError, UpstreamGarbage


class Event(msgspec.Struct):
    """An event of a stream, as far as all of them are read."""

    type: str = ""
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(Event)


class EventFold(WireFold):
    """Looks at the events of a stream as they pass.

    Args:
        last: kinds of events that end a piece of the answer.
        usage_of: reads such an event.

    Attributes:
        accepts: whether a usage tells what the call costs; else there is none.
    """

    def __init__(self, *, last: Collection[str], usage_of: Callable[[Event], Usage | None]) -> None:
        self.accepts: Callable[[Usage], bool] = lambda _: True
        self._last = frozenset(last)
        self._usage_of = usage_of
        self._usage: Usage | None = None
        self._held = b""
        self._ended = False
        self._untold = False

    @property
    def usage(self) -> Usage | None:  # type: ignore[override]
        """The usage of all pieces that have ended; None when one did not tell it."""
        if self._usage is None or self._untold or not self.accepts(self._usage):
            return None
        return self._usage

    @property
    def finished(self) -> bool:
        """Whether the last event that has come ends a piece."""
        return self.done or self._ended

    @property
    def visible(self) -> str | None:
        """Never remembered: what passes is no text that could be counted."""
        return None

    def pass_on(self, frame: bytes, data: bytes | None) -> bytes:
        """What the caller gets for a frame: what was held back, and the frame unless it waits.

        Raises:
            UpstreamGarbage: the data is no event, or is an error of the provider.
        """
        if not data:
            return frame
        if data == DONE:
            self.done = True
            self._held += frame
            return b""
        try:
            event = _decoder.decode(data)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not an event.") from error
        if event.type == "error" or bytes(event.error) != b"null":
            raise UpstreamGarbage("The provider reported an error in the middle of its answer.")
        waited, self._held = self._held, b""
        self._ended = event.type in self._last
        if not self._ended:
            return waited + frame
        self._add(self._usage_of(event))
        self._held = frame
        return waited

    def end(self) -> bytes:
        """What was held back."""
        return self._held

    def error(self, error: ToranaError) -> bytes:
        """An error after the first byte: the SDKs raise it, and nothing fakes a finish."""
        return encode_error_event(error)

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def _add(self, usage: Usage | None) -> None:
        if usage is None:
            self._untold = True
            return
        before = self._usage or Usage()
        self._usage = Usage(
            **{name: getattr(before, name) + getattr(usage, name) for name in CLASSES}
        )
