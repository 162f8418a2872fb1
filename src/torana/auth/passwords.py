"""Passwords: argon2id with the library's current parameters (RFC 9106, low memory)."""

from __future__ import annotations

import argon2

from torana.errors import InvalidRequest
from torana.offload import offload

MIN_LENGTH = 12
MAX_LENGTH = 1024


def hash_password(password: str) -> str:
    """The string to store. Takes tens of milliseconds of CPU, so it is offloaded.

    Raises:
        InvalidRequest: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidRequest(
            f"A password needs {MIN_LENGTH} to {MAX_LENGTH} characters.", param="password"
        )
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("A password must be text.", param="password") from None
    return offload(argon2.PasswordHasher().hash, encoded)
