"""What a provider is to the rest of Torana: an address, a credential and a way to send a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from torana.dialects.anthropic_errors import decode_error
from torana.dialects.base import Dialect
from torana.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts

_ERROR_BODY_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 2000
_OVERLOADED = 529
"""Anthropic's status for "overloaded"; some proxies in front of other providers use it too."""


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as data.

    Attributes:
        name: how callers address it (`name/model`).
        base_url: up to and with the version, as the SDKs take it (`https://api.openai.com/v1`).
        api_key: the credential, or None for servers without.
        rewrites_model: put the asked name into answers, because the server names a file or so.
        keeps_alive: its connections can be used again. llama.cpp's server promises it and then
            closes after a stream, so that the next call would be cut.
    """

    name: str
    kind: str
    base_url: str
    api_key: str | None = None
    rewrites_model: bool = False
    keeps_alive: bool = True

    def __repr__(self) -> str:
        # A representation ends up in logs; the credential must not.
        return f"ProviderConfig(name={self.name!r}, kind={self.kind!r}, base_url={self.base_url!r})"


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a provider.

    Attributes:
        path: under the base URL with its version.
        body: in the provider's dialect; None asks for what is at the path.
        deletes: without a body: have it deleted.
        request_id: sent along, so that both sides' logs can be joined.
        attempt: 1 for the first try of the call.
        timeouts: limits of this exchange.
        exchange: lets another greenlet or thread end it.
        forwarded: headers of the caller's that mean something to a provider of the same dialect.
    """

    path: str
    request_id: str
    timeouts: Timeouts
    exchange: Exchange
    body: bytes | None = None
    deletes: bool = False
    attempt: int = 1
    forwarded: Mapping[str, str] = {}


class Provider:
    """One upstream. Holds no connection of its own; safe to use from many calls at once.

    Attributes:
        speaks: the dialects that its server takes, the one that is spoken best first.
        takes_thinking: its chat takes a history with the thinking that look-alikes show.
        counts_tokens: it counts the tokens of a prompt when asked.
    """

    speaks: ClassVar[tuple[Dialect, ...]] = ()
    takes_thinking: ClassVar[bool] = True
    counts_tokens: ClassVar[bool] = False

    def __init__(self, config: ProviderConfig) -> None:
        self.config = config
        self._base_url = config.base_url.rstrip("/")
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            # Compressed events would have to wait for each other.
            "accept-encoding": "identity",
            "user-agent": "torana",
        }
        if not config.keeps_alive:
            self._headers["connection"] = "close"
        if config.api_key:
            self._headers |= self._credential_headers(config.api_key)

    @property
    def max_output_field(self) -> str:
        """The field that limits the output of a chat completion; look-alikes know the older one."""
        return "max_tokens"

    def send(self, http: HttpClient, sending: Sending) -> Answer:
        """Send a call, or what belongs to one; the answer has a success status and an unread body.

        Raises:
            UpstreamError: of the kind that fits; whoever gets it need not know HTTP.
        """
        url = f"{self._base_url}{sending.path}"
        headers = {
            **self._headers,
            **self._dialect_headers(sending.forwarded),
            "x-request-id": sending.request_id,
            "x-torana-attempt": str(sending.attempt),
        }
        timeouts, exchange = sending.timeouts, sending.exchange
        if sending.body is not None:
            answer = http.post(
                url, body=sending.body, headers=headers, timeouts=timeouts, exchange=exchange
            )
        else:
            fetch = http.delete if sending.deletes else http.get
            answer = fetch(url, headers=headers, timeouts=timeouts, exchange=exchange)
        raise_for_status(answer, self.config)
        return answer

    def _credential_headers(self, api_key: str) -> dict[str, str]:
        """How the provider wants its credential."""
        raise NotImplementedError

    def _dialect_headers(self, forwarded: Mapping[str, str]) -> dict[str, str]:
        """Headers that belong to the provider's dialect; `forwarded` are the caller's own."""
        del forwarded
        return {}


def provider_request_id(headers: Mapping[str, str]) -> str | None:
    """The id under which the provider knows the call, cut to what a ledger entry holds."""
    value = headers.get("x-request-id") or headers.get("request-id")
    return value[:200] if value else None


def raise_for_status(answer: Answer, config: ProviderConfig) -> None:
    """Turn a failing status into an error for the caller.

    The provider's words are passed on only where the request is at fault. Its complaints about our
    credentials or limits name accounts and keys, which are not the caller's business.

    Raises:
        UpstreamError: the status is not 2xx.
    """
    if 200 <= answer.status < 300:
        return
    try:
        body = decode_error(_without_key(answer.read(_ERROR_BODY_LIMIT), config))
    except UpstreamError:
        # The status alone says enough; what is left of the body is not waited for.
        body = decode_error(b"")
    error: UpstreamError
    status = answer.status
    name = config.name
    if status in {401, 403}:
        error = UpstreamAuth(
            f"The provider {name!r} refused Torana's credentials.",
            hint="The administrator must check its API key.",
        )
    elif status == 429:
        error = UpstreamRateLimited(f"The provider {name!r} has reached its rate limit.")
    elif status in {503, _OVERLOADED}:
        error = UpstreamOverloaded(f"The provider {name!r} is overloaded.")
    elif 400 <= status < 500 and status != 408:
        error = UpstreamRejected(
            _shortened(body.message) or f"The provider {name!r} refused the request.",
            status=status,
            kind=body.kind,
            provider_code=body.code,
            param=body.param,
        )
    else:
        error = UpstreamError(f"The provider {name!r} failed with status {status}.")
    error.retry_after = _retry_after(answer.headers)
    wish = answer.headers.get("x-should-retry")
    if wish in {"true", "false"}:
        error.retryable = wish == "true"
    raise error


def _without_key(body: bytes, config: ProviderConfig) -> bytes:
    """A body in which the provider does not repeat our credential."""
    return body.replace(config.api_key.encode(), b"***") if config.api_key else body


def _shortened(message: str | None) -> str | None:
    return message[:_MESSAGE_LIMIT] if message is not None else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`; a date counts as no answer."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
