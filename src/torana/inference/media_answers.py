"""Answers of images, audio, moderations and rerankings: JSON, text, audio as it comes, events.

Beside `answers` and `chat_stream`, which know conversations. A usage that has no unit which the
price knows is none; then the call costs its bound.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator

from torana.core.money import format_usd, measures
from torana.core.usage import Usage
from torana.dialects.media import Form, MediaDialect
from torana.dialects.media_events import EventFold
from torana.errors import CallerGone, InternalError, ToranaError, UpstreamError, UpstreamGarbage
from torana.inference.answers import (
    JsonAnswer,
    StreamAnswer,
    answer_headers,
    cache_header,
    dropped_header,
    kept_headers,
    shown_model,
)
from torana.inference.chat_stream import ChatStream
from torana.inference.idempotency import StoredAnswer
from torana.inference.keeping import Keeping, StreamKeeping
from torana.inference.open_call import OpenCall
from torana.inference.planning import Plan
from torana.outbound.client import Answer
from torana.providers import Provider

logger = logging.getLogger("torana.call")

ANSWER_LIMIT = 64 * 1024 * 1024
"""A whole answer is held in memory; ten images in base64 are less."""
CONTENT_TYPE = "content-type"
_JSON, _EVENTS, _ANY = "application/json", "text/event-stream", "application/octet-stream"
_PASSED = re.compile(
    r"(?:audio|text)/[\w.+-]+(?:; ?charset=[\w-]+)?|application/[\w.+-]+", re.ASCII
)
"""Types that are told to callers as the provider tells them."""


def media_answer(
    call: OpenCall, answer: Answer, plan: Plan, provider: Provider, keeping: Keeping
) -> JsonAnswer | StreamAnswer:
    """Answer a call whose caller speaks a `MediaDialect`.

    Raises:
        UpstreamError: the answer broke before its first byte, or is none; the call is not posted.
    """
    dialect = plan.wire.dialect
    if not isinstance(dialect, MediaDialect):
        message = f"{dialect.route} has no answers of media"
        raise TypeError(message)
    try:
        form = dialect.form(plan.wire.request)
        kind = _kind_of(answer)
        if form is Form.BINARY:
            return _audio(call, answer, plan, dialect, keeping)
        if kind.startswith(_EVENTS) and form is Form.EVENTS:
            return _events(call, answer, plan, dialect, keeping)
    except BaseException:
        answer.close()
        raise
    # A model without streams answers as if none had been asked for.
    return _whole(call, answer, plan, dialect, provider, keeping)


def _whole(
    call: OpenCall,
    answer: Answer,
    plan: Plan,
    dialect: MediaDialect,
    provider: Provider,
    keeping: Keeping,
) -> JsonAnswer:
    headers = _headers(call, plan)
    kind = _kind_of(answer)
    try:
        body = answer.read(ANSWER_LIMIT)
        call.first_byte()
    finally:
        answer.close()
    if dialect.form(plan.wire.request) is Form.TEXT and not kind.startswith(_JSON):
        usage = dialect.used(plan.wire.request)
        headers[CONTENT_TYPE] = kind
    else:
        parsed = dialect.decode_answer(body, model=shown_model(plan, provider))
        body, usage = parsed.body, parsed.usage
        headers[CONTENT_TYPE] = _JSON
    usage = _priced(call, usage)
    headers["x-torana-cost-usd"] = format_usd(call.cost_of(usage))
    stored = StoredAnswer(body, kept_headers(headers), streamed=False)
    call.succeed(usage, answer=None if keeping.seal is None else keeping.seal(stored))
    if keeping.lead is not None:
        keeping.lead.keep(stored)
    return JsonAnswer(body, headers | cache_header(keeping))


def _events(
    call: OpenCall, answer: Answer, plan: Plan, dialect: MediaDialect, keeping: Keeping
) -> StreamAnswer:
    headers = _headers(call, plan)
    fold = dialect.fold(plan.wire.asked, request_id=call.request_id)
    if isinstance(fold, EventFold):
        fold.accepts = lambda usage: _priced(call, usage) is not None
    stream = ChatStream(call, answer, fold, keeping=StreamKeeping(keeping, kept_headers(headers)))
    return StreamAnswer(stream, headers | cache_header(keeping))


def _audio(
    call: OpenCall, answer: Answer, plan: Plan, dialect: MediaDialect, keeping: Keeping
) -> StreamAnswer:
    headers = _headers(call, plan) | {CONTENT_TYPE: _kind_of(answer)}
    usage = _priced(call, dialect.used(plan.wire.request))
    stream = BinaryStream(
        call, answer, usage, keeping=StreamKeeping(keeping, kept_headers(headers))
    )
    stream.start()
    return StreamAnswer(stream, headers | cache_header(keeping))


def _headers(call: OpenCall, plan: Plan) -> dict[str, str]:
    return answer_headers(call, plan) | dropped_header(plan.wire.lost)


def _priced(call: OpenCall, usage: Usage | None) -> Usage | None:
    """A usage, unless the call's price knows none of its units."""
    if usage is None or call.price is None or measures(usage, call.price):
        return usage
    return None


def _kind_of(answer: Answer) -> str:
    kind = answer.headers.get(CONTENT_TYPE, "").strip()
    return kind if _PASSED.fullmatch(kind) else _ANY


class BinaryStream:
    """Audio on its way to the caller, as it comes.

    Its last byte is sent once the call is posted. There is no place for an error in the middle of
    audio: a cut is told by ending the connection without a finish.

    Args:
        call: the open call; this stream settles it.
        answer: the provider's answer, status and headers read.
        usage: of a whole answer; None costs the bound.
        keeping: collects what is to be kept of it.
    """

    def __init__(
        self,
        call: OpenCall,
        answer: Answer,
        usage: Usage | None,
        *,
        keeping: StreamKeeping,
    ) -> None:
        self._call = call
        self._answer = answer
        self._usage = usage
        self._keeping = keeping
        self._chunks = answer.chunks()
        self._ready = b""
        self._held = b""

    def start(self) -> None:
        """Wait for the first bytes, so that what fails before them is told as an error.

        Raises:
            UpstreamError: nothing came; the call is not posted yet.
        """
        self._ready = self._chunk()
        if not self._ready:
            raise UpstreamGarbage("The provider's answer is empty.")
        self._call.first_byte()
        self._keeping.add(self._ready)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next bytes for the caller.

        Raises:
            StopIteration: the audio is over, and the call is posted.
            ConnectionResetError: it was cut; the server ends the connection.
        """
        if self._call.settled:
            raise StopIteration
        try:
            ready = self._next_bytes()
        except Exception as error:
            self._fail(error)
            raise ConnectionResetError(errno.ECONNRESET, "the answer was cut") from error
        if self._call.gone():
            if not self._call.settled:
                self._drain()
            raise ConnectionResetError(errno.ECONNRESET, "the caller hung up")
        return ready

    def close(self) -> None:
        """The server is done with this answer, to its end or because the caller went away."""
        try:
            if not self._call.settled:
                self._call.caller_left()
                self._drain()
        finally:
            self._keeping.leave()
            self._answer.close()

    def _next_bytes(self) -> bytes:
        """What may be sent now: all but the last byte, and that at the end, after the posting."""
        while True:
            chunk, self._ready = self._ready, b""
            if not chunk:
                chunk = self._chunk()
                self._keeping.add(chunk)
            if not chunk:
                self._succeed()
                return self._held
            data = self._held + chunk
            self._held = data[-1:]
            if len(data) > 1:
                return data[:-1]

    def _chunk(self) -> bytes:
        """What comes next; empty at the end."""
        return next((chunk for chunk in self._chunks if chunk), b"")

    def _succeed(self) -> None:
        sealed = self._keeping.finish(b"")
        self._call.succeed(self._usage, answer=sealed)
        self._keeping.share()

    def _drain(self) -> None:
        """The caller has gone: read on to the end, as far as policy and provider allow.

        The watch on the caller's connection ends this when its time is up.
        """
        try:
            while not self._call.settled:
                self._next_bytes()
        except Exception as error:  # noqa: BLE001 -- `_fail` tells which, and posts the call
            self._fail(error, gone=True)

    def _fail(self, error: Exception, *, gone: bool = False) -> None:
        """Post a call that was cut: it costs its bound."""
        self._answer.close()
        if self._call.settled:
            return
        cause: ToranaError
        if isinstance(error, ToranaError):
            cause = self._call.cause_of(error)
            if gone and cause is error:
                cause = CallerGone("The caller hung up.")
        else:
            extra = {"request_id": self._call.request_id}
            logger.error("call.broken", extra=extra, exc_info=error)
            cause = InternalError("Torana failed in the middle of the answer.")
        usage = error.usage if isinstance(error, UpstreamError) else None
        self._call.fail(cause, usage=usage, billable=True)
