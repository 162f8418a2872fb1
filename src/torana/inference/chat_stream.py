"""A streamed answer on its way to the caller.

An iterator of bytes with `close`, as WSGI wants it. Frames leave as they come. Before the last one
the call is posted; a cut or an error becomes an error event, never a faked finish. A class and not
a generator, because `close` must settle the call even when nobody ever took the first frame.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from torana.core.usage import Usage
from torana.dialects.base import WireFold
from torana.dialects.sse import FrameSplitter, FrameTooLargeError, data_of
from torana.errors import (
    CallerGone,
    InternalError,
    ToranaError,
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
)
from torana.inference.keeping import Keeping, StreamKeeping
from torana.inference.open_call import OpenCall
from torana.outbound.client import Answer

logger = logging.getLogger("torana.call")

_CUT = "The provider's answer ended in the middle."
_RELEASE_SECONDS = 0.5
"""How long a provider gets to close its answer after its last frame, so that the connection is
reused."""
PING_SECONDS = 15.0
"""After so long a silence of the provider the caller is told that its connection lives; proxies and
some clients give up a connection that says nothing for a minute."""


class ChatStream:
    """The frames for the caller, and what must happen around them.

    Args:
        call: the open call; this stream settles it.
        answer: the provider's answer, status and headers read.
        fold: looks at the frames as they pass.
        keeping: collects what is to be kept of it.
        ping_seconds: how long the provider may be silent before the caller gets a sign of life.
    """

    def __init__(
        self,
        call: OpenCall,
        answer: Answer,
        fold: WireFold,
        *,
        keeping: StreamKeeping | None = None,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self._call = call
        self._ping_seconds = ping_seconds
        self._spoke_at = time.monotonic()
        self._keeping = keeping or StreamKeeping(Keeping(), {})
        self._answer = answer
        self._fold = fold
        self._chunks = answer.chunks(silence=ping_seconds)
        self._splitter = FrameSplitter()
        self._ending = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next bytes for the caller.

        Raises:
            StopIteration: the stream is over, and the call is posted.
        """
        if self._call.settled:
            raise StopIteration
        try:
            ready = b"" if self._ending else self._next_frames()
            last = b"" if ready else self._succeed()
        except ToranaError as error:
            return self._fail(error)
        except Exception:
            logger.exception("call.broken", extra={"request_id": self._call.request_id})
            return self._fail(InternalError("Torana failed in the middle of the answer."))
        if self._call.gone():
            if not self._call.settled:
                self._drain()
            # A caller that has only closed its sending side still reads: no finish is faked.
            return self._fold.error(CallerGone("The caller hung up."))
        self._spoke_at = time.monotonic()
        return ready or last

    def close(self) -> None:
        """The server is done with this answer, to its end or because the caller went away."""
        try:
            if not self._call.settled:
                self._call.caller_left()
                self._drain()
            if self._fold.done:
                self._release()
        finally:
            self._keeping.leave()
            self._answer.close()

    def _next_frames(self) -> bytes:
        """What the next chunks of the provider hold for the caller; empty at the end."""
        for chunk in self._chunks:
            if not chunk:
                return self._fold.ping()
            self._call.first_byte()
            ready = self._pass_on(self._frames_in(chunk))
            if self._fold.done:
                self._ending = True
                return ready
            if ready or time.monotonic() - self._spoke_at >= self._ping_seconds:
                # What the provider says may be nothing in the caller's dialect.
                return ready or self._fold.ping()
        self._ending = True
        ready = self._pass_on(self._splitter.finish()) + self._pass_on_rest()
        if not self._fold.finished:
            raise UpstreamCut(_CUT)
        return ready

    def _pass_on_rest(self) -> bytes:
        """The last frame, where a provider leaves out the empty line that ends it.

        Raises:
            UpstreamCut: it is half of one.
        """
        rest = self._splitter.rest.strip()
        if not rest:
            return b""
        try:
            if data_of(rest) is not None:
                return self._pass_on([rest + b"\n\n"])
        except UpstreamGarbage as error:
            raise UpstreamCut(_CUT) from error
        raise UpstreamCut(_CUT)

    def _frames_in(self, chunk: bytes) -> list[bytes]:
        try:
            return self._splitter.feed(chunk)
        except FrameTooLargeError as error:
            raise UpstreamGarbage("The provider sent an event without end.") from error

    def _pass_on(self, frames: list[bytes]) -> bytes:
        fold = self._fold
        out = []
        for frame in frames:
            out.append(fold.pass_on(frame, data_of(frame)))
            if fold.done:
                break
        ready = b"".join(out)
        self._keeping.add(ready)
        return ready

    def _fail(self, error: ToranaError) -> bytes:
        cause = self._call.cause_of(error)
        self._answer.close()
        if not self._call.settled:
            self._post_failure(cause, self._usage_told(error))
        return self._fold.error(cause)

    def _drain(self) -> None:
        """The caller has gone: read on to the usage, as far as policy and provider allow.

        The watch on the caller's connection ends this when its time is up.
        """
        try:
            while not self._ending:
                self._next_frames()
        except Exception as error:
            cause: ToranaError = CallerGone("The caller hung up.")
            if isinstance(error, ToranaError):
                stopped = self._call.cause_of(error)
                cause = cause if stopped is error else stopped
            else:
                logger.exception("call.broken", extra={"request_id": self._call.request_id})
            self._post_failure(cause, self._usage_told(error))
        else:
            self._succeed()

    def _usage_told(self, error: Exception) -> Usage | None:
        """What an answer that failed has used, if its provider has told all of it."""
        if isinstance(error, UpstreamError) and error.usage is not None:
            return error.usage
        return self._fold.usage

    def _post_failure(self, error: ToranaError, usage: Usage | None) -> None:
        fold = self._fold
        self._call.fail(error, usage=usage, billable=True, visible=fold.visible, lost=fold.lost)

    def _succeed(self) -> bytes:
        """Post the call, with its answer if that is to be kept; the caller's last bytes."""
        fold = self._fold
        last = fold.end()
        sealed = self._keeping.finish(last)
        response = self._keeping.response(fold.kept)
        self._call.succeed(fold.usage, answer=sealed, response=response, lost=fold.lost)
        self._keeping.share()
        return last

    def _release(self) -> None:
        """Read the provider's closing bytes, so that its connection can be used again."""
        exchange = self._call.exchange
        exchange.deadline = min(exchange.deadline, time.monotonic() + _RELEASE_SECONDS)
        try:
            for _ in self._chunks:
                pass
        except ToranaError:
            return  # It is closed instead of reused.
