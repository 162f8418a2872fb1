"""What every error says of itself, and the errors of our own side."""

from __future__ import annotations

import logging
from typing import ClassVar


class ToranaError(Exception):
    """Base of all errors that Torana raises on purpose.

    Args:
        message: one or two sentences for the caller; never a secret, never an upstream's internals.
        hint: what the reader can do about it.
        param: the request field that is at fault, if one is.
        retry_after: seconds after which trying again makes sense.
    """

    status: int = 500
    code: str = "internal_error"
    kind: str = "server_error"
    """OpenAI's `type` of the error object; other dialects map from `status`."""
    should_retry: bool | None = None
    """Whether the SDKs shall try again (`x-should-retry`); None leaves it to their own rules."""
    log_level: ClassVar[int] = logging.INFO

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after = retry_after

    @property
    def public_code(self) -> str:
        """The code as callers read it: ours, unless a provider's own is passed on."""
        return self.code

    @property
    def public_message(self) -> str:
        """The message with its hint, as callers read it."""
        return f"{self.message} {self.hint}" if self.hint else self.message


class InternalError(ToranaError):
    """Something of ours broke; the caller learns only that, the log has the rest."""

    log_level = logging.ERROR


class ConfigurationError(ToranaError):
    """A setting or a file of this machine is not usable; for the operator, never for callers."""

    code = "configuration_error"
    log_level = logging.ERROR
