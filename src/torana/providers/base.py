"""What a provider is to the rest of Torana: an address, credentials and a way to send a call."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import quote, urlencode

import msgspec

from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.dialects.base import Dialect
from torana.dialects.wire import BAD_JSON
from torana.errors import InvalidRequest, UpstreamAuth, UpstreamError
from torana.outbound.client import Answer, Body, Exchange, HttpClient, Timeouts
from torana.providers.check import CheckResult, read_models
from torana.providers.failures import raise_for_status
from torana.providers.keys import KeyRing
from torana.providers.options import Credential, ProviderOptions
from torana.providers.shaping import Shaper

_CHECK_SECONDS = 10.0
_CHECK_LIMIT = 16 * 1024 * 1024
_SECRET = re.compile(r"[\x21-\x7e]+")
"""What a header can carry. Anything else would end up, quoted, in an error of the HTTP library."""


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as data.

    Attributes:
        name: how callers address it (`name/model`).
        base_url: up to and with the version, as the SDKs take it (`https://api.openai.com/v1`).
        keys: its credentials; none for servers without.
        options: what its server wants otherwise than others of its kind.
        private: it may be at a private address.
        rewrites_model: put the asked name into answers, because the server names a file or so.
        keeps_alive: its connections can be used again. llama.cpp's server promises it and then
            closes after a stream, so that the next call would be cut.
    """

    name: str
    kind: str
    base_url: str
    keys: tuple[Credential, ...] = ()
    options: ProviderOptions = ProviderOptions()
    private: bool = False
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
        content_type: of the body.
        deletes: without a body: have it deleted.
        request_id: sent along, so that both sides' logs can be joined.
        attempt: 1 for the first try of the call.
        timeouts: limits of this exchange.
        exchange: lets another greenlet or thread end it.
        forwarded: headers of the caller's that mean something to a provider of the same dialect.
        model: the provider's name of the model, where the body is no JSON that tells it.
        picked: is told the id of the key that is used, where the provider has several.
    """

    path: str
    request_id: str
    timeouts: Timeouts
    exchange: Exchange
    body: bytes | Body | None = None
    content_type: str = "application/json"
    deletes: bool = False
    attempt: int = 1
    forwarded: Mapping[str, str] = {}
    model: str | None = None
    picked: Callable[[str], None] | None = None


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
            "accept": "application/json, text/event-stream",
            # Compressed events would have to wait for each other.
            "accept-encoding": "identity",
            "user-agent": "torana",
        }
        if not (config.keeps_alive and config.options.keeps_alive):
            self._headers["connection"] = "close"
        self._query = urlencode(config.options.query)
        self._keys = KeyRing(config.name, config.keys)
        self._shaper = Shaper(config.options)

    @property
    def max_output_field(self) -> str:
        """The field that limits the output of a chat completion; look-alikes know the older one."""
        return self.config.options.max_output_field or "max_tokens"

    def drops(self, fields: Mapping[str, msgspec.Raw]) -> tuple[str, ...]:
        """Names of what its server does not get of a request with these fields, for the caller."""
        return self._shaper.dropped(fields)

    def send(self, http: HttpClient, sending: Sending) -> Answer:
        """Send a call, or what belongs to one; the answer has a success status and an unread body.

        Raises:
            UpstreamError: of the kind that fits; whoever gets it need not know HTTP.
        """
        key = self._keys.pick(time.monotonic())
        if key is not None and len(self._keys) > 1 and sending.picked is not None:
            sending.picked(key.id)
        try:
            answer = self._exchange(http, sending, key)
            self._raise_for_status(answer)
        except UpstreamError as error:
            self._keys.failed(key, error, time.monotonic())
            raise
        self._keys.worked(key)
        return answer

    def check(self, http: HttpClient, *, key_id: str | None = None) -> CheckResult:
        """Ask the server for its models, to see whether it can be reached and takes a key.

        Takes ten seconds at most, and never raises for what the provider does.

        Args:
            http: the connections to providers.
            key_id: which of its keys; None takes one as a call would.
        """
        began = time.monotonic()
        exchange = Exchange(began + _CHECK_SECONDS)
        status = None
        models = None
        failure: UpstreamError | None = None
        options = self.config.options
        paths = [options.models_path]
        if options.key_path is not None and self.config.keys:
            paths.insert(0, options.key_path)
        try:
            key = self._keys.pick(began) if key_id is None else self._keys.find(key_id)
            for path in paths:
                answer = self._exchange(http, _asking(path, exchange), key)
                status = answer.status
                try:
                    self._raise_for_status(answer)
                    models = read_models(answer.read(_CHECK_LIMIT))
                finally:
                    answer.close()
        except UpstreamError as error:
            failure = error
        return CheckResult(
            ok=failure is None,
            milliseconds=round((time.monotonic() - began) * 1000),
            status=status,
            failure=failure,
            models=models if failure is None else None,
        )

    def _exchange(self, http: HttpClient, sending: Sending, key: Credential | None) -> Answer:
        """An answer of any status."""
        url = self._url(sending)
        headers = {
            **self._headers,
            **self._dialect_headers(sending.forwarded),
            "x-request-id": sending.request_id,
            "x-torana-attempt": str(sending.attempt),
        }
        if key is not None:
            headers |= self._key_headers(key)
        timeouts, exchange, private = sending.timeouts, sending.exchange, self.config.private
        if sending.body is not None:
            body = sending.body
            return http.post(
                url,
                body=self._shaper.shape(body) if isinstance(body, bytes) else body,
                headers=headers | {"content-type": sending.content_type},
                timeouts=timeouts,
                exchange=exchange,
                private=private,
            )
        fetch = http.delete if sending.deletes else http.get
        return fetch(url, headers=headers, timeouts=timeouts, exchange=exchange, private=private)

    def _raise_for_status(self, answer: Answer) -> None:
        try:
            raise_for_status(
                answer,
                name=self.config.name,
                secrets=[key.secret for key in self.config.keys if key.secret],
                now=utc_now(),
            )
        except UpstreamError:
            answer.close()
            raise

    def _url(self, sending: Sending) -> str:
        """Where a request goes; what is asked for without a body is of no model."""
        path = sending.path
        template = self.config.options.path
        if sending.body is not None and template != "{path}":
            model = ""
            if "{model}" in template:
                model = _segment(sending.model or _model_in(sending.body))
            path = template.replace("{path}", path).replace("{model}", model)
        if self._query:
            path += ("&" if "?" in path else "?") + self._query
        return self._base_url + path

    def _key_headers(self, key: Credential) -> dict[str, str]:
        if not _SECRET.fullmatch(key.secret):
            raise UpstreamAuth(
                f"A key of the provider {self.config.name!r} has characters that no key has.",
                hint="The administrator must set it again.",
            )
        options = self.config.options
        if options.key_header is None:
            return self._credential_headers(key.secret)
        return {options.key_header: f"{options.key_scheme} {key.secret}".lstrip()}

    def _credential_headers(self, api_key: str) -> dict[str, str]:
        """How providers of the kind want their credential."""
        raise NotImplementedError

    def _dialect_headers(self, forwarded: Mapping[str, str]) -> dict[str, str]:
        """Headers that belong to the provider's dialect; `forwarded` are the caller's own."""
        del forwarded
        return {}


def provider_request_id(headers: Mapping[str, str]) -> str | None:
    """The id under which the provider knows the call, cut to what a ledger entry holds."""
    value = headers.get("x-request-id") or headers.get("request-id")
    return value[:200] if value else None


def _asking(path: str, exchange: Exchange) -> Sending:
    """A request for what is at a path."""
    timeouts = Timeouts(connect=_CHECK_SECONDS, first_byte=_CHECK_SECONDS, idle=_CHECK_SECONDS)
    return Sending(path=path, request_id=new_id("req"), timeouts=timeouts, exchange=exchange)


class _Named(msgspec.Struct):
    model: str


def _model_in(body: bytes | Body) -> str:
    try:
        return msgspec.json.decode(body if isinstance(body, bytes) else b"", type=_Named).model
    except BAD_JSON as error:
        raise InvalidRequest("The model is not named.", param="model") from error


def _segment(model: str) -> str:
    """A model's name as one segment of a path, which leads nowhere else."""
    if model in {".", ".."}:
        raise InvalidRequest(f"{model!r} can't be the name of a model.", param="model")
    return quote(model, safe="")
