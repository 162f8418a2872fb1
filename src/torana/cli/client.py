"""The running service as commands see it: its public API over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from torana.dialects import openai_errors
from torana.dialects.openai_chat.streams import DONE
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import ConfigurationError, UpstreamError
from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts
from torana.settings import Settings

_TIMEOUTS = Timeouts(connect=3.0, first_byte=120.0, idle=120.0)
_TOTAL_SECONDS = 600.0
_BODY_LIMIT = 64 * 1024 * 1024


class Client:
    """Talks to the service at the settings' URL.

    Args:
        settings: where it is.
        key: an API key; the settings' own when None.

    Raises:
        ConfigurationError: there is no key.
    """

    def __init__(self, settings: Settings, key: str | None = None) -> None:
        if key is None and settings.api_key is not None:
            key = settings.api_key.get_secret_value()
        if key is None:
            raise ConfigurationError(
                "This command asks the running service and needs an API key.",
                hint="Set TORANA_API_KEY, or make a key with `torana keys create`.",
            )
        self._url = settings.service_url
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._http = HttpClient()

    def get(self, path: str) -> Any:
        """The JSON at a path.

        Raises:
            ConfigurationError: the service can't be reached, or refuses.
        """
        with_exchange = Exchange(time.monotonic() + _TOTAL_SECONDS)
        try:
            answer = self._http.get(
                f"{self._url}{path}",
                headers=self._headers,
                timeouts=_TIMEOUTS,
                exchange=with_exchange,
                private=True,  # The operator's own service.
            )
            return orjson.loads(_checked(answer))
        except UpstreamError as error:
            raise self._unreachable() from error

    def post(self, path: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON that answers a body at a path.

        Raises:
            ConfigurationError: the service can't be reached, or refuses.
        """
        try:
            answer = self._http.post(
                f"{self._url}{path}",
                body=body,
                headers={**self._headers, **(headers or {})},
                timeouts=_TIMEOUTS,
                exchange=Exchange(time.monotonic() + _TOTAL_SECONDS),
                private=True,
            )
            return orjson.loads(_checked(answer))
        except UpstreamError as error:
            raise self._unreachable() from error

    def chat(self, model: str, messages: list[dict[str, str]]) -> tuple[str, Iterator[str]]:
        """Ask a model; the request's id, and the words as they come.

        Raises:
            ConfigurationError: the service can't be reached, or refuses; also while iterating.
        """
        body = orjson.dumps({"model": model, "messages": messages, "stream": True})
        try:
            answer = self._http.post(
                f"{self._url}/v1/chat/completions",
                body=body,
                headers=self._headers,
                timeouts=_TIMEOUTS,
                exchange=Exchange(time.monotonic() + _TOTAL_SECONDS),
                private=True,
            )
            if answer.status != 200:
                _checked(answer)
        except UpstreamError as error:
            raise self._unreachable() from error
        return answer.headers.get("x-request-id", ""), _words(answer)

    def _unreachable(self) -> ConfigurationError:
        return ConfigurationError(
            f"Torana does not answer at {self._url}.", hint="Is it running? `make up` starts it."
        )


def _checked(answer: Answer) -> bytes:
    body = answer.read(_BODY_LIMIT)
    if answer.status != 200:
        raise ConfigurationError(_message(body) or f"Torana answered with status {answer.status}.")
    return body


def _message(body: bytes) -> str | None:
    error = openai_errors.decode_error(body)
    if error.message is not None:
        return error.message
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return problem.get("detail") if isinstance(problem, dict) else None


def _words(answer: Answer) -> Iterator[str]:
    splitter = FrameSplitter()
    for chunk in answer.chunks():
        for frame in splitter.feed(chunk):
            data = data_of(frame)
            if data is None or data == DONE:
                continue
            value = orjson.loads(data)
            if "error" in value:
                raise ConfigurationError(value["error"]["message"])
            for choice in value.get("choices", []):
                text = choice.get("delta", {}).get("content")
                if text:
                    yield text
