"""Idempotency-Key: one key and one body are one call; its answer is kept for a day, encrypted.

The claim is written in the transaction of the reservation and the answer in that of the ledger
entry, so a key never stands for more than one call that was paid for. Only good answers are kept:
after an error the key is free again.
"""

from __future__ import annotations

import hashlib
from typing import Generic, TypeVar

import msgspec

from torana.db.models import IdempotentCall
from torana.db.session import Database
from torana.errors import IdempotencyInFlight
from torana.inference.conversations import LARGE_BYTES
from torana.ledger.records import Claim
from torana.offload import offload
from torana.secret_box import SecretBox

PURPOSE = "idempotent-answers"
MOST_BYTES = 4 * 1024 * 1024
"""Larger answers are not kept; their key is free again when they end."""


class StoredAnswer(msgspec.Struct, frozen=True):
    """An answer as its caller got it; `streamed` ones are all frames in a row."""

    body: bytes
    headers: dict[str, str]
    streamed: bool


T = TypeVar("T", bound=msgspec.Struct)


class Sealing(Generic[T]):
    """Turns values of one kind into what may be stored of them, and back.

    Args:
        box: encrypts them; an answer may hold anything that a prompt held.
        kind: what they are.
    """

    def __init__(self, box: SecretBox, kind: type[T]) -> None:
        self._box = box
        self._decoder = msgspec.msgpack.Decoder(kind)

    def seal(self, value: T) -> bytes:
        """What is stored of a value."""
        packed = msgspec.msgpack.encode(value)
        if len(packed) > LARGE_BYTES:
            return offload(self._box.seal_bytes, packed)
        return self._box.seal_bytes(packed)

    def open(self, sealed: bytes) -> T:
        """The value again.

        Raises:
            ConfigurationError: it was sealed with a secret that is no longer set, or was altered.
            msgspec.DecodeError: it is of another kind, such as an older version's.
        """
        if len(sealed) > LARGE_BYTES:
            return self._decoder.decode(offload(self._box.open_bytes, sealed))
        return self._decoder.decode(self._box.open_bytes(sealed))


class AnswerStore:
    """Seals answers for the ledger's transaction, and finds them again.

    Args:
        database: where they are.
        box: encrypts them.
    """

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._sealing = Sealing(box, StoredAnswer)

    def seal(self, answer: StoredAnswer) -> bytes | None:
        """What is stored of an answer; None when it is too large to be kept."""
        if len(answer.body) > MOST_BYTES:
            return None
        return self._sealing.seal(answer)

    def open(self, claim: Claim) -> StoredAnswer:
        """The answer that a key stands for.

        Raises:
            IdempotencyInFlight: it has expired just now; a repetition is a new call.
        """
        with self._database.read() as session:
            row = session.get(IdempotentCall, claim.id)
            sealed = row.answer if row is not None else None
        if sealed is None:
            raise IdempotencyInFlight("The stored answer has just expired.", retry_after=1)
        return self._sealing.open(sealed)


def claim_of(key_id: str, idempotency_key: str, route: str, body: bytes) -> Claim:
    """The claim of a request.

    Args:
        key_id: the API key's id: callers with other keys never share an answer.
        idempotency_key: as the caller sent it.
        route: where it was sent.
        body: of the request.
    """
    name = hashlib.sha256(f"{key_id}\0{idempotency_key}".encode()).hexdigest()
    return Claim(name, hashlib.sha256(route.encode() + b"\0" + body).hexdigest())
