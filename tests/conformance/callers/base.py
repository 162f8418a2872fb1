"""A caller: one SDK in the way its users use it, and how to read what it has parsed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pydantic

from tests.conformance.said import Asked, Result, Said

M = TypeVar("M", bound=pydantic.BaseModel)
SECONDS = 20.0
LIMIT = 4096
"""Output tokens that a caller asks for where its dialect demands a number."""

Question = dict[str, Any]
"""Keyword arguments of the SDK's `create`."""


@dataclass(frozen=True, kw_only=True)
class Got:
    """What came back.

    Attributes:
        message: the SDK's own object, which its users put into the history.
        events: the types of a raw stream's events, runs of the same one as one.
    """

    message: Any
    headers: Mapping[str, str]
    events: tuple[str, ...] = ()

    @property
    def request_id(self) -> str:
        """Under which the ledger knows the call."""
        return self.headers["x-request-id"]

    @property
    def dropped(self) -> tuple[str, ...]:
        """What Torana says it could not say."""
        names = self.headers.get("x-torana-dropped", "")
        return tuple(name.strip() for name in names.split(",") if name.strip())


class Caller(ABC):
    """One dialect, through its real SDK.

    Attributes:
        name: of the dialect.
        failures: what the SDK raises for an error of the server.
    """

    name: ClassVar[str]
    failures: ClassVar[tuple[type[Exception], ...]]

    @abstractmethod
    def question(self, asked: Asked, model: str) -> Question:
        """What a user of the SDK would write."""

    @abstractmethod
    def follow_up(self, question: Question, message: Any, results: Sequence[Result]) -> Question:
        """The next turn: the SDK's own object goes into the history, and the tools' results."""

    @abstractmethod
    def create(self, question: Question) -> Got:
        """Ask for a JSON answer."""

    @abstractmethod
    def helper(self, question: Question) -> Got:
        """Ask with the SDK's `stream` helper; the message is what it has accumulated."""

    @abstractmethod
    def raw(self, question: Question) -> Got:
        """Ask for a stream and read its events one by one; the message is the last whole one."""

    @abstractmethod
    def read(self, message: Any) -> Said:
        """What an answer says."""

    @abstractmethod
    def settled(self, message: Any) -> Any:
        """An answer as plain values, without what may differ from call to call."""

    @abstractmethod
    def sequence(
        self, said: Said, *, signed: bool = False, at_once: bool = False
    ) -> tuple[str, ...]:
        """The golden sequence: types of the events that must say this, runs as one.

        Args:
            said: what the events say.
            signed: the thinking has a signature.
            at_once: the calls grow at the same time.
        """

    @abstractmethod
    def close(self) -> None:
        """End the connections."""


def valid(value: M) -> M:
    """The value, once its fields have been found to be of their types and none to be missing.

    The SDKs build their objects without a look at that, and break where a user touches the field.
    """
    type(value).model_validate(value.model_dump(by_alias=True, exclude_unset=True))
    return value


def runs(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each run of the same one as one."""
    return tuple(
        name for number, name in enumerate(names) if number == 0 or names[number - 1] != name
    )
