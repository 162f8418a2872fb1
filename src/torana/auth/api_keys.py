"""API keys: their form, and from a presented key to a principal.

`sk-tor-` + 43 base62 digits of 256 random bits + 6 digits of CRC-32. The checksum lets a mistyped
key be refused without the database, and lets scanners tell a real key from a lookalike. Stored is
the SHA-256: with 256 random bits there is nothing to guess, so a slow hash would protect nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
import zlib
from datetime import datetime

import msgspec
from sqlalchemy import select

from torana.auth.policy import KEY_PERMISSIONS, KEY_ROLES
from torana.auth.principal import Principal
from torana.core.clock import utc_now
from torana.db.models import ApiKey, Balance, Membership, Organisation, Project
from torana.db.session import Database
from torana.errors import KeyRevoked, LedgerUnavailable, NotAuthenticated

PREFIX = "sk-tor-"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH = 43
_CHECK_LENGTH = 6
_LENGTH = len(PREFIX) + _SECRET_LENGTH + _CHECK_LENGTH
DISPLAY_LENGTH = len(PREFIX) + 4
"""How much of a key may be shown later, so that people can tell theirs apart."""
_CACHE_SECONDS = 60.0
_CACHE_SIZE = 10_000
_AWAY_SECONDS = 0.25
"""For which nobody asks a database that has failed."""


class NewKey(msgspec.Struct, frozen=True):
    """A key just made. `text` is shown once and stored nowhere."""

    text: str
    display: str
    digest: bytes

    def __repr__(self) -> str:
        return f"NewKey(display={self.display!r})"


def generate() -> NewKey:
    """Make a key from the system's randomness."""
    secret = _base62(secrets.randbits(256), _SECRET_LENGTH)
    text = f"{PREFIX}{secret}{_checksum(secret)}"
    return NewKey(text, text[:DISPLAY_LENGTH], digest_of(text))


def is_well_formed(text: str) -> bool:
    """Whether a text has the form and the checksum of a key."""
    if len(text) != _LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return False
    secret = text[len(PREFIX) : -_CHECK_LENGTH]
    return hmac.compare_digest(_checksum(secret), text[-_CHECK_LENGTH:])


def digest_of(text: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode()), _CHECK_LENGTH)


def _base62(value: int, length: int) -> str:
    digits = []
    for _ in range(length):
        value, digit = divmod(value, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


class KeyRing:
    """Finds the principal of a key, and keeps those it found for a minute.

    A cached principal may be out of date in one dangerous way only: its key was revoked. Calls are
    safe from that, because a revoked key's account refuses them in the next transaction; what has
    no such transaction asks with `fresh=True`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cache: dict[bytes, tuple[Principal, float]] = {}
        # Zero while the database answers.
        self._away_until = 0.0
        self._asking = False

    def authenticate(self, text: str, *, fresh: bool = False) -> Principal:
        """The principal of a presented key.

        Args:
            text: the key.
            fresh: ask the database even if the key is cached.

        Raises:
            NotAuthenticated: no key of ours, or expired.
            KeyRevoked: it was revoked.
            LedgerUnavailable: the database is away, and the key is not cached.
        """
        if not is_well_formed(text):
            raise NotAuthenticated(
                "Incorrect API key provided.", hint="A key of Torana begins with 'sk-tor-'."
            )
        digest = digest_of(text)
        now = time.monotonic()
        if not fresh:
            cached = self._cache.get(digest)
            if cached is not None and cached[1] > now:
                _check_expiry(cached[0], utc_now())
                return cached[0]
        try:
            principal = self._ask(digest)
        except NotAuthenticated:
            self._cache.pop(digest, None)
            raise
        with self._lock:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[digest] = (principal, now + _CACHE_SECONDS)
        return principal

    def _ask(self, digest: bytes) -> Principal:
        """Look a key up; while the database is away one caller at a time waits for it."""
        with self._lock:
            asks_for_all = self._away_until > 0
            if asks_for_all:
                if self._asking or time.monotonic() < self._away_until:
                    raise LedgerUnavailable("The database is not available.", retry_after=1)
                self._asking = True
        try:
            principal = self._look_up(digest)
        except LedgerUnavailable:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            raise
        except (KeyRevoked, NotAuthenticated):
            self._away_until = 0.0  # The database has answered.
            raise
        else:
            self._away_until = 0.0
            return principal
        finally:
            if asks_for_all:
                self._asking = False

    def _look_up(self, digest: bytes) -> Principal:
        with self._database.read() as session:
            row = session.execute(
                select(ApiKey, Project, Organisation, Membership)
                .join(Project, Project.id == ApiKey.project_id)
                .join(Organisation, Organisation.id == Project.organisation_id)
                .outerjoin(Membership, Membership.id == ApiKey.membership_id)
                .where(ApiKey.key_hash == digest)
            ).first()
            if row is None or not hmac.compare_digest(row[0].key_hash, digest):
                raise NotAuthenticated("Incorrect API key provided.")
            key, project, organisation = row[0], row[1], row[2]
            membership: Membership | None = row[3]
            if key.revoked_at is not None:
                raise KeyRevoked("This API key has been revoked.")
            scopes = [key.id, project.id, organisation.id]
            if membership is not None:
                scopes.append(membership.id)
            accounts = session.scalars(
                select(Balance.id).where(Balance.scope_id.in_(scopes), Balance.budget_id == "")
            ).all()
            principal = Principal(
                key_id=key.id,
                key_name=key.name,
                project_id=project.id,
                project_name=project.name,
                organisation_id=organisation.id,
                organisation_name=organisation.name,
                user_id=membership.user_id if membership is not None else None,
                account_ids=tuple(sorted(accounts)),
                role=key.role,
                models=tuple(key.models) if key.models is not None else None,
                cache_seconds=key.cache_seconds,
                expires_at=key.expires_at,
                # A role that this version does not know gives no more than a caller may do.
                permissions=KEY_ROLES.get(key.role, KEY_PERMISSIONS),
            )
        _check_expiry(principal, utc_now())
        return principal


def _check_expiry(principal: Principal, now: datetime) -> None:
    if principal.expires_at is not None and principal.expires_at <= now:
        raise NotAuthenticated("This API key has expired.")
