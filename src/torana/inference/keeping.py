"""What is to be kept of an answer, as a value."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torana.inference.cache import Lead
from torana.inference.idempotency import MOST_BYTES, StoredAnswer
from torana.ledger.records import KeptResponse


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept of an answer.

    Attributes:
        seal: encrypts an answer for the caller's Idempotency-Key; None when there is no such key.
        response: turns the JSON of an answer into what lets the caller come back to it; None when
            it is not wanted.
        lead: of a call whose answer others may share; ended by whoever ends the answer.
        previous_id: of the answer that the call goes on from, where Torana keeps that.
    """

    seal: Callable[[StoredAnswer], bytes | None] | None = None
    response: Callable[[bytes], KeptResponse | None] | None = None
    lead: Lead | None = None
    previous_id: str | None = None

    def kept_response(self, kept: bytes | None) -> KeptResponse | None:
        """What lets the caller come back to an answer, from its JSON."""
        return None if kept is None or self.response is None else self.response(kept)


class StreamKeeping:
    """Collects the frames of a stream, as far as they are to be kept.

    Args:
        keeping: what is to be kept.
        headers: of the answer, as far as they are true again when it is repeated.
    """

    def __init__(self, keeping: Keeping, headers: dict[str, str]) -> None:
        self._keeping = keeping
        self._headers = headers
        self._frames: list[bytes] = []
        self._size = 0
        self._wanted = keeping.seal is not None or keeping.lead is not None
        self._stored: StoredAnswer | None = None

    def add(self, frames: bytes) -> None:
        """What has gone to the caller."""
        if not self._wanted:
            return
        self._size += len(frames)
        if self._size <= MOST_BYTES:
            self._frames.append(frames)
            return
        # It can't be kept, so nobody shall wait for it.
        self._wanted = False
        self._frames.clear()
        if self._keeping.lead is not None:
            self._keeping.lead.refuse()

    def finish(self, last: bytes) -> bytes | None:
        """The whole stream has come: what to keep for the caller's Idempotency-Key, sealed."""
        self.add(last)
        if not self._wanted:
            return None
        self._stored = StoredAnswer(b"".join(self._frames), self._headers, streamed=True)
        return None if self._keeping.seal is None else self._keeping.seal(self._stored)

    def response(self, kept: bytes | None) -> KeptResponse | None:
        """See `Keeping.kept_response`."""
        return self._keeping.kept_response(kept)

    def share(self) -> None:
        """The call is posted: others may have the answer too."""
        if self._keeping.lead is not None and self._stored is not None:
            self._keeping.lead.keep(self._stored)

    def leave(self) -> None:
        """Nothing more comes."""
        if self._keeping.lead is not None:
            self._keeping.lead.leave()
