"""Secrets of this installation: keys derived from `TORANA_SECRET_KEYS`, encryption at rest.

Every purpose has its own key (HKDF, RFC 5869), so that what one leaks helps nobody with another.
The newest secret encrypts; all of them decrypt, so secrets can be rotated.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from torana.errors import ConfigurationError

SECRET_FILE = "secret-key"  # noqa: S105 -- the name of a file


class SecretBox:
    """Encrypts small values for one purpose.

    Args:
        keys: the secrets, newest first.
        purpose: names the derived key.

    Raises:
        ConfigurationError: there is no secret.
    """

    def __init__(self, keys: Sequence[SecretStr], purpose: str) -> None:
        if not keys:
            raise ConfigurationError(
                "TORANA_SECRET_KEYS is not set.",
                hint="Make one with `openssl rand -hex 32`; `torana up` makes its own.",
            )
        self._fernet = MultiFernet([Fernet(derive(key, purpose)) for key in keys])

    def seal(self, text: str) -> bytes:
        """Encrypt and authenticate."""
        return self.seal_bytes(text.encode())

    def seal_bytes(self, content: bytes) -> bytes:
        """Encrypt and authenticate."""
        return self._fernet.encrypt(content)

    def open(self, sealed: bytes) -> str:
        """Decrypt.

        Raises:
            ConfigurationError: it was sealed with a secret that is no longer set, or was altered.
        """
        return self.open_bytes(sealed).decode()

    def open_bytes(self, sealed: bytes) -> bytes:
        """Decrypt; see `open`."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise ConfigurationError(
                "A stored secret can't be read with the present TORANA_SECRET_KEYS.",
                hint="Keep older keys at the end of the list.",
            ) from None


def derive(key: SecretStr, purpose: str) -> bytes:
    """The key of a purpose in Fernet's form: 32 bytes, base64url."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"torana:{purpose}".encode())
    return base64.urlsafe_b64encode(kdf.derive(key.get_secret_value().encode()))


def load_or_make(data_dir: Path) -> SecretStr:
    """The secret of a data folder, made on the first call: a file of mode 0600.

    Raises:
        ConfigurationError: the file can't be read or written.
    """
    path = data_dir / SECRET_FILE
    try:
        _make(path)
        text = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise ConfigurationError(
            f"The secret in {path} can't be used: {error.strerror}."
        ) from error
    if len(text) < 32:
        raise ConfigurationError(
            f"{path} holds no usable secret.",
            hint="Restore it from a backup; what was encrypted with it can't be read otherwise.",
        )
    return SecretStr(text)


def _make(path: Path) -> None:
    """Make the file, unless it is there or another process makes it at this moment.

    It gets its name when it is whole, so that nobody reads half a secret.
    """
    if path.exists():
        return
    unnamed = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unnamed, path)
    finally:
        unnamed.unlink()
