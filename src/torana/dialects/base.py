"""What a wire format must be able to do, in both directions.

A `Dialect` serves callers and providers of one format: a body is read once, priced, sent on with
what must differ, and its answer is looked at as it passes. A `ChatDialect` can also be read into
the values of `torana.core.chat` and written from them, so that any two of them can be joined. All
of it is pure: bytes and values in, bytes and values out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import msgspec

from torana.core.chat import ChatCall, ChatReply
from torana.core.events import Event
from torana.core.usage import Usage
from torana.dialects.costs import CallCosts, PromptTexts
from torana.dialects.wire import WireRequest
from torana.errors import ToranaError

Family = Literal["openai", "anthropic"]
"""Whose shapes errors and rate-limit headers have."""


class Labels(msgspec.Struct, frozen=True):
    """What a request says of itself.

    Attributes:
        end_user: the caller's own name for whom it calls.
        tags: the caller's labels.
    """

    end_user: str | None = None
    tags: dict[str, str] = {}


class WireAnswer(msgspec.Struct, frozen=True):
    """A JSON answer on its way to the caller.

    Attributes:
        body: bytes for the caller.
        usage: None if the provider did not tell it.
        kept: the JSON of the answer where its dialect lets callers come back to it (Responses).
        lost: what could not be said in the caller's dialect.
    """

    body: bytes
    usage: Usage | None
    kept: bytes | None = None
    lost: tuple[str, ...] = ()


class WireFold(ABC):
    """Looks at the frames of a stream as they pass, and gives what goes to the caller.

    Attributes:
        usage: the usage of the whole answer, once the provider has told it; what it tells of an
            answer's beginning alone is not one.
        done: the provider's last frame was seen; `end` has what is due to the caller then.
    """

    usage: Usage | None = None
    done: bool = False

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the stream has come to an end of its own, even if its last frame is missing."""

    @property
    @abstractmethod
    def visible(self) -> str | None:
        """The text that has passed, tool calls as their JSON; None when it was not remembered."""

    @property
    def kept(self) -> bytes | None:
        """See `WireAnswer.kept`; known once the stream is done."""
        return None

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be said in the caller's dialect so far."""
        return ()

    @abstractmethod
    def pass_on(self, frame: bytes, data: bytes | None) -> bytes:
        """What the caller gets for a frame: its own bytes, other ones, or nothing.

        Args:
            frame: the frame's bytes.
            data: what `sse.data_of` says of it.

        Raises:
            UpstreamError: the data is not of this dialect, or is an error of the provider.
        """

    @abstractmethod
    def end(self) -> bytes:
        """The caller's last bytes, sent once the call is posted."""

    @abstractmethod
    def error(self, error: ToranaError) -> bytes:
        """An error after the first byte, instead of `end`: the SDKs raise it."""

    @abstractmethod
    def ping(self) -> bytes:
        """What says in a long silence that the connection lives; the SDKs skip it."""


class Dialect(ABC):
    """One wire format. Has no state; share one.

    Attributes:
        route: its name on the ledger and in metrics.
        path: where a provider takes it, under the base URL with its version.
    """

    route: ClassVar[str]
    path: ClassVar[str]
    family: ClassVar[Family] = "openai"

    @abstractmethod
    def decode_request(self, body: bytes) -> WireRequest:
        """Read a request as far as Torana must know it.

        Raises:
            InvalidJson: not JSON, or not an object.
            InvalidRequest: a field that Torana reads is missing, malformed or there twice.
        """

    @abstractmethod
    def encode_upstream(
        self,
        request: WireRequest,
        *,
        model: str,
        max_output: int | None = None,
        max_output_field: str | None = None,
    ) -> bytes:
        """The body for a provider: the request's own fields, but for what must differ.

        Args:
            request: as it was decoded or written.
            model: the provider's name of the model.
            max_output: output tokens a choice that a budget has room for, in place of the caller's.
            max_output_field: what to write them to, where a dialect has several names and the
                caller has used none.
        """

    @abstractmethod
    def read_costs(self, request: WireRequest) -> CallCosts:
        """What a request may cost; what can't be read has no rule.

        Raises:
            InvalidRequest: a key that is priced occurs twice in one object.
        """

    @abstractmethod
    def prompt_texts(self, request: WireRequest, costs: CallCosts) -> PromptTexts:
        """The texts of a prompt, for exact counting; `costs` is what `read_costs` says of it."""

    @abstractmethod
    def labels(self, request: WireRequest) -> Labels:
        """What a request says of itself; what can't be a label is left out."""

    @abstractmethod
    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """Read a provider's JSON answer.

        Args:
            body: its bytes, which are passed on as they are.
            model: a name to put in the place of the provider's, if that is wanted.

        Raises:
            UpstreamGarbage: it is not an answer of this dialect.
            UpstreamError: it is an error in the clothes of a success.
        """

    def own(self, request: WireRequest) -> tuple[WireRequest, tuple[str, ...]]:
        """A caller's request as a provider of this dialect can take it unread.

        A conversation that another vendor's model has begun holds marks that only that vendor
        knows, in the places where this dialect has its own.

        Returns:
            The request, the same object where nothing is foreign, and names of what was left out.
        """
        return request, ()

    def fit(self, request: WireRequest, answer: WireAnswer) -> WireAnswer:
        """An answer as its request wants it, where providers of a dialect are known to differ."""
        del request
        return answer

    @abstractmethod
    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> WireFold:
        """What a stream of this dialect passes through.

        Args:
            request: as the caller sent it.
            request_id: for error frames, where the dialect tells it there.
            model: a name to put in the place of the provider's, if that is wanted.
            keeps_text: whether to remember the text, so that a stream that is cut can be counted.
        """


# --- translation -------------------------------------------------------------------------------


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer must know of the model that it writes for.

    Attributes:
        max_output: the most tokens it can write, where that is known.
        reasons: it thinks before it answers, so its thinking can be asked for.
        structured_output: it can be held to a JSON schema by the provider.
        adaptive_thinking: it decides itself how much to think (Anthropic's newer models); the
            older ones take a budget of tokens.
        system_messages: it takes instructions in the middle of a conversation (Anthropic's newer
            models).
    """

    max_output: int | None = None
    reasons: bool = False
    structured_output: bool = True
    adaptive_thinking: bool = True
    system_messages: bool = False


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A call in another dialect.

    Attributes:
        request: as `Dialect.decode_request` would give it.
        lost: what of the call could not be said, named as in docs/translation.md.
        instructed: the schema of the answer was written into the instructions, because the model
            can't be held to it; the answer is to be checked.
    """

    request: WireRequest
    lost: tuple[str, ...] = ()
    instructed: bool = False


class ReplyFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply says that is not the provider's to say.

    Attributes:
        request: the caller's, in the caller's dialect: some answers repeat it.
        request_id: `req_...`; ids that a dialect needs are made of it.
        model: a name to show in place of the provider's; None shows that.
        created: seconds since 1970.
        previous_id: of a Responses call that goes on from an earlier one that Torana keeps.
        stored: whether the caller can come back to the answer (Responses).
    """

    request: WireRequest
    request_id: str
    model: str | None = None
    created: int = 0
    previous_id: str | None = None
    stored: bool = False


class StreamReader(ABC):
    """Turns a provider's frames into events.

    Attributes:
        done: the provider's last frame was seen.
    """

    done: bool = False

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the stream has come to an end of its own, even if its last frame is missing."""

    @abstractmethod
    def read(self, data: bytes) -> list[Event]:
        """The events of a frame with this data. `Ended` comes last, when all is known.

        Raises:
            UpstreamError: it is not of this dialect, or is an error of the provider.
        """

    @abstractmethod
    def finish(self) -> list[Event]:
        """At a good end: the events that waited for more, `Ended` among them if it is still due."""


class StreamWriter(ABC):
    """Turns events into frames for a caller."""

    @abstractmethod
    def write(self, event: Event) -> bytes:
        """The frames of an event; nothing for `Ended`, whose frames `end` has.

        What can't be said is left out and added to `lost`.
        """

    @abstractmethod
    def end(self) -> bytes:
        """The last frames, after `Ended` was written."""

    @abstractmethod
    def error(self, error: ToranaError) -> bytes:
        """The frame of an error after the first byte."""

    @abstractmethod
    def ping(self) -> bytes:
        """What says in a long silence that the connection lives."""

    @property
    @abstractmethod
    def lost(self) -> tuple[str, ...]:
        """What could not be said so far."""

    @property
    def kept(self) -> bytes | None:
        """See `WireAnswer.kept`; known after `Ended` was written."""
        return None


class ChatDialect(Dialect):
    """A dialect of conversations, which can be translated."""

    @abstractmethod
    def read_call(self, request: WireRequest) -> ChatCall:
        """A caller's request as a value.

        Raises:
            InvalidRequest: it is malformed; `param` says where (`messages[2].content[0].type`).
        """

    @abstractmethod
    def write_call(self, call: ChatCall, traits: Traits) -> Written:
        """A request in this dialect; the model's name is the caller's still.

        Raises:
            InvalidRequest: it asks for what makes no sense without (two choices of one).
        """

    @abstractmethod
    def read_reply(self, body: bytes) -> ChatReply:
        """A provider's JSON answer as a value.

        Raises:
            UpstreamGarbage, UpstreamError: as `decode_answer`.
        """

    @abstractmethod
    def write_reply(self, reply: ChatReply, frame: ReplyFrame) -> WireAnswer:
        """A JSON answer for a caller."""

    @abstractmethod
    def reader(self) -> StreamReader:
        """Reads one stream of a provider."""

    @abstractmethod
    def writer(self, frame: ReplyFrame) -> StreamWriter:
        """Writes one stream for a caller."""


def lost_of(*names: str | None) -> tuple[str, ...]:
    """Names of losses, each once and in order; None stands for nothing."""
    return tuple(dict.fromkeys(name for name in names if name is not None))


def json_object(text: str) -> dict[str, Any] | None:
    """The object that a JSON text stands for; None when it is none."""
    try:
        found = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
